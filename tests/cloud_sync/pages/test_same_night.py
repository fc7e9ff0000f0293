"""One night, three ways: the report as JSON, on the platform's page, on the sheet of `sleepbelt night --pdf`."""

from __future__ import annotations

import random
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.pages.language import strings
from cloud_sync.pages.night_view import figures
from gateway.commands.night_pdf import write_pdf
from gateway.commands.night_text import TEXTS, rows, timeline
from gateway.cores.night import build_report
from gateway.cores.night_facts import Alarm, Epoch, Minute, NightFacts, Presence, Span
from tests.cloud_sync.pages.pdf_text import pdf_texts

# Field of the report -> its label on the page (strings: resident.NAME).
PAGE_LABELS = {
    "in_bed_at": "in_bed_at",
    "rise_at": "rise_at",
    "time_in_bed_s": "time_in_bed",
    "total_sleep_s": "total_sleep",
    "sleep_onset_latency_s": "sleep_onset",
    "wake_after_sleep_onset_s": "waso",
    "sleep_efficiency_percent": "efficiency",
    "awakenings": "awakenings",
    "times_out_of_bed": "times_out",
    "out_of_bed_total_s": "out_total",
    "out_of_bed_longest_s": "out_longest",
    "assisted_exits": "assisted_exits",
    "turn_overs": "turn_overs",
    "restlessness": "restlessness",
    "heart_rate_bpm": "heart",
    "respiration_per_min": "respiration",
    "irregular_minutes": "irregular",
    "weak_breath_minutes": "weak_breath",
    "alarms": "alarms",
    "coverage_percent": "coverage",
    "no_data_s": "no_data",
}


def night(seed: int) -> dict[str, Any]:
    """A random night's report as JSON."""
    draw = random.Random(seed)
    start = 1_795_442_400 + draw.randrange(3_600)
    first_end, second_start = start + draw.randrange(7_000, 12_000), start + draw.randrange(12_100, 13_900)
    end = second_start + draw.randrange(9_000, 15_000)
    presences = (Presence(start, first_end), Presence(second_start, end))
    minutes = tuple(
        Minute(
            at, round(55 + 10 * draw.random(), 1), round(12 + 4 * draw.random(), 1), draw.choice((0, 0, 7)),
            draw.choice((0, 0, 1)), heart_rate_reason=draw.choice(("", "irregular")), weak_breath_s=draw.choice((0, 9)),
        )
        for at in range(start, end, 60)
    )  # fmt: skip
    epochs = tuple(Epoch(at, draw.random() < 0.8) for at in range(start, end, 30))
    silent = Span(second_start + 600, second_start + 600 + draw.choice((0, 60, 4_000)) + 1)
    alarms = tuple(Alarm(first_end + 60 * i, first_end + 60 * i + draw.randrange(5, 4_000)) for i in range(3))
    facts = NightFacts(
        "Asia/Shanghai", date(2026, 11, 24), presences, silences=(silent,), minutes=minutes, epochs=epochs,
        alarms=alarms,
    )  # fmt: skip
    report = build_report(facts)
    assert report is not None
    return report.to_json()


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def of_json(field: str, value: Any) -> list[float]:
    """The numbers a person should read, worked out from the JSON alone."""
    if field == "alarms":
        median_s = int(value["response_time_median_s"])
        exact = divmod(median_s, 60) if 60 <= median_s < 3600 else _of_seconds(median_s)
        return [value["count"], *exact]
    if isinstance(value, dict):
        return [value["mean"], value["min"], value["max"]]
    return _of_seconds(value) if field.endswith("_s") else [value]


def _of_seconds(seconds: int) -> list[float]:
    if seconds < 60:
        return [seconds]
    hours, minutes = divmod(seconds // 60, 60)
    return [hours, minutes] if hours else [minutes]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("seed", range(12))
def test_json_page_and_sheet_tell_the_same_figures(language: str, seed: int) -> None:
    report = night(seed)
    t = strings(language)
    page = {figure.name: figure for group in figures(report, t) for figure in group}
    sheet = dict(rows(report, language))
    assert len(page) == len(PAGE_LABELS)
    for field, label in PAGE_LABELS.items():
        shown, printed = page[t(f"resident.{label}")], sheet[TEXTS[language][field]]
        if report[field] is None:
            assert shown.value == t("common.none"), field
            assert printed == TEXTS[language]["unknown"], field
        elif field in ("in_bed_at", "rise_at"):
            at = str(report[field])
            assert (shown.value, shown.remark) == (at[11:16], at[5:10])
            assert printed.startswith(f"{at[:10]} {at[11:16]}")
        else:
            expected = of_json(field, report[field])
            read = numbers(shown.value)
            if isinstance(report[field], dict):
                read += numbers(shown.remark)
            assert read == expected, field
            assert numbers(printed) == expected, field


@pytest.mark.parametrize(("language", "seed"), [("en", 0), ("zh", 1)])
def test_the_printed_sheet_itself_holds_every_row(language: str, seed: int, tmp_path: Path) -> None:
    report = night(seed)
    write_pdf({"night": report, "reason": None}, language, tmp_path / "night.pdf")
    printed = pdf_texts((tmp_path / "night.pdf").read_bytes())
    expected = [text for row in [*rows(report, language), *timeline(report, language)] for text in row]
    at = 0
    for text in expected:
        at = printed.index(text, at) + 1
