"""Short ways to write a night's facts: Shanghai (no clock changes), waking date 2026-11-24 unless told otherwise."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from gateway.cores.night import NightReport, build_report
from gateway.cores.night_input import parse_facts

D = date(2026, 11, 24)


def local(clock: str, night_of: date = D) -> str:
    """ "22:30" as the local ISO time between the two noons of the night; "+13:00" as the day after noon of D."""
    if clock.startswith("+"):
        return f"{night_of}T{clock[1:]}" + (":00" if len(clock) == 6 else "")
    day = night_of - timedelta(days=1) if clock >= "12:00" else night_of
    return f"{day}T{clock}" + (":00" if len(clock) == 5 else "")


def spans(*pairs: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [{"start": local(start), "end": None if end is None else local(end)} for start, end in pairs]


def night_facts(*presences: tuple[str, str | None], **more: Any) -> dict[str, Any]:
    """A facts document; presences as clock pairs, None = still present."""
    return {
        "timezone": "Asia/Shanghai",
        "night_of": str(D),
        "occupancy": [{"state": "present", **span} for span in spans(*presences)],
        **more,
    }


def stages(start: str, pattern: str) -> list[dict[str, str]]:
    """Given epochs from `start` on: "s20 w10" = 20 sleep epochs, then 10 of wake; "-4" leaves four out."""
    at = datetime.fromisoformat(local(start))
    epochs = []
    for word in pattern.split():
        for _ in range(int(word[1:])):
            if word[0] != "-":
                epochs.append({"start": at.isoformat(), "stage": {"s": "sleep", "w": "wake"}[word[0]]})
            at += timedelta(seconds=30)
    return epochs


def minutes(start: str, count: int, **fields: Any) -> list[dict[str, Any]]:
    """`count` minute records from `start`, all with the same fields."""
    at = datetime.fromisoformat(local(start))
    return [{"at": (at + timedelta(minutes=i)).isoformat(), **fields} for i in range(count)]


def report(facts: dict[str, Any]) -> NightReport:
    """The report of a facts document that has a night."""
    built = build_report(parse_facts(facts))
    assert built is not None
    return built


def night_json(facts: dict[str, Any]) -> dict[str, Any]:
    return report(facts).to_json()
