"""The rows `sleepbelt analyse` prints: one a second, absent values empty (CSV) or null (JSON)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields

from protocol.messages import OCCUPANCIES, REASONS


@dataclass(frozen=True)
class Row:
    """What the belt would report having seen only the samples before time_s."""

    time_s: int
    occupancy: str
    heart_rate_bpm: float | None
    heart_rate_quality: int
    heart_rate_reason: str
    respiration_per_min: float | None
    respiration_quality: int
    movement: int
    turn_over: int

    def to_csv(self) -> str:
        """Comma-separated, in the order of the header."""
        return ",".join("" if value is None else str(value) for value in astuple(self))

    def to_json(self) -> str:
        """One JSON object; an absent reason is null as an absent value is."""
        values = asdict(self)
        values["heart_rate_reason"] = self.heart_rate_reason or None
        return json.dumps(values)


HEADER = ",".join(field.name for field in fields(Row))


def row(time_s: int, second: Sequence[int]) -> Row:
    """Row of the pipeline's report at time_s."""
    occupancy, _, heart, heart_q, heart_reason, breath, breath_q, _, movement, turn_over = second[:10]
    return Row(
        time_s=time_s,
        occupancy=OCCUPANCIES[occupancy],
        heart_rate_bpm=None if heart < 0 else heart / 10,
        heart_rate_quality=heart_q,
        heart_rate_reason=REASONS[heart_reason],
        respiration_per_min=None if breath < 0 else breath / 10,
        respiration_quality=breath_q,
        movement=movement,
        turn_over=turn_over,
    )
