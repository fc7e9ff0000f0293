"""What is printed on a belt and at a bed, and how it is read back from a camera or from tired fingers.

    BB1:<serial>:<model>:<claim code>       belt: 13 characters of serial, model, 26 of secret and one check character
    BED1:<gateway id>:<bed>                 bed

All characters of a belt's label are alphanumeric in the QR sense, 47 of them: exactly version 2 (25 x 25 modules) at
correction level L, which prints at 12 mm. Numbers are written in Crockford's base 32, so that I, L and O typed for 1, 1
and 0 are read as meant. The check character covers serial and code (a sum over GF(32)): it finds every single wrong
character and every two neighbours swapped; the secret itself is the 128 bits of the factory's `identity.json`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

__all__ = [
    "CODE_CHARS",
    "BedLabel",
    "BeltLabel",
    "LabelError",
    "bed_label_text",
    "belt_label_text",
    "grouped",
    "parse_bed",
    "parse_belt",
    "parse_code",
    "parse_label",
    "parse_serial",
]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BELT_PREFIX, BED_PREFIX = "BB1", "BED1"
SERIAL_BYTES, SECRET_BYTES = 8, 16
SERIAL_CHARS, SERIAL_HEX_CHARS = 13, 16
SECRET_CHARS = 26
CODE_CHARS = SECRET_CHARS + 1
GROUP_CHARS = 5
TEXT_CHARS_MAX = 512
_MEANT = {"I": "1", "L": "1", "O": "0"}
_IGNORED = " \t\r\n-_."
_FIELD_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, primitive: every power of x up to 31 differs


@dataclass(frozen=True, slots=True)
class BeltLabel:
    """A belt's label; `secret` is its claim secret and is never shown or logged."""

    serial: bytes
    model: int
    secret: bytes

    def __repr__(self) -> str:
        return f"BeltLabel({self.serial.hex()}, model {self.model})"


@dataclass(frozen=True, slots=True)
class BedLabel:
    """A bed's label, as its gateway printed it."""

    gateway: str
    bed: str


class LabelError(ValueError):
    """This text is no label. `code` names the problem, `values` what belongs into its words:

    | code | values | |
    |---|---|---|
    | `label_empty` | | nothing was read |
    | `label_foreign` | `found` | a QR code of something else |
    | `label_version` | `found` | a label that a newer version made |
    | `label_parts` | `found` | not four parts between colons |
    | `label_character` | `part`, `position`, `found` | a character that no label has |
    | `label_length` | `part`, `found`, `expected` | characters too few or too many |
    | `label_check` | | a character is wrong, or two are swapped |
    """

    def __init__(self, code: str, **values: str | int) -> None:
        self.code = code
        self.values = values
        super().__init__(f"{code} {values}" if values else code)


def parse_label(text: str) -> BeltLabel | BedLabel:
    """A belt's or a bed's label, scanned or typed; LabelError says what is wrong with it."""
    return parse_bed(text) if _head(text) == BED_PREFIX else parse_belt(text)


def parse_belt(text: str) -> BeltLabel:
    """`BB1:<serial>:<model>:<claim code>`; lower case, spaces and full-width characters are tolerated."""
    head = _head(text)
    parts = [part.strip() for part in _plain(text).split(":")]
    if head != BELT_PREFIX:
        if head[:2] == "BB" and head[2:].isdigit():
            raise LabelError("label_version", found=head)
        raise LabelError("label_foreign", found=_shown(text))
    if len(parts) != 4:
        raise LabelError("label_parts", found=len(parts))
    serial = parse_serial(parts[1])
    model = _number(_characters("model", parts[2], 0))
    return BeltLabel(serial, model, parse_code(parts[3], serial))


def parse_serial(text: str) -> bytes:
    """A serial in 13 characters of base 32 (label) or 16 hexadecimal digits (configuration, advertised name)."""
    plain = _squeezed(text)
    if plain.startswith("SB") and len(plain) == SERIAL_HEX_CHARS + 2:
        plain = plain[2:]
    if len(plain) == SERIAL_HEX_CHARS:
        for position, character in enumerate(plain, 1):
            if character not in "0123456789ABCDEF":
                raise LabelError("label_character", part="serial", position=position, found=character)
        return bytes.fromhex(plain)
    values = _characters("serial", plain, SERIAL_CHARS)
    number = _number(values)
    if number >> 8 * SERIAL_BYTES:
        raise LabelError("label_character", part="serial", position=1, found=plain[0])
    return number.to_bytes(SERIAL_BYTES, "big")


