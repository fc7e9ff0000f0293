"""Small real items for tests: one alarm, one minute of one belt, one night."""

import random

from protocol.batch import AlarmEvent, NightReportItem, Reading, Stamp, VitalsChunk, chunk_of

START_UTC_MS = 1_795_000_020_000  # a whole minute


def stamp(at_s: int = 0) -> Stamp:
    return Stamp(boot_id=7, elapsed_ms=at_s * 1000, utc_ms=START_UTC_MS + at_s * 1000, trusted=True)


def alarm(
    event: str = "alarm_raise", bed: str = "101-A", alarm_id: str = "a-1", at_s: int = 0, **more: object
) -> AlarmEvent:
    return AlarmEvent(bed=bed, at=stamp(at_s), event=event, alarm_id=alarm_id, **more)  # type: ignore[arg-type]


def minute(bed: str = "101-A", number: int = 0, seconds: int = 60, seed: int = 1) -> VitalsChunk:
    draw = random.Random(f"{bed} {number} {seed}")
    heart, breath = 55 + draw.randrange(20), 12 + draw.randrange(6)
    readings = []
    for second in range(seconds):
        heart += draw.choice((0, 0, 0, 0, -1, 1))
        readings.append(
            Reading(
                second=number * 60 + second,
                occupancy=2,
                heart_rate_bpm=heart,
                heart_quality=80,
                respiration_per_min=breath,
                respiration_quality=90,
                movement=60 if second == 30 else 0,
                turn_overs=int(second == 31),
            )
        )
    return chunk_of(bed, f"belt-{bed}", 3, START_UTC_MS, True, readings)


def night(bed: str = "101-A", version: int = 1, night_of: str = "2026-11-24", turn_overs: int = 12) -> NightReportItem:
    fields = {
        "total_sleep_s": 25_200,
        "times_out_of_bed": 2,
        "turn_overs": turn_overs,
        "heart_rate_bpm": {"mean": 61.4, "min": 52, "max": 80},
        "coverage_percent": 99.7,
        "provisional": False,
    }
    return NightReportItem(bed, stamp(), night_of, version, {"night": fields, "reason": None})
