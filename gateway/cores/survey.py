"""How well belts are heard where they lie, and what to do about it.

Limits: median RSSI at least -80 dBm and 95 % of the reports that were due (the walk test's step 8); below -90 dBm most
receivers of this class hear nothing any more, so less than 6 dB above the limit is called close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["HEARD_SHARE_MIN", "RSSI_DBM_MIN", "Survey", "survey"]

RSSI_DBM_MIN = -80.0
HEARD_SHARE_MIN = 0.95
MARGIN_DB = 6.0


@dataclass(frozen=True, slots=True)
class Survey:
    """One belt over some time. `verdict`: `good`, `close`, `weak`, `lossy` or `silent`; `advice` names what to do."""

    seconds: float
    rssi_dbm_median: float | None
    rssi_dbm_worst: float | None  # the tenth part that was heard worst begins here
    heard_share: float
    verdict: str
    advice: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.verdict in ("good", "close")

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds), "rssi_dbm_median": self.rssi_dbm_median,
            "rssi_dbm_worst": self.rssi_dbm_worst, "heard_share": round(self.heard_share, 3),
            "verdict": self.verdict, "advice": list(self.advice),
        }  # fmt: skip


def survey(rssi_dbm: Sequence[float], seconds_heard: int, seconds: float, neighbours_good: int = 0) -> Survey:
    """`rssi_dbm`: of every advertisement heard; `seconds_heard`: seconds in which the belt was heard at all.

    `neighbours_good`: other belts that this gateway hears well; with some, the fault is near this belt.
    """
    share = min(1.0, seconds_heard / seconds) if seconds > 0 else 0.0
    if not rssi_dbm:
        if share >= HEARD_SHARE_MIN:
            # A session carries the reports and the adapter does not hear advertisements beside it.
            return Survey(seconds, None, None, share, "good", ("strength_unknown",))
        return Survey(seconds, None, None, share, "silent", ("power", "nearer"))
    in_order = sorted(rssi_dbm)  # `statistics` would cost the gateway more memory than it saves a line
    middle = (in_order[(len(in_order) - 1) // 2] + in_order[len(in_order) // 2]) / 2
    worst = float(in_order[len(in_order) // 10])
    if middle < RSSI_DBM_MIN:
        advice = ("turn_belt", "metal", "nearer") if neighbours_good else ("move_gateway", "antenna", "second_adapter")
        return Survey(seconds, middle, worst, share, "weak", advice)
    if share < HEARD_SHARE_MIN:
        # Strong and yet lost: something else talks on the air, or the adapter has too much to do.
        return Survey(seconds, middle, worst, share, "lossy", ("wifi", "usb3", "second_adapter"))
    if middle < RSSI_DBM_MIN + MARGIN_DB or worst < RSSI_DBM_MIN - MARGIN_DB:
        return Survey(seconds, middle, worst, share, "close", ("door_closed", "nearer"))
    return Survey(seconds, middle, worst, share, "good", ())