def parse_code(text: str, serial: bytes) -> bytes:
    """The claim secret (16 bytes) from the printed claim code of the belt `serial`."""
    values = _characters("code", text, CODE_CHARS)
    if _check(serial, values[:-1]) != values[-1]:
        raise LabelError("label_check")
    number = _number(values[:-1])
    if number >> 8 * SECRET_BYTES:
        raise LabelError("label_check")
    return number.to_bytes(SECRET_BYTES, "big")


def parse_bed(text: str) -> BedLabel:
    """`BED1:<gateway id>:<bed>`."""
    parts = unicodedata.normalize("NFKC", text).strip().split(":", 2)
    if len(parts) != 3 or parts[0].strip().upper() != BED_PREFIX or not parts[2].strip():
        raise LabelError("label_foreign", found=_shown(text))
    return BedLabel(parts[1].strip(), parts[2].strip())


def belt_label_text(label: BeltLabel) -> str:
    """What the belt's QR code holds."""
    return f"{BELT_PREFIX}:{_written(label.serial, SERIAL_CHARS)}:{_model(label.model)}:{code_of(label)}"


def code_of(label: BeltLabel) -> str:
    """The claim code with its check character, 27 characters."""
    secret = _written(label.secret, SECRET_CHARS)
    return secret + ALPHABET[_check(label.serial, [ALPHABET.index(character) for character in secret])]


def bed_label_text(label: BedLabel) -> str:
    """What the bed's QR code holds."""
    return f"{BED_PREFIX}:{label.gateway}:{label.bed}"


def grouped(code: str) -> str:
    """For people: groups of five with a dash between them."""
    return "-".join(code[at : at + GROUP_CHARS] for at in range(0, len(code), GROUP_CHARS))


def _check(serial: bytes, code: list[int]) -> int:
    """Sum of all characters, each times another power of x in GF(32)."""
    total = 0
    for value in [ALPHABET.index(character) for character in _written(serial, SERIAL_CHARS)] + code:
        total <<= 1
        if total & 32:
            total ^= _FIELD_POLYNOMIAL
        total ^= value
    # Once more, so that the check character is one of the sum's places and not a copy of the last one's.
    total <<= 1
    return total ^ _FIELD_POLYNOMIAL if total & 32 else total


def _characters(part: str, text: str, expected: int) -> list[int]:
    """Values of the characters; `expected` 0: any length from 1 to 4."""
    plain = _squeezed(text)
    values = []
    for position, character in enumerate(plain, 1):
        meant = _MEANT.get(character, character)
        if meant not in ALPHABET:
            raise LabelError("label_character", part=part, position=position, found=character)
        values.append(ALPHABET.index(meant))
    if (expected and len(values) != expected) or not 0 < len(values) <= (expected or 4):
        raise LabelError("label_length", part=part, found=len(values), expected=expected or 1)
    return values


def _number(values: list[int]) -> int:
    number = 0
    for value in values:
        number = number << 5 | value
    return number


def _written(data: bytes, characters: int) -> str:
    number = int.from_bytes(data, "big")
    return "".join(ALPHABET[number >> 5 * (characters - 1 - at) & 31] for at in range(characters))


def _model(model: int) -> str:
    assert 0 <= model < 1024
    return ALPHABET[model] if model < 32 else ALPHABET[model >> 5] + ALPHABET[model & 31]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text[:TEXT_CHARS_MAX]).upper()


def _squeezed(text: str) -> str:
    return "".join(character for character in _plain(text) if character not in _IGNORED)


def _head(text: str) -> str:
    plain = _plain(text).strip()
    if not plain:
        raise LabelError("label_empty")
    return plain.partition(":")[0].replace(" ", "")


def _shown(text: str) -> str:
    """The beginning of a foreign text: enough to recognise it, not enough to leak a password that stands in it."""
    plain = text.strip()
    return plain[:12] + ("..." if len(plain) > 12 else "")
