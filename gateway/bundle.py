"""The support bundle: what helps somebody far away to find a fault, without what names people or tells of them.

Out: keys, PINs, passwords, tokens, claim codes, telephone numbers, account names, network addresses. Beds and rooms
become bed-1, room-1 in order, also those that only the store still knows; of a belt's serial the last four digits stay.
Readings, alarms and nights are not in it at all. Where it cannot be known who is named, the journal stays out whole.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
_IPV6 = re.compile(
    r"(?<![\w:.])(?:(?:[0-9A-Fa-f]{1,4}:){4,7}|(?=[0-9A-Fa-f:]*::)(?:[0-9A-Fa-f]{0,4}:){2,7})[0-9A-Fa-f]{0,4}(?![\w:])"
)
_TOKEN_WORD = re.compile(r"(?i)(one-time token )\S+")
_SECRET_WORD = re.compile(r"(?i)\b(password|passphrase|passwd|psk|secret|pin)\b[\"']?(\s*[:=]\s*|\s+)(?!=)\S+")
_CLAIM = re.compile(r"\b(?:BB1:|SBE1-)\S+|\b[0-9A-HJKMNP-TV-Z]{26,27}\b")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_TELEPHONE = re.compile(r"(?<![\w.])(?:\+\d[\d ()-]{7,}\d|(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4})(?!\w)")
_AFTER_PATH = re.compile(r"(: found |; ).*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Kept:
    """Names that a gateway's store knows beside the configuration: accounts made on the pages, beds of before."""

    accounts: tuple[str, ...] = ()
    beds: tuple[str, ...] = ()


class Redactor:
    """Takes out of texts what must not leave the house. `names`: what stands for people and places -> what is shown."""

    def __init__(self, names: Mapping[str, str]) -> None:
        # Longest first, so that bed 101-10 is not taken for 101-1 with something behind it.
        self._names = sorted(((name, shown) for name, shown in names.items() if name), key=lambda pair: -len(pair[0]))

    @classmethod
    def of(cls, config: Config | None, kept: Kept | None = None) -> Redactor:
        """Of everything that the configuration and the store name."""
        if config is None:
            return cls({})
        kept = kept or Kept()
        names: dict[str, str] = {}
        beds = dict.fromkeys([*(bed.label for bed in config.beds), *kept.beds])
        for number, label in enumerate(beds, 1):
            names[label] = f"bed-{number}"
        for number, room in enumerate(dict.fromkeys(bed.room for bed in config.beds), 1):
            names.setdefault(room, f"room-{number}")
        people = [*(account.name for account in config.web.accounts), *kept.accounts]
        for number, name in enumerate(dict.fromkeys(people), 1):
            names.setdefault(name, f"account-{number}")
        for number, button in enumerate(config.alerter.buttons, 1):
            names.setdefault(button.name, f"button-{number}")
        return cls(names)

    def text(self, text: str) -> str:
        """The same text without them."""
        for name, shown in self._names:
            # Between letters of the alphabet a short name is part of a word; Han characters stand beside any other.
            before = r"(?<![A-Za-z0-9_-])" if name[0].isascii() else ""
            after = r"(?![A-Za-z0-9_-])" if name[-1].isascii() else ""
            text = re.sub(before + re.escape(name) + after, shown, text, flags=re.IGNORECASE)
        text = _PEM.sub("<key>", text)
        text = _SCRYPT.sub("<pin>", text)
        text = _SECRET_LINE.sub(r'\1"<removed>"', text)
        text = _SECRET_INLINE.sub(r'\1\2"<removed>"', text)
        text = _CREDENTIALS.sub(r"\1<removed>@", text)
        text = _QUERY.sub(r"\1?<removed>", text)
        text = _TOKEN_WORD.sub(r"\1<removed>", text)
        text = _CLAIM.sub("<code>", text)
        text = _HEX_KEY.sub("<key>", text)
        text = _SERIAL.sub(r"************\1", text)
        text = _MAC.sub(r"**:**:**:\1", text)
        return _IPV6.sub("<address>", _IPV4.sub("<address>", text))

    def log(self, text: str) -> str:
        """What programs wrote down: also what people may have typed into it."""
        return _TELEPHONE.sub("<telephone>", _SECRET_WORD.sub(r"\1\2<removed>", self.text(text)))

    def data(self, value: Any) -> Any:
        """Every text of a JSON value."""
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.data(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(one) for one in value]
        return self.text(value) if isinstance(value, str) else value

    def configuration(self, text: str) -> str:
        """A TOML file: comments and names go too, known or not."""
        return self.log(_NAME_INLINE.sub(r'\1\2"<removed>"', _COMMENT.sub("", text)))


def write_bundle(file: Path, said: Mapping[str, Any], config: Config | None, journal: str) -> list[str]:
    """A tar.gz of the doctor's findings, the configuration and the journal; the names of what is in it. OSError."""
    kept = None if config is None else _kept(config.gateway.data_dir)
    redactor = Redactor.of(config, kept)
    shown = redactor.data(said if config is not None else _without_configuration(said))
    parts = {"doctor.json": json.dumps(shown, indent=1, ensure_ascii=False)}
    if kept is not None:
        parts["journal.txt"] = redactor.log(journal)
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


def _kept(folder: Path) -> Kept | None:
    """What the store names; None if there is one that cannot be read, so that nobody knows."""
    from gateway.store_copy import events_copy
    from gateway.store_evidence import account_rows
    from gateway.store_repair import StoreError

    if not (folder / "events.db").exists():
        return Kept()
    try:
        with events_copy(folder) as db:
            beds: set[str] = set()
            for table in ("nights", "belt_records", "events"):
                beds |= {str(row[0]) for row in db.execute(f"SELECT DISTINCT bed FROM {table}") if row[0]}
            return Kept(tuple(row.name for row in account_rows(db)), tuple(sorted(beds)))
    except (StoreError, sqlite3.Error, OSError):
        return None


def _without_configuration(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration that cannot be read the places of its problems, not what stands there: it may be a name."""
    cleaned = dict(said)
    cleaned["findings"] = [
        {**finding, "found": _AFTER_PATH.sub(": <removed>", str(finding["found"]))}
        if finding["topic"] == "configuration" else finding for finding in said["findings"]
    ]  # fmt: skip
    facts = dict(said["facts"])
    facts["configuration_problems"] = [
        _AFTER_PATH.sub(": <removed>", str(one)) for one in facts["configuration_problems"]]  # fmt: skip
    cleaned["facts"] = facts
    return cleaned
