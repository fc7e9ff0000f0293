"""Bad facts are refused with the path of the offending field."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cores.night_facts import NIGHT_WINDOW
from gateway.cores.night_input import FactsError, parse_facts, unknown_keys
from tests.gateway.cores.night_cases import local, minutes, night_facts, spans, stages


def refused_at(facts: Any) -> str:
    with pytest.raises(FactsError) as caught:
        parse_facts(facts)
    return caught.value.path


def with_minute(**fields: Any) -> dict[str, Any]:
    return night_facts(("22:00", "06:00"), minutes=[*minutes("22:00", 2), {"at": local("22:02"), **fields}])


NIGHT = ("22:00", "06:00")

BAD: list[tuple[str, Any]] = [
    ("$", []),
    ("$", "night"),
    ("timezone", {}),
    ("timezone", night_facts(NIGHT, timezone="Mars/Base")),
    ("timezone", night_facts(NIGHT, timezone=8)),
    ("night_of", night_facts(NIGHT, night_of="24.11.2026")),
    ("night_of", night_facts(NIGHT, night_of="2026-02-30")),
    ("night_of", night_facts(NIGHT, night_of="0001-01-01")),
    ("night_of", night_facts(NIGHT, night_of=None)),
    ("as_of", night_facts(NIGHT, as_of="soon")),
    ("night_window", night_facts(NIGHT, night_window="22:00-06:00")),
    ("night_window", night_facts(NIGHT, night_window=["22:00"])),
    ("night_window", night_facts(NIGHT, night_window=["06:00", "22:00"])),
    ("night_window[1]", night_facts(NIGHT, night_window=["22:00", "25:00"])),
    ("occupancy", {"timezone": "UTC", "night_of": "2026-11-24"}),
    ("occupancy", night_facts(NIGHT, occupancy={})),
    ("occupancy[0]", night_facts(NIGHT, occupancy=["22:00"])),
    ("occupancy[0].state", night_facts(occupancy=[{"state": "out", **spans(NIGHT)[0]}])),
    ("occupancy[0].start", night_facts(occupancy=[{"state": "present", "end": local("06:00")}])),
    ("occupancy[0].end", night_facts(occupancy=[{"state": "present", "start": local("22:00")}])),
    ("occupancy[1].end", night_facts(("22:00", "01:00"), ("03:00", "02:00"))),
    ("occupancy[1].start", night_facts(("22:00", "01:00"), ("00:59:59", "06:00"))),
    ("occupancy[0].start", night_facts(("23:00", "06:00"), ("22:00", "01:00"))),
    ("occupancy[1].start", night_facts(("22:00", None), ("23:00", None))),
    ("occupancy[1].start", night_facts(("22:00", None), ("23:00", "06:00"))),
    ("occupancy[0].start", night_facts(("04:00", None), as_of=local("03:00"))),
    ("silences[0].end", night_facts(NIGHT, silences=spans(("02:00", "01:00")))),
    ("silences[1].start", night_facts(NIGHT, silences=spans(("01:00", "02:00"), ("01:30", "03:00")))),
    ("assists[0].start", night_facts(NIGHT, assists=[{"start": 5, "end": local("01:00")}])),
    ("minutes", night_facts(NIGHT, minutes="none")),
    ("minutes[2].at", night_facts(NIGHT, minutes=[*minutes("22:00", 2), {}])),
    ("minutes[2].at", night_facts(NIGHT, minutes=[*minutes("22:00", 2), *minutes("22:01", 1)])),
    ("minutes[2].at", night_facts(NIGHT, minutes=[*minutes("22:00", 2), *minutes("22:01:30", 1)])),
    ("minutes[2].heart_rate_bpm", with_minute(heart_rate_bpm=0)),
    ("minutes[2].heart_rate_bpm", with_minute(heart_rate_bpm=400)),
    ("minutes[2].heart_rate_bpm", with_minute(heart_rate_bpm="60")),
    ("minutes[2].heart_rate_bpm", with_minute(heart_rate_bpm=True)),
    ("minutes[2].heart_rate_bpm", with_minute(heart_rate_bpm=float("nan"))),
    ("minutes[2].heart_rate_bpm", with_minute(heart_rate_bpm=10**400)),
    ("minutes[2].respiration_per_min", with_minute(respiration_per_min=-1)),
    ("minutes[2].movement", with_minute(movement=61)),
    ("minutes[2].movement", with_minute(movement=-0.5)),
    ("minutes[2].movement_halves[1]", with_minute(movement_halves=[30, 31])),
    ("minutes[2].turn_overs", with_minute(turn_overs=1.5)),
    ("minutes[2].heart_rate_reason", with_minute(heart_rate_reason=2)),
    ("minutes[2].weak_breath_s", with_minute(weak_breath_s=61)),
    ("epochs[0].stage", night_facts(NIGHT, epochs=[{"start": local("22:00"), "stage": "rem"}])),
    ("epochs[2].start", night_facts(NIGHT, epochs=stages("22:00", "s2") + stages("22:00:45", "s1"))),
    ("alarms[0].answered_at", night_facts(alarms=[{"raised_at": local("02:00"), "answered_at": local("01:00")}])),
    ("history[0].complete", night_facts(history=[{"night_of": "2026-11-20"}])),
    ("report_version", night_facts(NIGHT, report_version=0)),
]


@pytest.mark.parametrize(("path", "facts"), BAD, ids=[f"{i}-{path}" for i, (path, _) in enumerate(BAD)])
def test_bad_facts_are_refused_at_their_field(path: str, facts: Any) -> None:
    assert refused_at(facts) == path


def test_a_local_time_that_does_not_exist_is_refused_at_its_field() -> None:
    facts = night_facts(timezone="Europe/Berlin", night_of="2026-03-29")
    facts["occupancy"] = [{"state": "present", "start": "2026-03-29T02:30:00", "end": "2026-03-29T06:00:00"}]
    assert refused_at(facts) == "occupancy[0].start"


def test_silence_may_overlap_presence_and_touch_silence() -> None:
    facts = parse_facts(night_facts(NIGHT, silences=spans(("01:00", "02:00"), ("02:00", "03:00"))))
    assert [span.seconds for span in facts.silences] == [3600, 3600]


def test_a_minute_may_begin_a_little_before_the_last_one_ends() -> None:
    facts = parse_facts(night_facts(NIGHT, minutes=[*minutes("22:00", 2), *minutes("22:01:55", 1)]))
    assert len(facts.minutes) == 3


def test_what_may_be_left_out_may_be_null() -> None:
    facts = parse_facts(night_facts(NIGHT, as_of=None, night_window=None, silences=None, minutes=None, epochs=None))
    assert (facts.as_of_utc_s, facts.night_window, facts.minutes, facts.epochs) == (None, NIGHT_WINDOW, (), None)


def test_keys_nobody_reads_are_named_once() -> None:
    facts = night_facts(NIGHT, silence=[], minutes=[{"at": local("22:00"), "hr": 60}, {"at": local("22:01"), "hr": 61}])
    assert unknown_keys(facts) == ["silence", "minutes[].hr"]
