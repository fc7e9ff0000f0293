"""Bad commands at the gateway: tampered, huge, deep, recorded. None acts, none ends anything, none fills the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.clock import GatewayClock
from gateway.platform_commands import COUNTER_FILE, NOTE_EVERY_MS, PlatformCommands
from protocol import command
from protocol.command import Command, decode_answer, encode_command
from protocol.packing import pack

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class SteeredClock(GatewayClock):
    now_ms = 1_000

    def mono_ms(self) -> int:
        return self.now_ms


class Audit:
    """What the commands need of Management before they act."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str, str, str]] = []

    def note(self, kind: str, who: str, bed: str, detail: str) -> None:
        self.notes.append((kind, who, bed, detail))


class NoBeds:
    beds: dict[str, Any] = {}  # noqa: RUF012


def gateway(folder: Path, audit: Audit, clock: GatewayClock | None = None) -> PlatformCommands:
    public = KEY.public_key().public_bytes_raw()
    room, operations = cast(Any, NoBeds()), cast(Any, None)  # nothing gets that far
    return PlatformCommands("gw-01", public, folder, clock or GatewayClock(), room, cast(Any, audit), operations)


def signed(counter: int = 7, gateway: str = "gw-01") -> bytes:
    asked = Command(gateway, counter, 0, command.ACKNOWLEDGE, "A", "anna", {"alarm_id": "a-1"})
    return encode_command(asked, KEY.sign)


async def test_a_command_with_any_byte_changed_does_nothing(tmp_path: Path) -> None:
    audit = Audit()
    commands = gateway(tmp_path, audit)
    good = signed()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x01
        assert await commands.take(bytes(bad)) is None
    assert not (tmp_path / COUNTER_FILE).exists()
    assert {note[0] for note in audit.notes} == {"command_refused"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (bytes(command.BYTES_MAX + 1), "too_large"),
        (b"\xdd\xff\xff\xff\xff", "not_msgpack"),
        (b"\x91" * 300 + b"\x01", "too_deep"),
        (pack([2, b"", b""]), "wrong_version"),
        (pack([1, "text", b""]), "bad_shape"),
        (pack([1, b"", b""]), "unsigned"),
        (pack([1, b"x", KEY.sign(command.SIGNED + b"x")]), "bad_shape"),
        (pack([1, pack([1] * 7), KEY.sign(command.SIGNED + pack([1] * 7))]), "bad_value"),
        (b"", "not_msgpack"),
    ],
)
async def test_what_is_no_command_is_refused_by_name(tmp_path: Path, message: bytes, code: str) -> None:
    audit = Audit()
    assert await gateway(tmp_path, audit).take(message) is None
    assert audit.notes == [("command_refused", "", "", code)]


async def test_a_recording_is_answered_as_replayed_also_after_a_restart(tmp_path: Path) -> None:
    codes = []
    for _ in range(2):
        commands = gateway(tmp_path, Audit())
        for message in (signed(7), signed(7), signed(6), signed(8, gateway="gw-02")):
            answer = await commands.take(message)
            assert answer is not None
            codes.append((decode_answer(answer).code, decode_answer(answer).last_counter))
    assert codes[0][0] != "replayed"
    assert codes[1:4] == [("replayed", 7), ("replayed", 7), ("foreign", 7)]
    assert codes[4:] == [("replayed", 7), ("replayed", 7), ("replayed", 7), ("foreign", 7)]


async def test_a_flood_of_refused_commands_leaves_two_lines_a_minute_in_the_audit(tmp_path: Path) -> None:
    audit, clock = Audit(), SteeredClock()
    commands = gateway(tmp_path, audit, clock)
    for _ in range(500):
        await commands.take(b"x")
        await commands.take(bytes(command.BYTES_MAX + 1))
    assert len(audit.notes) == 2
    clock.now_ms += NOTE_EVERY_MS
    await commands.take(b"x")
    assert len(audit.notes) == 3
    assert audit.notes[-1][3].endswith("(and 499 more before)")
