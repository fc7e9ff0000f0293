"""No bytes from the air crash a decoder, and nothing altered is ever taken for genuine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import messages
from protocol.wire import beacon, ccm, fragments, frames, gatt, session

KEY = bytes(range(16))
SERIAL = b"SB000001"


def aes(key: bytes) -> Callable[[bytes], bytes]:
    encrypt: Callable[[bytes], bytes] = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    return encrypt


def _value(code: str) -> st.SearchStrategy[Any]:
    size = {"B": 8, "H": 16, "I": 32, "Q": 64}
    if code == "i":
        return st.integers(-(2**31), 2**31 - 1)
    if code.endswith("s"):
        return st.binary(min_size=int(code[:-1]), max_size=int(code[:-1]))
    return st.integers(0, 2 ** size[code] - 1)


def _codes(layout: str) -> list[str]:
    codes, digits = [], ""
    for character in layout[1:]:
        if character.isdigit():
            digits += character
        else:
            codes.append(digits + character)
            digits = ""
    return codes


@st.composite
def any_frame(draw: st.DrawFn) -> tuple[int, tuple[Any, ...], bytes]:
    kind = draw(st.sampled_from(sorted(frames.LAYOUTS)))
    _, layout, _, tailed = frames.LAYOUTS[kind]
    values = tuple(draw(_value(code)) for code in _codes(layout))
    return kind, values, draw(st.binary(max_size=100)) if tailed else b""


@given(any_frame())
def test_every_frame_decodes_to_what_was_encoded(frame: tuple[int, tuple[Any, ...], bytes]) -> None:
    assert frames.decode(frames.encode(*frame)) == frame


@given(any_frame(), st.integers(0, 15), st.binary(min_size=1, max_size=20))
def test_fields_added_by_a_newer_belt_are_skipped(
    frame: tuple[int, tuple[Any, ...], bytes], minor: int, added: bytes
) -> None:
    raw = frames.encode(*frame)
    end = frames.HEADER_BYTES + raw[2]
    newer = bytes((raw[0] & 0xF0 | minor, raw[1], raw[2] + len(added))) + raw[3:end] + added + raw[end:]
    assert frames.decode(newer) == frame


def test_another_major_version_is_refused() -> None:
    raw = frames.encode(frames.ACK, (1,))
    with pytest.raises(frames.FrameError, match="version"):
        frames.decode(bytes((raw[0] + 0x10,)) + raw[1:])


def test_a_kind_of_the_future_is_named_and_left_to_the_caller() -> None:
    assert frames.decode(bytes((frames.VERSION, 0x7E, 0)) + b"abc") == (0x7E, None, b"abc")


@given(any_frame(), st.data())
def test_a_truncated_frame_is_refused(frame: tuple[int, tuple[Any, ...], bytes], data: st.DataObject) -> None:
    raw = frames.encode(frame[0], frame[1])
    with pytest.raises(frames.FrameError):
        frames.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=600))
def test_garbage_is_a_frame_error_or_a_frame_never_a_crash(data: bytes) -> None:
    with contextlib.suppress(frames.FrameError):
        kind, values, tail = frames.decode(data)
        if values is None:
            return
        if kind == frames.REPORT:
            messages.report_from(values)
        elif kind == frames.RECORD:
            messages.record_from(values, tail)
        elif kind == frames.ABSENCES:
            frames.decode_absences(tail)
        elif kind == frames.HELLO:
            messages.hello_from(values)


@given(st.sampled_from(sorted(frames.RECORDS)), st.binary(max_size=40))
def test_garbage_records_are_a_frame_error_or_a_record(kind: int, body: bytes) -> None:
    with contextlib.suppress(frames.FrameError):
        assert messages.record_from((1, 2, 3, kind), body).seq == 1


@given(st.binary(min_size=1, max_size=fragments.PACKET_BYTES_MAX), st.integers(2, 244), st.integers(0, 63))
def test_fragments_join_to_the_packet(packet: bytes, value_bytes: int, counter: int) -> None:
    pieces, _ = fragments.split(packet, value_bytes, counter)
    state, joined = fragments.IDLE, None
    for piece in pieces:
        assert joined is None
        assert len(piece) <= value_bytes
        state, joined = fragments.join(state, piece)
    assert joined == packet


@given(st.binary(min_size=60, max_size=200), st.data())
def test_a_lost_fragment_never_yields_a_wrong_packet(packet: bytes, data: st.DataObject) -> None:
    pieces, counter = fragments.split(packet, 20, 5)
    pieces += fragments.split(packet, 20, counter)[0]
    lost = data.draw(st.integers(0, len(pieces) - 1))
    state, joined = fragments.IDLE, []
    for index, piece in enumerate(pieces):
        if index == lost:
            continue
        try:
            state, whole = fragments.join(state, piece)
        except frames.FrameError:
            state, whole = fragments.IDLE, None
        if whole is not None:
            joined.append(whole)
    assert joined == [packet]


@given(st.lists(st.binary(max_size=30), max_size=200))
def test_garbage_fragments_are_bounded_and_never_crash(pieces: list[bytes]) -> None:
    state = fragments.IDLE
    for piece in pieces:
        try:
            state, _ = fragments.join(state, piece)
        except frames.FrameError:
            state = fragments.IDLE
        assert len(state[0]) <= fragments.PACKET_BYTES_MAX


@settings(max_examples=50)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=13, max_size=13), st.binary(max_size=300),
       st.binary(max_size=40), st.sampled_from((4, 8)))
def test_ccm_is_that_of_another_implementation(key: bytes, nonce: bytes, plain: bytes, adata: bytes, tag: int) -> None:
    sealed = AESCCM(key, tag).encrypt(nonce, plain, adata)
    assert ccm.seal(aes(key), nonce, plain, adata, tag) == sealed
    assert ccm.unseal(aes(key), nonce, sealed, adata, tag) == plain


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=80))
def test_cmac_is_the_cmac_of_another_implementation(key: bytes, message: bytes) -> None:
    reference = CMAC(algorithms.AES(key))
    reference.update(message)
    assert ccm.cmac(aes(key), message) == reference.finalize()


@given(st.binary(min_size=1, max_size=60), st.integers(1, session.COUNTER_MAX), st.data())
def test_an_altered_sealed_packet_is_refused(frame: bytes, counter: int, data: st.DataObject) -> None:
    packet = bytearray(session.seal(aes(KEY), counter, frame))
    packet[data.draw(st.integers(0, len(packet) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((frames.FrameError, ccm.TagError)):
        session.unseal(aes(KEY), 0, bytes(packet))


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_a_replayed_or_reordered_packet_is_refused(counter: int, back: int) -> None:
    packet = session.seal(aes(KEY), counter, b"frame")
    with pytest.raises(session.ReplayError):
        session.unseal(aes(KEY), counter + back, packet)


def test_keys_of_two_sessions_differ_even_with_one_side_repeating_its_nonce() -> None:
    first = session.transcript(SERIAL, b"gw-00001", bytes(16), bytes(16))
    second = session.transcript(SERIAL, b"gw-00001", bytes(16), bytes(15) + b"\x01")
    assert not set(session.session_keys(aes, KEY, first)) & set(session.session_keys(aes, KEY, second))


def test_a_proof_of_one_side_is_none_of_the_other() -> None:
    script = session.transcript(SERIAL, b"gw-00001", bytes(16), bytes(16))
    assert session.belt_proof(aes, KEY, script) != session.gateway_proof(aes, KEY, script)


@given(st.binary(max_size=40))
def test_garbage_beacons_are_refused(data: bytes) -> None:
    with pytest.raises((frames.FrameError, ccm.TagError)):
        beacon.unseal(aes(KEY), SERIAL, -1, data)


@given(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 5), st.integers(0, 2**24 - 1),
                 st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 15), st.integers(0, 15),
                 st.integers(0, 255),
                 st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 255), st.integers(0, 255)),
       st.integers(0, 2**32 - 1))
def test_a_beacon_opens_to_what_was_sealed_once(values: tuple[int, ...], counter: int) -> None:
    data = beacon.seal(aes(KEY), SERIAL, counter, beacon.pack(values))
    assert len(data) == beacon.BEACON_BYTES
    assert beacon.unseal(aes(KEY), SERIAL, counter - 1, data) == (counter, values)
    assert beacon.unseal(aes(KEY), SERIAL, counter, data) is None


def test_the_attribute_table_fits_the_smallest_board() -> None:
    table = (
        (0x1800, ((0x2A00, 20, False), (0x2A01, 2, False))),
        (0x1801, ((0x2A05, 4, True),)),
        (gatt.SERVICE, ((gatt.RX, 0, False), (gatt.TX, 0, True), (gatt.INFO, 10, False))),
        (gatt.DEVICE_INFORMATION, ((gatt.MODEL_NUMBER, 12, False), (gatt.SERIAL_NUMBER, 16, False),
                                   (gatt.FIRMWARE_REVISION, 8, False))),
        (gatt.HEART_RATE, ((gatt.HEART_RATE_MEASUREMENT, 0, True),)),
        (gatt.BATTERY, ((gatt.BATTERY_LEVEL, 1, True),)),
    )
    assert gatt.table_bytes(table) <= gatt.ATTRIBUTE_TABLE_BYTES_MAX


@given(st.text(max_size=30))
def test_names_of_other_devices_give_no_serial(name: str) -> None:
    assert gatt.serial_of(name) is None or (name.startswith("SB-") and len(name) == 19)
