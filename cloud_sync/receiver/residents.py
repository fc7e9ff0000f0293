"""Residents files: who is to be admitted to which bed, read from TOML and admitted to the store.

[[resident]]
name = "Wang Xiulan"
gateway = "gw-01"
bed = "101-A"
room = "101"
id = "r-101a"        # optional; without one it is made from gateway and bed
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_sync.receiver.names import NameBook
from cloud_sync.receiver.stores.base import Admission

__all__ = ["Resident", "ResidentsError", "admissions", "read_residents"]

RESIDENTS_MAX = 10_000
NAME_CHARS_MAX, LABEL_CHARS_MAX = 200, 64
_KEYS = {"name", "gateway", "bed", "room", "id"}


class ResidentsError(ValueError):
    """The file is no residents file; the message says where and why (and never repeats a name)."""


@dataclass(frozen=True, slots=True)
class Resident:
    resident_id: str
    name: str
    gateway: str
    bed: str
    room: str


def read_residents(path: Path) -> list[Resident]:
    """The residents of a file; ResidentsError names the entry and key that is wrong."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ResidentsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ResidentsError(f"{path}: not TOML: {error}") from error
    entries = document.get("resident")
    if not isinstance(entries, list) or not entries or len(entries) > RESIDENTS_MAX or len(document) != 1:
        raise ResidentsError(f"{path}: 1 to {RESIDENTS_MAX} [[resident]] tables belong there, and nothing else")
    residents = [_resident(entry, f"{path}: resident {number}") for number, entry in enumerate(entries, 1)]
    for key in ("place", "resident_id"):
        seen: set[Any] = set()
        for number, resident in enumerate(residents, 1):
            value = resident.resident_id if key == "resident_id" else (resident.gateway, resident.bed)
            if value in seen:
                what = "id" if key == "resident_id" else "gateway and bed"
                raise ResidentsError(f"{path}: resident {number}: another one has the same {what}")
            seen.add(value)
    return residents


def admissions(residents: Sequence[Resident], names: NameBook) -> list[Admission]:
    """What the store admits: names are sealed here and go no further in clear."""
    return [
        Admission(names.seal(resident.resident_id, resident.name), resident.gateway, resident.bed, resident.room)
        for resident in residents
    ]


def _resident(entry: Any, where: str) -> Resident:
    if not isinstance(entry, Mapping):
        raise ResidentsError(f"{where}: not a table")
    if unknown := set(entry) - _KEYS:
        raise ResidentsError(f"{where}: no such key: {', '.join(sorted(unknown))}")
    name, gateway, bed = (_text(entry, key, where) for key in ("name", "gateway", "bed"))
    room = _text(entry, "room", where) if "room" in entry else ""
    digest = hashlib.sha256(f"{gateway}\0{bed}".encode()).hexdigest()
    return Resident(_text(entry, "id", where) if "id" in entry else f"r-{digest[:12]}", name, gateway, bed, room)


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value, most = entry.get(key), NAME_CHARS_MAX if key == "name" else LABEL_CHARS_MAX
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise ResidentsError(f"{where}: {key}: a text of 1 to {most} characters belongs there")
    return value.strip()
