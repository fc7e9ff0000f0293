"""The support bundle: what helps somebody far away to find a fault, without what names people or tells of them.

Out: keys, PINs, passwords, tokens, account names, network addresses. Beds and rooms become bed-1, room-1 in order; of a
belt's serial the last four digits stay. Readings, alarms and nights are not in it at all.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.config import Config

__all__ = ["Redactor", "write_bundle"]

_COMMENT = re.compile(r"(?m)^\s*#.*$")
_HEX_KEY = re.compile(r"\b[0-9a-fA-F]{32,}\b")
_SERIAL = re.compile(r"\b[0-9a-fA-F]{12}([0-9a-fA-F]{4})\b")
_SECRET_LINE = re.compile(
    r"(?mi)^(\s*[\"']?\w*(?:key|pin|token|secret|password)\w*[\"']?\s*=\s*)(\"[^\"\n]*\"|'[^'\n]*'|\S+)"
)
_SECRET_INLINE = re.compile(r"(?i)\b(pin|key|secret|token|password)(\s*=\s*)(\"[^\"\n]*\"|'[^'\n]*')")
_NAME_INLINE = re.compile(r"(?i)\b(name)(\s*=\s*)(\"[^\"\n]*\"|'[^'\n]*')")
_CREDENTIALS = re.compile(r"(\w+://)[^\s/@\"']+@")
_QUERY = re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']+")
_SCRYPT = re.compile(r"scrypt\$[^\s\"']+")
_IPV4 = re.compile(r"\b(?!127\.)(?!0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}\b")
_MAC = re.compile(r"\b(?:[0-9A-Fa-f]{2}:){3}([0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2})\b")
_TOKEN_WORD = re.compile(r"(?i)(one-time token )\S+")


class Redactor:
    """Takes out of texts what must not leave the house. `names`: what stands for people and places -> what is shown."""

    def __init__(self, names: Mapping[str, str]) -> None:
        # Longest first, so that bed 101-10 is not taken for 101-1 with something behind it.
        self._names = sorted(((name, shown) for name, shown in names.items() if name), key=lambda pair: -len(pair[0]))

    @classmethod
    def of(cls, config: Config | None, accounts: Sequence[str] = ()) -> Redactor:
        """Of everything that the configuration names."""
        if config is None:
            return cls({})
        names: dict[str, str] = {}
        for number, bed in enumerate(config.beds, 1):
            names[bed.label] = f"bed-{number}"
        for number, room in enumerate(dict.fromkeys(bed.room for bed in config.beds), 1):
            names.setdefault(room, f"room-{number}")
        people = [*(account.name for account in config.web.accounts), *accounts]
        for number, name in enumerate(dict.fromkeys(people), 1):
            names.setdefault(name, f"account-{number}")
        for number, button in enumerate(config.alerter.buttons, 1):
            names.setdefault(button.name, f"button-{number}")
        return cls(names)

    def text(self, text: str) -> str:
        """The same text without them."""
        for name, shown in self._names:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", shown, text)
        text = _SCRYPT.sub("<pin>", text)
        text = _SECRET_LINE.sub(r'\1"<removed>"', text)
        text = _SECRET_INLINE.sub(r'\1\2"<removed>"', text)
        text = _CREDENTIALS.sub(r"\1<removed>@", text)
        text = _QUERY.sub(r"\1?<removed>", text)
        text = _TOKEN_WORD.sub(r"\1<removed>", text)
        text = _HEX_KEY.sub("<key>", text)
        text = _SERIAL.sub(r"************\1", text)
        text = _MAC.sub(r"**:**:**:\1", text)
        return _IPV4.sub("<address>", text)

    def configuration(self, text: str) -> str:
        """A TOML file: comments and names go too, known or not."""
        return self.text(_NAME_INLINE.sub(r'\1\2"<removed>"', _COMMENT.sub("", text)))


def write_bundle(file: Path, said: Mapping[str, Any], config: Config | None, journal: str) -> list[str]:
    """A tar.gz of the doctor's findings, the configuration and the journal; the names of what is in it. OSError."""
    redactor = Redactor.of(config)
    parts = {"doctor.json": redactor.text(json.dumps(said, indent=1, ensure_ascii=False)),
             "journal.txt": redactor.text(journal)}  # fmt: skip
    if config is not None:
        parts["gateway.toml"] = redactor.configuration(config.file.read_text("utf-8"))
    with tarfile.open(file, "w:gz") as archive:
        for name, text in parts.items():
            content = text.encode()
            member = tarfile.TarInfo(f"sleepbelt-bundle/{name}")
            member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
            archive.addfile(member, io.BytesIO(content))
    file.chmod(0o600)
    return sorted(parts)
