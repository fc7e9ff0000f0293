"""Somebody asleep who goes out of bed, the gateway that watches, and the alarms in its store in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.store_files import StoreFiles
from protocol.batch import AlarmEvent, decode_item

__all__ = ["Sleeper", "alarms_of", "night", "write_gateway"]


@dataclass(frozen=True)
class Sleeper:
    """A bed with its belt; `serial` and `key` in hexadecimal."""

    bed: str
    serial: str
    key: str


def night(seed: int, outs: Sequence[tuple[str, int]], end: str = "06:00") -> str:
    """A script for hil/synth: in bed from the first sample but for `outs` (at, for seconds); 00:00 ends a whole day."""
    return (
        f'title = "Asleep, sometimes out of bed"\nstart = "00:00"\nend = "{end}"\nseed = {seed}\n'
        "[resident]\nheart_rate_bpm = 62\nmovements_per_h = 0\nturn_overs_per_h = 0\n"
        '[[event]]\nat = "00:00"\nkind = "enter"\n'
        + "".join(f'[[event]]\nat = "{at}"\nkind = "exit"\nfor_s = {for_s}\n' for at, for_s in outs)
    )


def write_gateway(folder: Path, backend: str, adapter: str, sleepers: Sequence[Sleeper], overrides: str) -> Path:
    """gateway.toml for beds that are watched all day; `overrides` are TOML lines of every bed."""
    beds = "".join(
        f'[[beds]]\nlabel = "{sleeper.bed}"\nserial = "{sleeper.serial}"\nkey = "{sleeper.key}"\n'
        f"[beds.overrides]\nsettle_s = 20\nwindows = [{{ all_day = true }}]\n{overrides}" for sleeper in sleepers
    )
    file = folder / "gateway.toml"
    file.write_text(
        '[gateway]\nid = "gw"\ndata_dir = "data"\ntime_trust = "always"\n'
        f'[radio]\nbackend = "{backend}"\nadapter = "{adapter}"\n'
        f'[web]\nhost = "127.0.0.1"\nport = 0\nopen_access = true\n{beds}'
    )
    file.chmod(0o600)
    return file


def alarms_of(folder: Path) -> list[AlarmEvent]:
    """Everything in the alarm lane of the store, in order; no two under one number."""
    files = StoreFiles(folder / "data")
    items = files.pending("alarm", 0, 10**7)
    files.close()
    assert len({item.seq for item in items}) == len(items)
    return [event for event in (decode_item(item.body) for item in items) if isinstance(event, AlarmEvent)]
