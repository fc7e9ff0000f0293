"""Which belt belongs to which bed, with which key, and what a technician may do about it.

The site's state stands above the configuration file: a bed that was given a belt here has that one, whatever the file
says. Keys change in two steps, so that no power cut leaves a belt with a key that nobody has: the new key is kept
beside the old one first (`next_key`), then sent to the belt, then takes the old one's place.

| refusal | what it means |
|---|---|
| `unknown_bed`, `unknown_belt` | not of this gateway |
| `other_gateway` | the bed's label names another gateway |
| `already_bound` | the belt is at another bed of this gateway (`bed`) |
| `already_here` | it is at this bed already |
| `locked` | too many wrong claim codes (`wait_s`) |
| `decommissioned` | this belt was taken out of service here |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.cores.labels import BedLabel, BeltLabel

__all__ = ["LOCK_MS", "TRIES_MAX", "BeltRecord", "Refusal", "Site"]

TRIES_MAX = 5
LOCK_MS = 10 * 60_000
BELTS_MAX = 512
CALIBRATED_RATIO_MIN = 3.0  # what the belt itself asks (firmware_py/belt/calibration.py)
MIDDLE_RATIO = 6.0
STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not; `values` go into the words of `provision_error.CODE`."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BeltRecord:
    """What the gateway knows of a belt; keys are never shown or logged."""

    serial: bytes
    key: bytes
    claimed: bool = False  # `key` has replaced the label's secret
    model: int = 0
    next_key: bytes | None = None  # sent to the belt, perhaps taken over
    bed: str = ""
    planned_bed: str = ""  # of a batch: one scan binds it
    since_utc_ms: int = 0
    rekey: bool = False  # after a restore: its key is known elsewhere
    decommissioned: bool = False
    handed_over: bool = False  # given up, with a key that is for another gateway
    wiped: bool = False  # it said that no record was left when it was given up or went out of service

    def __repr__(self) -> str:
        return f"BeltRecord({self.serial.hex()}, bed {self.bed!r})"


class Site:
    """The bindings of one gateway; every change returns nothing and is to be stored before it takes effect."""

    def __init__(self, gateway: str, beds: Mapping[str, bytes | None]) -> None:
        """`beds`: label -> serial that the configuration file gives it, in the file's order."""
        self.gateway = gateway
        self._file_beds = dict(beds)
        self.belts: dict[bytes, BeltRecord] = {}
        self.emptied: set[str] = set()
        """Beds whose belt of the file was taken off here."""
        self.tries: dict[bytes, tuple[int, int]] = {}
        """serial -> (wrong codes in a row, elapsed ms until which it is locked)"""
        self.tested: dict[str, dict[str, Any]] = {}
        """bed -> its last finished walk test, as `walk_test.result_state` gives it."""
        self.calibrated: dict[bytes, dict[str, Any]] = {}
        """serial -> levels of the last calibration, and where on the bed the belt lies by them."""

    # -- reading -----------------------------------------------------------------------------------------------------

    def beds(self) -> dict[str, bytes | None]:
        """label -> serial of the belt that is bound there."""
        bound = {record.bed: record.serial for record in self.belts.values() if record.bed}
        taken = set(bound.values()) | {record.serial for record in self.belts.values() if record.decommissioned}
        return {
            label: bound.get(label) or (None if label in self.emptied or serial in taken else serial)
            for label, serial in self._file_beds.items()
        }

    def bed_of(self, serial: bytes) -> str:
        """The bed a belt is bound to, "" if none."""
        return next((label for label, bound in self.beds().items() if bound == serial), "")

    def keys_for(self, label: BeltLabel) -> list[bytes]:
        """The keys to try with the belt that carries this label, the likeliest first."""
        record = self.belts.get(label.serial)
        known = [] if record is None else [record.key, record.next_key]
        return list(dict.fromkeys(key for key in (*known, label.secret) if key is not None))

    # -- decisions ---------------------------------------------------------------------------------------------------

    def may_scan_bed(self, label: BedLabel) -> Refusal | None:
        """Whether a bed's label is of this gateway."""
        if label.gateway != self.gateway:
            return Refusal("other_gateway", {"gateway": label.gateway})
        return None if label.bed in self._file_beds else Refusal("unknown_bed", {"bed": label.bed})

    def may_claim(self, serial: bytes, bed: str, now_ms: int) -> Refusal | None:
        """Whether this belt may come to this bed (`bed` "": only be claimed)."""
        if bed and bed not in self._file_beds:
            return Refusal("unknown_bed", {"bed": bed})
        record = self.belts.get(serial)
        if record is not None and record.decommissioned:
            return Refusal("decommissioned", {"belt": serial.hex()})
        at = self.bed_of(serial)
        if at and at != bed:
            return Refusal("already_bound", {"bed": at, "belt": serial.hex()})
        if at:
            return Refusal("already_here", {"bed": at, "belt": serial.hex()})
        until_ms = self.tries.get(serial, (0, 0))[1]
        if until_ms > now_ms:
            return Refusal("locked", {"wait_s": (until_ms - now_ms + 999) // 1000, "tries": TRIES_MAX})
        if record is None and len(self.belts) >= BELTS_MAX:
            return Refusal("too_many_belts", {"most": BELTS_MAX})
        return None

    def planned_bed(self, serial: bytes) -> str:
        """Where a batch wants this belt, "" if nowhere."""
        record = self.belts.get(serial)
        return record.planned_bed if record is not None else ""

    # -- changes -----------------------------------------------------------------------------------------------------

    def wrong_code(self, serial: bytes, now_ms: int) -> int:
        """A claim code did not fit; how many tries are left before the belt is locked for a while."""
        count = self.tries.get(serial, (0, 0))[0] + 1
        locked = count >= TRIES_MAX
        self.tries[serial] = (0 if locked else count, now_ms + LOCK_MS if locked else 0)
        return 0 if locked else TRIES_MAX - count

    def right_code(self, serial: bytes) -> None:
        self.tries.pop(serial, None)

    def begin_key(self, label: BeltLabel, key: bytes, next_key: bytes, utc_ms: int) -> None:
        """The belt answered under `key`; `next_key` is about to be sent."""
        record = self.belts.get(label.serial) or BeltRecord(label.serial, key)
        self.belts[label.serial] = replace(
            record, key=key, next_key=next_key, model=label.model or record.model,
            since_utc_ms=record.since_utc_ms or utc_ms, handed_over=False, wiped=False,
        )  # fmt: skip

    def end_key(self, serial: bytes) -> None:
        """The belt has taken the next key over."""
        record = self.belts[serial]
        assert record.next_key is not None
        self.belts[serial] = replace(record, key=record.next_key, next_key=None, claimed=True, rekey=False)

    def bind(self, serial: bytes, bed: str, utc_ms: int) -> bytes | None:
        """Put a claimed belt at a bed; the serial of the belt that was there and is a spare now."""
        before = self.beds()[bed]
        if before is not None:
            self.unbind(bed)
        self.belts[serial] = replace(self.belts[serial], bed=bed, planned_bed="", since_utc_ms=utc_ms)
        self.tested.pop(bed, None)
        return before

    def unbind(self, bed: str) -> None:
        """The bed has no belt any more; the belt stays known here, with its key."""
        for serial, record in self.belts.items():
            if record.bed == bed:
                self.belts[serial] = replace(record, bed="")
        self.tested.pop(bed, None)
        self.emptied.add(bed)

    def adopt(self, serial: bytes, key: bytes, bed: str) -> None:
        """A belt that the configuration file names becomes one of the site, with the file's key."""
        self.belts.setdefault(serial, BeltRecord(serial, key, bed=bed))

    def plan(self, label: BeltLabel, bed: str) -> None:
        """A batch wants this belt at this bed."""
        record = self.belts.get(label.serial) or BeltRecord(label.serial, label.secret, model=label.model)
        self.belts[label.serial] = replace(record, planned_bed=bed)

    def rekey_all(self) -> None:
        """After a restore: every belt gets a new key at its next session."""
        self.belts = {serial: replace(record, rekey=True) for serial, record in self.belts.items()}

    def decommission(self, serial: bytes, wiped: bool) -> None:
        """The belt is out of service for good; nothing of its keys is kept."""
        if bed := self.bed_of(serial):
            self.unbind(bed)
        record = self.belts.get(serial) or BeltRecord(serial, b"")
        self.belts[serial] = replace(record, key=b"", next_key=None, bed="", planned_bed="", decommissioned=True,
                                     wiped=wiped)

    def give_up(self, serial: bytes) -> None:
        """The belt, wiped, is for another gateway from now on: at no bed here, and not planned for one."""
        if bed := self.bed_of(serial):
            self.unbind(bed)
        self.belts[serial] = replace(self.belts[serial], bed="", planned_bed="", handed_over=True,
                                     wiped=True)

    def measured(self, serial: bytes, kind: str, level: int, utc_ms: int) -> str:
        """A calibration's level, `empty` or `occupied`; where the belt lies by both: middle, edge, outside or "".

        A body in the middle of the bed, over the belt, gives several times what the empty bed gives.
        """
        levels = self.calibrated.setdefault(serial, {})
        levels |= {kind: level, f"{kind}_utc_ms": utc_ms}
        if levels.get("empty") and levels.get("occupied"):
            ratio = levels["occupied"] / levels["empty"]
            place = "middle" if ratio >= MIDDLE_RATIO else "edge" if ratio >= CALIBRATED_RATIO_MIN else "outside"
            levels |= {"ratio": round(ratio, 1), "place": place}
        return str(levels.get("place", ""))

    # -- the whole ---------------------------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """JSON-able. It holds keys: for a file that only its owner reads."""
        return {
            "version": STATE_VERSION,
            "gateway": self.gateway,
            "belts": [_record_state(record) for record in self.belts.values()],
            "emptied": sorted(self.emptied),
            "tries": {serial.hex(): list(tries) for serial, tries in self.tries.items()},
            "tested": self.tested,
            "calibrated": {serial.hex(): found for serial, found in self.calibrated.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `to_state` gave; KeyError, TypeError or ValueError if it is not of this version."""
        if state["version"] != STATE_VERSION:
            raise ValueError(f"site of version {state['version']!r}; this gateway reads {STATE_VERSION}")
        records = [_record_of(entry) for entry in state["belts"]]
        beds = [record.bed for record in records if record.bed]
        if len(set(beds)) != len(beds) or len({record.serial for record in records}) != len(records):
            raise ValueError("a bed or a belt stands there twice")
        self.belts = {record.serial: record for record in records}
        self.emptied = {str(bed) for bed in state["emptied"]}
        self.tries = {bytes.fromhex(serial): (int(count), int(at)) for serial, (count, at) in state["tries"].items()}
        self.tested = {str(bed): dict(result) for bed, result in state["tested"].items()}
        self.calibrated = {bytes.fromhex(serial): dict(found) for serial, found in state["calibrated"].items()}


def react(samples: Iterable[tuple[bytes, int, bool, str]], since_ms: int, windows_ms: int) -> Sequence[bytes]:
    """The belts that reacted since `since_ms`: moved where they were still, or found somebody where nobody was.

    `samples`: (serial, elapsed ms, moving, occupancy) in order of time. One belt: propose it. None: press again, or
    the belt is elsewhere. Several: somebody lies on another; press again.
    """
    before: dict[bytes, tuple[bool, str]] = {}
    reacted: list[bytes] = []
    for serial, at_ms, moving, occupancy in samples:
        if at_ms < since_ms:
            # What lay in motion already says nothing; the newest state before the press counts.
            before[serial] = (moving, occupancy)
        elif at_ms - since_ms <= windows_ms and serial not in reacted:
            was_moving, was = before.get(serial, (False, occupancy))
            if (moving and not was_moving) or (was == "empty" and occupancy != "empty"):
                reacted.append(serial)
    return reacted


def _record_state(record: BeltRecord) -> dict[str, Any]:
    return {
        "serial": record.serial.hex(), "key": record.key.hex(), "claimed": record.claimed, "model": record.model,
        "next_key": None if record.next_key is None else record.next_key.hex(), "bed": record.bed,
        "planned_bed": record.planned_bed, "since_utc_ms": record.since_utc_ms, "rekey": record.rekey,
        "decommissioned": record.decommissioned, "handed_over": record.handed_over,
        "wiped": record.wiped,
    }  # fmt: skip


def _record_of(entry: Mapping[str, Any]) -> BeltRecord:
    serial, key = bytes.fromhex(entry["serial"]), bytes.fromhex(entry["key"])
    next_key = None if entry["next_key"] is None else bytes.fromhex(entry["next_key"])
    if len(serial) != 8 or len(key) != (0 if entry["decommissioned"] else 16) or len(next_key or bytes(16)) != 16:
        raise ValueError("a serial has 8 bytes and a key 16")
    return BeltRecord(
        serial, key, bool(entry["claimed"]), int(entry["model"]), next_key, str(entry["bed"]),
        str(entry["planned_bed"]), int(entry["since_utc_ms"]), bool(entry["rekey"]), bool(entry["decommissioned"]),
        bool(entry.get("handed_over", False)), bool(entry.get("wiped", False)),
    )  # fmt: skip
