"""A face for a resident without a photograph: initials on a quiet colour that stays the same."""

from __future__ import annotations

import unicodedata
import zlib

HUES = 8  # classes avatar-0 ... avatar-7 of base.css


def initials(name: str) -> str:
    """One or two characters for a name: the last two Han characters, or the first letters of first and last word."""
    letters = [character for character in name if unicodedata.category(character)[0] == "L"]
    han = [character for character in letters if "一" <= character <= "鿿"]
    if han:
        return "".join(han[-2:])
    words = ["".join(c for c in word if unicodedata.category(c)[0] == "L") for word in name.split()]
    words = [word for word in words if word]
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


def hue(resident_id: str) -> int:
    """The number of a resident's colour, by the identity and not the name (which may be masked)."""
    return zlib.crc32(resident_id.encode("utf-8", "surrogatepass")) % HUES
