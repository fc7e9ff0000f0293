"""The session from the belt's side: who gets in, what comes out, what is counted and dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_py.belt.config import Config
from firmware_py.belt.link import QUEUE_FRAGMENTS_MAX, Link
from firmware_py.belt.ring import Ring
from gateway.aes import aes
from protocol.wire import fragments, frames, session
from tests.firmware_py.belt.nor_flash import NorFlash

SERIAL = bytes(range(8))
KEY = bytes(range(16))
GATEWAY = b"gateway1"
REPORT = (2, 0, 5, 0, 1, 1, 5000, 621, 80, 0, 155, 80, 0, 3, 0, 254, 0)


class Air:
    """The transport: keeps what was notified; `room` notifications fit until the stack is full."""

    def __init__(self) -> None:
        self.value_bytes = 244
        self.room = 10_000
        self.sent: list[bytes] = []

    def notify(self, fragment: bytes) -> bool:
        if self.room == 0:
            return False
        self.room -= 1
        assert len(fragment) <= self.value_bytes
        self.sent.append(fragment)
        return True


class Answers:
    """The belt's own answers; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def hello(self) -> tuple[int, ...]:
        return 0, 1, 5000, 0, 0, 1, 0, 3, 1, 0

    def absences(self) -> bytes:
        return frames.encode_absences(1, 5000, [(10, 60)])

    def report(self) -> bytes:
        return frames.encode(frames.REPORT, REPORT)

    def time(self, utc_ms: int, uncertainty_ms: int) -> None:
        self.asked.append(("time", utc_ms))

    def configure(self, key: int, value: int) -> tuple[int, int]:
        self.asked.append(("configure", key, value))
        return frames.STATUS_DONE, value

    def command(self, request_id: int, command: int, argument: int) -> tuple[int, int]:
        self.asked.append(("command", command, argument))
        return frames.STATUS_STARTED, argument

    def update(self, kind: int, values: tuple[int | bytes, ...], tail: bytes) -> tuple[int, int]:
        return frames.STATUS_REFUSED, 0


