"""What the platform asks of a gateway, signed, and what the gateway answers: one message each.

Command: `[version, content, signature]`; the content is the canonical encoding of
`[gateway, counter, utc_ms, kind, bed, who, argument]`, the signature Ed25519 over SIGNED + content.
Answer: `[version, counter, code, detail, last_counter]`. A gateway acts on a command at most once: only on a counter
above every one it has taken, so that neither a repetition nor an old recording of one does anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.batch import BatchError
from protocol.packing import PackingError, pack, unpack

__all__ = [
    "ANSWER_LEAF", "COMMAND_LEAF", "DONE", "REPLAYED", "Answer", "Command", "decode_answer", "decode_command",
    "encode_answer", "encode_command",
]  # fmt: skip

VERSION = 1
SIGNED = b"sleepbelt-command-1"
COMMAND_LEAF, ANSWER_LEAF = "command", "answer"
BYTES_MAX = 32 * 1024
COUNTER_MAX = 2**53
TEXT_MAX = 200

ACKNOWLEDGE, SETTINGS_SHOW, SETTINGS_PUT = "acknowledge", "settings_show", "settings_put"
BELT_UPDATE = "belt_update"  # of the whole gateway: its bed is ""

DONE = "done"
# Refusals: `unsigned` (no good signature), `foreign` (another gateway's), `replayed`, `late`, `unknown_kind`,
# `unknown_bed`, `other_alarm` (the alarm meant is over), `bad_settings` (detail: the form with its errors), and the
# codes of the gateway's own actions (`belt_update`: what is staged cannot be used, the detail says why).
UNSIGNED, FOREIGN, REPLAYED, LATE, UNKNOWN_KIND = "unsigned", "foreign", "replayed", "late", "unknown_kind"
UNKNOWN_BED, OTHER_ALARM, BAD_SETTINGS = "unknown_bed", "other_alarm", "bad_settings"


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do; `argument` by kind: `{"alarm_id"}`, `{}`, the texts of the settings form, `{"do"}`."""

    gateway: str
    counter: int
    utc_ms: int
    kind: str
    bed: str
    who: str  # the account of the staff
    argument: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the command `counter`; `last_counter`: the highest one the gateway has ever taken."""

    counter: int
    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    last_counter: int = 0


def encode_command(command: Command, sign: Callable[[bytes], bytes]) -> bytes:
    """The message of a command; `sign` makes the Ed25519 signature of some bytes. BatchError if it breaks a limit."""
    content = pack([command.gateway, command.counter, command.utc_ms, command.kind, command.bed, command.who,
                    dict(command.argument)])  # fmt: skip
    message = pack([VERSION, content, sign(SIGNED + content)])
    if len(message) > BYTES_MAX:
        raise BatchError("too_large", f"a command of {len(message)} bytes, at most {BYTES_MAX}")
    return message


def decode_command(message: bytes, is_signed: Callable[[bytes, bytes], bool]) -> Command:
    """The command in a message; `is_signed(signature, bytes)`. BatchError, `unsigned` before anything is read."""
    content, signature = _parts(message, 3)[1:3]
    if not isinstance(content, bytes) or not isinstance(signature, bytes):
        raise BatchError("bad_shape", "a command is [version, content, signature]")
    if not is_signed(signature, SIGNED + content):
        raise BatchError(UNSIGNED, "the signature is not the platform's")
    wire = _unpacked(content)
    if not isinstance(wire, list) or len(wire) < 7:
        raise BatchError("bad_shape", "a command's content has seven elements")
    gateway, counter, utc_ms, kind, bed, who, argument = wire[:7]
    texts = [gateway, kind, bed, who]
    if not all(isinstance(text, str) and len(text) <= TEXT_MAX for text in texts) or not isinstance(argument, dict):
        raise BatchError("bad_value", "a command names gateway, kind, bed and who as texts")
    if not all(isinstance(part, str) and len(part) <= TEXT_MAX for pair in argument.items() for part in pair):
        raise BatchError("bad_value", "a command's argument maps texts to texts")
    if any(type(number) is not int or not 0 <= number <= COUNTER_MAX for number in (counter, utc_ms)):
        raise BatchError("bad_value", "a command's counter and time are whole numbers")
    return Command(gateway, counter, utc_ms, kind, bed, who, argument)


def encode_answer(answer: Answer) -> bytes:
    """The message of an answer."""
    return pack([VERSION, answer.counter, answer.code, dict(answer.detail), answer.last_counter])


def decode_answer(message: bytes) -> Answer:
    """The answer in a message; BatchError says what is wrong."""
    counter, code, detail, last = _parts(message, 5)[1:5]
    if type(counter) is not int or type(last) is not int or not isinstance(code, str) or not isinstance(detail, dict):
        raise BatchError("bad_shape", "an answer is [version, counter, code, detail, last_counter]")
    return Answer(counter, code[:TEXT_MAX], detail, last)


def _parts(message: bytes, least: int) -> list[Any]:
    if len(message) > BYTES_MAX:
        raise BatchError("too_large", f"{len(message)} bytes, at most {BYTES_MAX}")
    wire = _unpacked(message)
    if not isinstance(wire, list) or len(wire) < least:
        raise BatchError("bad_shape", f"an array of {least} elements belongs there")
    if wire[0] != VERSION:
        raise BatchError("wrong_version", f"version {wire[0]!r}, this sleepbelt knows {VERSION}")
    return wire


def _unpacked(data: bytes) -> Any:
    try:
        return unpack(data)
    except PackingError as error:
        raise BatchError(error.code, str(error)) from None
