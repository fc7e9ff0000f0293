"""Makes a scenario that shows a disagreement smaller, so that a person can decide it by the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Scenario = dict[str, Any]


def shrink(scenario: Scenario, differs: Callable[[Scenario], bool]) -> Scenario:
    """The smallest scenario found by dropping events, settings and beds that still differs."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _candidates(scenario):
            if plausible(candidate) and differs(candidate):
                scenario, smaller = candidate, True
                break
    return scenario


def plausible(scenario: Scenario) -> bool:
    """Whether gateways and links go up only after they went down: nothing else can happen."""
    up, silent = True, set[str | None]()
    beds = scenario.get("beds") or [None]
    for event in scenario["events"]:
        kind, bed = event["event"], event.get("bed")
        if kind in ("gateway_down", "gateway_up"):
            if up is (kind == "gateway_up"):
                return False
            up = not up
            silent = set(beds)
        elif kind in ("link_up", "link_down") and up and (bed in silent) is (kind == "link_down"):
            return False
        if kind == "link_down":
            silent.add(bed)
        elif kind in ("link_up", "belt_report", "occupancy"):
            silent.discard(bed)
    return True


def _candidates(scenario: Scenario) -> Iterator[Scenario]:
    events = scenario["events"]
    size = max(1, len(events) // 2)
    while events and size:
        for first in range(0, len(events), size):
            yield {**scenario, "events": events[:first] + events[first + size :]}
        size //= 2
    for key in scenario.get("profile") or {}:
        yield {**scenario, "profile": {name: value for name, value in scenario["profile"].items() if name != key}}
    if "initial" in scenario:
        yield {key: value for key, value in scenario.items() if key != "initial"}
    for bed in scenario.get("beds") or []:
        yield _without_bed(scenario, bed)


def _without_bed(scenario: Scenario, bed: str) -> Scenario:
    beds = [name for name in scenario["beds"] if name != bed]
    events = [event for event in scenario["events"] if event.get("bed") != bed]
    if len(beds) > 1:
        return {**scenario, "beds": beds, "events": events}
    single = {key: value for key, value in scenario.items() if key != "beds"}
    return {**single, "events": [{key: value for key, value in event.items() if key != "bed"} for event in events]}
