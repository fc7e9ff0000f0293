"""Fault plans: what goes wrong on the emulated air and when, from a TOML file (`sleepbelt hil --faults plan.toml`).

Each `[[fault]]` has `at_s` (real seconds after the belts are ready), `kind`, for some `for_s`, and what the kind needs:

    lose        for_s, percent      share of advertisements and notifications lost
    silence     belt, for_s         the belt is out of range: its links end by timeout, nothing is heard of it
    reboot      belt                the firmware starts anew (power cut for `for_s`, 1 s if not given)
    hang_up     belt                the belt ends its connections
    refuse      adapter             the adapter refuses its next connection (0x0D)
    lock_up     adapter             the adapter says and hears nothing until it is reset
    unplug      adapter             the adapter is pulled out of its host
    kill_bluetoothd, start_bluetoothd     only with --radio box

What lasts cannot overlap with its like: loss with loss, one belt's silence or power cut with another of its own.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.fleet import DrivenBelt, Fleet
from hil.radio.box import Box
from hil.radio.link import VirtualLink

__all__ = ["FAULTS_MAX", "Fault", "PlanError", "load_faults", "play_faults"]

FAULTS_MAX = 1000
AT_S_MAX = 7 * 86_400.0
_BELT, _ADAPTER, _FOR_S, _PERCENT = "belt", "adapter", "for_s", "percent"
# kind -> (needed keys, keys that may be given)
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "lose": ((_FOR_S, _PERCENT), ()),
    "silence": ((_BELT, _FOR_S), ()),
    "reboot": ((_BELT,), (_FOR_S,)),
    "hang_up": ((_BELT,), ()),
    "refuse": ((), (_ADAPTER,)),
    "lock_up": ((), (_ADAPTER,)),
    "unplug": ((), (_ADAPTER,)),
    "kill_bluetoothd": ((), ()),
    "start_bluetoothd": ((), ()),
}
_LIMITS: dict[str, tuple[float, float]] = {
    "at_s": (0, AT_S_MAX), _FOR_S: (0, AT_S_MAX), _PERCENT: (0, 100), _BELT: (1, 100), _ADAPTER: (1, 8)
}  # fmt: skip
_WHOLE = (_BELT, _ADAPTER)
_LASTING = ("lose", "silence", "reboot")
BOX_ADAPTERS = 1


class PlanError(ValueError):
    """A plan that cannot be used; the text says where and what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of a plan; belt and adapter count from 1."""

    at_s: float
    kind: str
    belt: int = 1
    adapter: int = 1
    for_s: float = 1.0
    percent: float = 0.0

    def text(self) -> str:
        """What happens, for whoever watches."""
        needed, more = KINDS[self.kind]
        said = {_BELT: f" of belt {self.belt}", _ADAPTER: f" of adapter {self.adapter}",
                _PERCENT: f" of {self.percent:g} %", _FOR_S: f" for {self.for_s:g} s"}
        return self.kind + "".join(words for key, words in said.items() if key in (*needed, *more))


def load_faults(file: Path, belts: int, *, box: bool, end_s: float | None = None) -> list[Fault]:
    """The faults of a plan in order of time, all before `end_s`; PlanError names the first row that cannot be."""
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise PlanError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise PlanError(f"{file}: not a text in UTF-8 (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{file}: {error}; a plan is TOML with [[fault]] tables") from None
    rows = raw.get("fault", [])
    if set(raw) - {"fault"} or not isinstance(rows, list) or not 1 <= len(rows) <= FAULTS_MAX:
        raise PlanError(f"{file}: 1 to {FAULTS_MAX} [[fault]] tables belong there and nothing else")
    faults = [_fault(f"{file}: fault {n}", row, belts, box, end_s) for n, row in enumerate(rows, 1)]
    order = sorted(range(len(faults)), key=lambda n: faults[n].at_s)
    _refuse_overlap(file, [(n + 1, faults[n]) for n in order])
    return [faults[n] for n in order]


def _refuse_overlap(file: Path, faults: list[tuple[int, Fault]]) -> None:
    """Two of a kind at once would end with the first of them."""
    lasting: dict[tuple[str, int], tuple[int, float]] = {}
    for number, fault in faults:
        if fault.kind not in _LASTING:
            continue
        subject = fault.kind, fault.belt
        other, until_s = lasting.get(subject, (0, 0.0))
        if fault.at_s < until_s:
            raise PlanError(f"{file}: fault {number}: {fault.text()} at {fault.at_s:g} s; fault {other} lasts until "
                            f"{until_s:g} s")
        lasting[subject] = number, fault.at_s + fault.for_s


def _fault(where: str, row: Any, belts: int, box: bool, end_s: float | None) -> Fault:
    kind = row.get("kind") if isinstance(row, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise PlanError(f"{where}: kind {kind!r}; allowed: {', '.join(KINDS)}")
    if kind.endswith("_bluetoothd") and not box:
        raise PlanError(f"{where}: {kind} needs --radio box")
    needed, more = KINDS[kind]
    for key in ("at_s", *needed):
        if key not in row:
            raise PlanError(f"{where}: {kind} needs {key}")
    for key in set(row) - {"kind", "at_s", *needed, *more}:
        raise PlanError(f"{where}: {kind} takes no {key!r}")
    for key, value in row.items():
        if key == "kind":
            continue
        low, high = _LIMITS[key]
        fits = isinstance(value, int if key in _WHOLE else int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high:
            raise PlanError(f"{where}: {key} = {value!r}; allowed: {low:g} to {high:g}")
    if row.get("belt", 1) > belts:
        raise PlanError(f"{where}: belt {row['belt']} of {belts}")
    if box and row.get("adapter", 1) > BOX_ADAPTERS:
        raise PlanError(f"{where}: adapter {row['adapter']} of {BOX_ADAPTERS}, which is what --radio box has")
    if end_s is not None and row["at_s"] >= end_s:
        raise PlanError(f"{where}: at_s = {row['at_s']:g}; --for {end_s:g} ends before")
    return Fault(**row)


async def play_faults(
    faults: list[Fault], fleet: Fleet, link: VirtualLink, box: Box | None, say: Callable[[Fault, str], None]
) -> None:
    """Make each fault happen at its time; `say` is told as it happens, with why it could not ("" otherwise)."""
    begun = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        for fault in faults:
            await asyncio.sleep(max(0.0, begun + fault.at_s - asyncio.get_running_loop().time()))
            say(fault, _hindrance(fault, link))
            tasks.create_task(_happen(fault, fleet, link, box))


def _hindrance(fault: Fault, link: VirtualLink) -> str:
    """Adapters of the virtual air are those that a host has opened by then."""
    if _ADAPTER in KINDS[fault.kind][1] and fault.adapter > len(link.adapters):
        return f"nobody has opened adapter {fault.adapter}"
    return ""


async def _happen(fault: Fault, fleet: Fleet, link: VirtualLink, box: Box | None) -> None:
    belt = fleet.belts[min(fault.belt, len(fleet.belts)) - 1]
    if fault.kind == "lose":
        link.lose(fault.percent / 100, seed=round(fault.at_s * 1000))
        await asyncio.sleep(fault.for_s)
        link.lose(0.0, seed=0)
    elif fault.kind == "silence":
        await _out_of_range(belt, link, fault.for_s)
    elif fault.kind == "reboot":
        await fleet.power_cut(belt, fault.for_s)
    elif fault.kind == "hang_up":
        belt.radio.hang_up_all()
    elif fault.kind == "kill_bluetoothd":
        assert box is not None
        await box.kill_bluetoothd()
    elif fault.kind == "start_bluetoothd":
        assert box is not None
        await box.start_bluetoothd()
    else:
        for adapter in link.adapters[fault.adapter - 1 : fault.adapter]:
            if fault.kind == "refuse":
                adapter.refuses_next = True
            elif fault.kind == "lock_up":
                adapter.lock_up()
            else:
                adapter.unplug()


async def _out_of_range(belt: DrivenBelt, link: VirtualLink, for_s: float) -> None:
    link.hide(belt.radio.address)
    try:
        await asyncio.sleep(for_s)
    finally:
        link.show(belt.radio.address)