class Rig:
    """A link and the gateway that talks to it."""

    def __init__(self, directory: Path) -> None:
        (directory / "identity.json").write_text(json.dumps({"serial": SERIAL.hex(), "claim_secret": KEY.hex()}))
        self.config = Config(str(directory))
        self.ring = Ring(NorFlash())
        self.air = Air()
        self.answers = Answers()
        nonces = iter(range(1, 1000))
        random_bytes: Callable[[int], bytes] = lambda n: next(nonces).to_bytes(n, "big")  # noqa: E731
        self.link = Link(self.config, self.ring, self.air, self.answers, aes, random_bytes)
        self.up: Callable[[bytes], bytes] | None = None
        self.down: Callable[[bytes], bytes] | None = None
        self.counter = 0
        self._seen = 0
        self._fragment = 0

    def write(self, packet: bytes) -> None:
        parts, self._fragment = fragments.split(packet, self.air.value_bytes, self._fragment)
        for part in parts:
            self.link.received(part)

    def heard(self) -> list[tuple[int, Any, bytes]]:
        """Frames notified since last asked."""
        state: Any = fragments.IDLE
        found = []
        for fragment in self.air.sent[self._seen :]:
            state, packet = fragments.join(state, fragment)
            if packet is None:
                continue
            if packet[0] == session.PLAIN:
                found.append(frames.decode(packet[1:]))
            else:
                assert self.up is not None
                found.append(frames.decode(session.unseal(self.up, 0, packet)[1]))
        self._seen = len(self.air.sent)
        return found

    def hello(self, key: bytes = KEY) -> bytes:
        """Ask and keep the keys; returns the proof to confirm with."""
        self.write(session.plain_packet(frames.encode(frames.HELLO_REQUEST, (GATEWAY, bytes(16)))))
        ((kind, values, _),) = self.heard()
        assert kind == frames.HELLO
        script = session.transcript(SERIAL, GATEWAY, values[1], bytes(16))
        up, down = session.session_keys(aes, key, script)
        self.up, self.down, self.counter = aes(up), aes(down), 0
        return session.gateway_proof(aes, key, script)

    def confirm(self, proof: bytes) -> list[tuple[int, Any, bytes]]:
        self.write(session.plain_packet(frames.encode(frames.HELLO_CONFIRM, (proof,))))
        return self.heard()

    def open(self) -> Rig:
        self.confirm(self.hello())
        return self

    def seal(self, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> bytes:
        assert self.down is not None
        self.counter += 1
        return session.seal(self.down, self.counter, frames.encode(kind, values, tail))

    def send(self, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> list[tuple[int, Any, bytes]]:
        self.write(self.seal(kind, values, tail))
        self.link.poll()
        return self.heard()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_after_the_proof_the_belt_tells_absences_and_its_state_at_once(rig: Rig) -> None:
    kinds = [frame[0] for frame in rig.confirm(rig.hello())]
    assert kinds == [frames.ABSENCES, frames.REPORT]


def test_the_belt_proves_itself_too(rig: Rig) -> None:
    rig.write(session.plain_packet(frames.encode(frames.HELLO_REQUEST, (GATEWAY, bytes(16)))))
    ((_, values, _),) = rig.heard()
    assert values[2] == session.belt_proof(aes, KEY, session.transcript(SERIAL, GATEWAY, values[1], bytes(16)))


def test_a_wrong_key_is_refused_and_counted(rig: Rig) -> None:
    answer = rig.confirm(rig.hello(key=bytes(16)))
    assert [(frame[0], frame[1][0]) for frame in answer] == [(frames.REFUSED, frames.REFUSED_PROOF)]
    assert (rig.link.is_open, rig.link.counters.refused) == (False, 1)


def test_a_challenge_is_good_for_one_try(rig: Rig) -> None:
    proof = rig.hello()
    rig.confirm(bytes(8))
    rig.confirm(proof)
    assert not rig.link.is_open


def test_a_confirmation_without_a_request_is_refused(rig: Rig) -> None:
    rig.confirm(bytes(8))
    assert not rig.link.is_open


def test_a_recorded_confirmation_opens_no_later_session(rig: Rig) -> None:
    proof = rig.hello()
    rig.confirm(proof)
    rig.link.disconnected()
    rig.hello()
    rig.confirm(proof)
    assert not rig.link.is_open


def test_a_decommissioned_belt_refuses(rig: Rig) -> None:
    rig.config.set(decommissioned=True)
    rig.write(session.plain_packet(frames.encode(frames.HELLO_REQUEST, (GATEWAY, bytes(16)))))
    assert [(frame[0], frame[1][0]) for frame in rig.heard()] == [(frames.REFUSED, frames.REFUSED_DECOMMISSIONED)]


def test_nothing_but_the_handshake_is_taken_in_plain(rig: Rig) -> None:
    rig.open()
    rig.write(session.plain_packet(frames.encode(frames.COMMAND, (1, frames.CMD_REBOOT, 0))))
    assert rig.answers.asked == []
    assert rig.link.counters.bad_frames == 1


def test_a_replayed_packet_is_refused_and_counted(rig: Rig) -> None:
    rig.open()
    packet = rig.seal(frames.COMMAND, (1, frames.CMD_IDENTIFY, 5))
    rig.write(packet)
    rig.write(packet)
    assert rig.answers.asked == [("command", frames.CMD_IDENTIFY, 5)]
    assert rig.link.counters.replayed == 1


def test_an_altered_packet_is_refused_and_counted(rig: Rig) -> None:
    rig.open()
    packet = bytearray(rig.seal(frames.ACK, (1,)))
    packet[-1] ^= 1
    rig.write(bytes(packet))
    assert rig.link.counters.forged == 1


def test_a_packet_of_an_older_session_is_refused(rig: Rig) -> None:
    rig.open()
    old = rig.seal(frames.COMMAND, (1, frames.CMD_IDENTIFY, 5))
    rig.link.disconnected()
    rig.open()
    rig.write(old)
    assert rig.answers.asked == []


def test_a_lost_fragment_drops_its_frame_and_no_other(rig: Rig) -> None:
    rig.open()
    rig.air.value_bytes = 20
    parts, following = fragments.split(rig.seal(frames.COMMAND, (1, 1, 1)), 20, 0)
    for part in parts[:-1]:
        rig.link.received(part)
    parts, _ = fragments.split(rig.seal(frames.COMMAND, (2, 1, 2)), 20, following + 5)
    for part in parts:
        rig.link.received(part)
    assert rig.answers.asked == [("command", 1, 2)]


def test_a_newer_kind_is_passed_over(rig: Rig) -> None:
    rig.open()
    assert rig.down is not None
    rig.counter += 1
    rig.write(session.seal(rig.down, rig.counter, bytes((frames.VERSION, 0x7E, 1, 0))))
    assert rig.link.counters.bad_frames == 0
    assert rig.send(frames.TIME, (123, 1)) == []
    assert rig.answers.asked == [("time", 123)]


def test_frames_are_cut_to_the_smallest_mtu(rig: Rig) -> None:
    rig.air.value_bytes = 20
    assert [frame[0] for frame in rig.confirm(rig.hello())] == [frames.ABSENCES, frames.REPORT]


def test_history_stops_at_the_credits_and_goes_on_with_more(rig: Rig) -> None:
    for i in range(10):
        rig.ring.append(1, i, frames.RECORD_TURN_OVER, b"\x05")
    rig.open()
    first = rig.send(frames.HISTORY, (9, 2, 6, 2))
    assert [frame[1][0] for frame in first] == [2, 3]
    rest = rig.send(frames.CREDIT, (9, 10))
    assert [frame[1][0] for frame in rest[:-1]] == [4, 5, 6]
    assert rest[-1][:2] == (frames.HISTORY_END, (9, 2, 6, 1, 10))


def test_history_of_what_is_gone_ends_at_once_and_names_the_oldest(rig: Rig) -> None:
    rig.ring = Ring(NorFlash(sectors=2))
    assert rig.open().send(frames.HISTORY, (1, 1, 50, 5)) == [(frames.HISTORY_END, (1, 1, 0, 1, 0), b"")]


def test_credits_of_another_request_do_not_count(rig: Rig) -> None:
    for _ in range(4):
        rig.ring.append(1, 0, frames.RECORD_TURN_OVER, b"\x05")
    rig.open()
    rig.send(frames.HISTORY, (9, 1, 4, 1))
    assert rig.send(frames.CREDIT, (8, 5)) == []


def test_an_ack_frees_the_ring(rig: Rig) -> None:
    for _ in range(4):
        rig.ring.append(1, 0, frames.RECORD_TURN_OVER, b"\x05")
    rig.open().send(frames.ACK, (3,))
    assert rig.ring.oldest_seq == 4


def test_commands_and_settings_are_answered_by_their_request(rig: Rig) -> None:
    rig.open()
    assert rig.send(frames.COMMAND, (77, 2, 0)) == [(frames.RESULT, (77, frames.STATUS_STARTED, 0), b"")]
    assert rig.send(frames.CONFIGURE, (78, 2, 300)) == [(frames.RESULT, (78, frames.STATUS_DONE, 300), b"")]


def test_claiming_replaces_the_key_for_the_next_session(rig: Rig) -> None:
    bound = b"\x55" * 16
    rig.open().send(frames.CLAIM, (5, bound, GATEWAY))
    rig.link.disconnected()
    rig.confirm(rig.hello(key=bound))
    assert rig.link.is_open


def test_what_the_stack_refuses_waits_and_then_goes_in_order(rig: Rig) -> None:
    rig.open()
    rig.air.room = 0
    for seq in (1, 2, 3):
        assert rig.link.send(frames.encode(frames.TIME, (seq, 0)))
    assert rig.heard() == []
    rig.air.room = 100
    rig.link.poll()
    assert [frame[1][0] for frame in rig.heard()] == [1, 2, 3]


def test_the_queue_has_a_limit_and_what_is_beyond_is_counted(rig: Rig) -> None:
    rig.open()
    rig.air.room = 0
    sent = [rig.link.send(rig.answers.report()) for _ in range(QUEUE_FRAGMENTS_MAX + 5)]
    assert sent.count(True) == QUEUE_FRAGMENTS_MAX
    assert rig.link.counters.unsent == 5


def test_a_disconnect_ends_the_session(rig: Rig) -> None:
    rig.open()
    rig.link.disconnected()
    assert not rig.link.send(rig.answers.report())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_no_garbage_on_rx_harms_an_open_session(tmp_path: Path, values: list[bytes]) -> None:
    rig = Rig(tmp_path).open()
    for value in values:
        rig.link.received(value)
    rig.heard()
    assert rig.send(frames.COMMAND, (1, 1, 9))[-1] == (frames.RESULT, (1, frames.STATUS_STARTED, 9), b"")
