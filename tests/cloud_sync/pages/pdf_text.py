"""The texts of a PDF of ours, read back from its bytes: enough of the format for what fpdf2 writes with a font file."""

from __future__ import annotations

import re
import zlib

_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_CONTROL = {b"r": b"\r", b"n": b"\n", b"t": b"\t"}


def pdf_texts(document: bytes) -> list[str]:
    """Each text in the order in which it was written; a cell is one text."""
    found = [m[1] for m in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", document, re.DOTALL)]
    streams = [zlib.decompress(stream) if stream[:1] == b"x" else stream for stream in found]
    characters = {
        int(code, 16): bytes.fromhex(utf16.decode()).decode("utf-16-be")
        for stream in streams if b"beginbfchar" in stream
        for code, utf16 in re.findall(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>", stream)
    }  # fmt: skip
    shown = [
        _ESCAPED.sub(lambda m: _CONTROL.get(m[1], m[1]), text)
        for stream in streams if stream.startswith(b"2 J")
        for text in re.findall(rb" \(((?:\\.|[^\\)])*)\) Tj", stream, re.DOTALL)
    ]  # fmt: skip
    return ["".join(characters[code] for code in _codes(text)) for text in shown]


def _codes(text: bytes) -> list[int]:
    return [text[i] << 8 | text[i + 1] for i in range(0, len(text), 2)]
