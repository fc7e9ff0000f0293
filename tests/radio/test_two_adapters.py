"""Two adapters hear the same belts; when one dies its belts move to the other and were heard all along."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.radio import BeaconHeard, Heard
from gateway.radio_adapters import ManyAdapters
from tests.hil_box.failure_table import MUST_SHOW, add_row
from tests.ward import Tier, open_ward

BEACON_S_MAX = 6.0  # a second between beacons, and a machine that may be crowded


@pytest.mark.slow
async def test_belts_move_to_the_other_adapter_when_theirs_dies_and_are_heard_meanwhile(
    tier: Tier, tmp_path: Path
) -> None:
    if tier.dongles:
        pytest.skip("a real adapter cannot be broken by a program")
    async with open_ward(tier, tmp_path, 4, adapters=2) as ward:
        radio = ward.listen()
        assert isinstance(radio, ManyAdapters)
        for serial in ward.serials:
            await ward.until(Heard, _of(serial))
        first, second = ward.link.adapters
        assert len(first.le_connections) == len(second.le_connections) == 2  # shared evenly
        died = time.monotonic()
        first.lock_up()
        first.drop_connections()  # its radio is dead too: the belts notice
        for serial in ward.serials:
            await ward.until(Heard, _of(serial), since=died + 1)
        moved_s = time.monotonic() - died
        assert len(second.le_connections) == 4
        assert radio.counters["adapter_moves"] == 2
        assert radio.trouble == ""
        longest_s = max(_longest_wait(ward.events, serial, died) for serial in ward.serials)
        assert longest_s < BEACON_S_MAX
    add_row(MUST_SHOW, f"one of two adapters dies ({tier.name})", "four belts, two on each; one adapter falls silent",
            f"its two belts have their sessions through the other {moved_s:.1f} s later; "
            f"no belt's state was older than {longest_s:.1f} s meanwhile")


def _longest_wait(events: list[tuple[float, Any]], serial: bytes, since: float) -> float:
    times = [at for at, event in events if at > since and isinstance(event, BeaconHeard) and event.serial == serial]
    return max(after - before for before, after in itertools.pairwise([since, *times]))


def _of(serial: bytes) -> Callable[[Any], bool]:
    return lambda event: bool(event.serial == serial)
