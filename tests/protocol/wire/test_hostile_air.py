"""What an attacker in range can do to sealed packets: every way is refused, and says which it was."""

from __future__ import annotations

import os
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.aes import aes
from protocol.wire import ccm, frames, session

KEY = bytes(range(16))
FRAME = frames.encode(frames.ACK, (77,))


def keys(key: bytes = KEY, nonce: bytes = bytes(16)) -> tuple[bytes, bytes]:
    return session.session_keys(aes, key, session.transcript(b"BELT0001", b"GATEWAY1", nonce, bytes(16)))


def packets(count: int, key: bytes = KEY, nonce: bytes = bytes(16)) -> list[bytes]:
    down = aes(keys(key, nonce)[1])
    return [session.seal(down, counter, FRAME) for counter in range(1, count + 1)]


def test_a_packet_cut_at_any_length_is_refused() -> None:
    down = aes(keys()[1])
    (packet,) = packets(1)
    for size in range(len(packet)):
        with pytest.raises((frames.FrameError, ccm.TagError)):
            session.unseal(down, 0, packet[:size])


def test_a_packet_changed_in_any_bit_is_refused() -> None:
    down = aes(keys()[1])
    (packet,) = packets(1)
    for bit in range(8 * len(packet)):
        changed = bytearray(packet)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((frames.FrameError, ccm.TagError)):
            session.unseal(down, 0, bytes(changed))


def test_of_packets_in_any_order_only_those_above_the_last_are_taken() -> None:
    down = aes(keys()[1])
    for order in permutations(enumerate(packets(4), 1)):
        last, taken = 0, []
        for counter, packet in order:
            try:
                last, _ = session.unseal(down, last, packet)
                taken.append(counter)
            except session.ReplayError:
                assert counter <= last
        assert taken == sorted(set(taken))


def test_a_packet_of_another_key_direction_or_session_is_refused() -> None:
    up, down = (aes(key) for key in keys())
    with pytest.raises(ccm.TagError):
        session.unseal(up, 0, packets(1)[0])
    with pytest.raises(ccm.TagError):
        session.unseal(down, 0, packets(1, key=bytes(16))[0])
    with pytest.raises(ccm.TagError):
        session.unseal(down, 0, packets(1, nonce=os.urandom(16))[0])


@given(st.binary(max_size=300))
def test_bytes_of_nobody_are_refused(packet: bytes) -> None:
    with pytest.raises((frames.FrameError, ccm.TagError)):
        session.unseal(aes(keys()[1]), 0, packet)
