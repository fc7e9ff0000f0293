"""BedState: what is saved of a bed."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from gateway.cores.leave_bed.state import Alarm, BedState, Episode, Rate, Sample, VitalWatch

FULL = BedState(
    episode=Episode(out_since_ms=1000, base_ms=2000),
    alarm=Alarm("unacknowledged", 2, "high"),
    notices=["no_signal"],
    exits_ms=[1000],
    came_ms={"not_up_by": 5},
    sample=Sample(7, 61.0, None, True),
    watches={"hr_high": VitalWatch(3, 4)},
    rate=Rate(since_ms=9),
)


def test_all_of_it_is_saved_and_comes_back() -> None:
    assert FULL.to_state() == asdict(FULL)
    assert BedState.from_state(json.loads(json.dumps(FULL.to_state()))) == FULL
    assert BedState().to_state() == asdict(BedState())


def test_what_was_saved_does_not_change_with_the_bed() -> None:
    """The store writes it in another thread, later."""
    bed = BedState.from_state(FULL.to_state())
    saved = bed.to_state()
    for field in fields(bed):
        value = getattr(bed, field.name)
        if isinstance(value, list):
            value.append("later")
        elif isinstance(value, dict):
            value["later"] = next(iter(value.values()), None)
        elif hasattr(value, "__dataclass_fields__"):
            for part in fields(value):
                setattr(value, part.name, "later")
    for watch in bed.watches.values():
        watch.beyond_ms = 99
    assert saved == asdict(FULL)
