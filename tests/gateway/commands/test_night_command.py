from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gateway.commands.night import main
from gateway.commands.night_pdf import bar_widths
from gateway.store_files import NightRow, StoreFiles, Writes
from tests.gateway.cores.night_cases import minutes, night_facts, night_json, spans, stages


@pytest.fixture
def facts_file(tmp_path: Path) -> Any:
    def write(facts: Any) -> str:
        path = tmp_path / "night.json"
        path.write_text(facts if isinstance(facts, str) else json.dumps(facts), encoding="utf-8")
        return str(path)

    return write


FULL = night_facts(
    ("22:00", "01:00"),
    ("01:10", "06:00"),
    silences=spans(("03:00", "03:10")),
    minutes=minutes("22:00", 60, heart_rate_bpm=60, respiration_per_min=14, movement=3, turn_overs=1),
    epochs=stages("22:00", "w20 s940"),
)


def test_json_is_the_report_and_no_reason(facts_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--facts", facts_file(FULL), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"night": night_json(FULL), "reason": None}


def test_no_night_is_an_answer_and_no_failure(facts_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--facts", facts_file(night_facts()), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"night": None, "reason": "no_night_recorded"}


def test_text_shows_counts_of_an_incomplete_night_as_at_least(
    facts_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--facts", facts_file(FULL)]) == 0
    text = capsys.readouterr().out
    assert "Times out of bed: at least 1" in text
    assert "Sleep is an estimate from movement, heart and breath, without EEG." in text


def test_text_comes_in_chinese(facts_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--facts", facts_file(FULL), "--lang", "zh"]) == 0
    assert "离床次数：至少 1" in capsys.readouterr().out


def test_text_says_when_there_was_no_night(facts_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--facts", facts_file(night_facts()), "--lang", "en"]) == 0
    assert capsys.readouterr().out.startswith("No night recorded")


def test_unknown_figures_are_words_and_no_zeros(facts_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--facts", facts_file(night_facts(("22:00", "06:00")))])
    assert "Turn-overs: not known" in capsys.readouterr().out


def test_text_compares_with_the_resident_s_own_nights(facts_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    history = [{**night_json(FULL), "night_of": f"2026-11-{d}", "complete": True} for d in range(10, 16)]
    main(["--facts", facts_file({**FULL, "history": history})])
    assert "Times out of bed: +0 against 1 (spread 0, 6 nights)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (night_facts(("22:00", "06:00"), ("05:00", "07:00")), "occupancy[1].start: overlaps occupancy[0]"),
        ("{", "is not JSON: "),
        ('{"night_of": NaN}', "NaN is no number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_facts_are_refused_in_one_line(
    content: Any, said: str, facts_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--facts", facts_file(content), "--json"]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("name", ["", "absent.json", "."])
def test_a_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--facts", str(tmp_path / name)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_file_that_is_no_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "night.json").write_bytes(b"\xff\xfe\x00")
    assert main(["--facts", str(tmp_path / "night.json")]) == 2
    assert "is not UTF-8" in capsys.readouterr().err


def test_keys_nobody_reads_are_told_and_change_nothing(facts_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--facts", facts_file({**FULL, "silence": []}), "--json"]) == 0
    captured = capsys.readouterr()
    assert "not read: silence" in captured.err
    assert json.loads(captured.out)["night"] == night_json(FULL)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_pdf_is_written_beside_the_text(
    lang: str, facts_file: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "night.pdf"
    status = main(["--facts", facts_file(FULL), "--pdf", str(sheet), "--lang", lang])
    captured = capsys.readouterr()
    if status == 1:
        # A machine without Chinese fonts says so; nothing else may keep the sheet from being made.
        assert "fonts-noto-cjk" in captured.err
        assert lang == "zh"
    else:
        assert sheet.read_bytes().startswith(b"%PDF-")


def test_pdf_that_cannot_be_written_is_a_failure(
    facts_file: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--facts", facts_file(FULL), "--pdf", str(tmp_path / "absent" / "night.pdf")]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.fixture
def store(tmp_path: Path) -> str:
    files = StoreFiles(tmp_path)
    files.commit(Writes(nights=[NightRow("3-1", "2026-11-24", 2, json.dumps(night_json(FULL)))]))
    files.close()
    return str(tmp_path)


def test_a_stored_night_is_printed_as_it_was_stored(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", store, "--bed", "3-1", "--date", "2026-11-24", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"night": night_json(FULL), "reason": None}


def test_a_night_the_store_does_not_hold_is_no_night(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", store, "--bed", "3-1", "--date", "2026-11-25", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"night": None, "reason": "no_night_recorded"}


@pytest.mark.parametrize("more", [["--bed", "3-1"], ["--bed", "3-1", "--date", "soon"]])
def test_a_stored_night_needs_a_bed_and_a_date(more: list[str], store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", store, *more]) == 2
    assert "--date" in capsys.readouterr().err


def test_a_folder_without_a_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", str(tmp_path), "--bed", "3-1", "--date", "2026-11-24"]) == 2
    assert "holds no events.db" in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert "sleepbelt night --facts night.json" in capsys.readouterr().out


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_plot_is_one_picture_with_timeline_and_curves(facts_file: Any, tmp_path: Path, lang: str) -> None:
    picture = tmp_path / "night.svg"
    assert main(["--facts", facts_file(FULL), "--plot", str(picture), "--lang", lang]) == 0
    drawn = ElementTree.parse(picture).getroot()
    texts = " ".join("".join(element.itertext()) for element in drawn.iter("{http://www.w3.org/2000/svg}text"))
    charts = [element.get("class", "") for element in drawn.iter("{http://www.w3.org/2000/svg}svg")]
    assert [name for name in charts if name] == [
        "chart timeline", "chart curve c-heart", "chart curve c-breath", "chart curve c-movement"]  # fmt: skip
    assert "2026-11-24" in texts
    assert {"en": "out of bed", "zh": "离床"}[lang] in texts


def test_a_night_that_was_not_recorded_is_drawn_as_words(facts_file: Any, tmp_path: Path) -> None:
    picture = tmp_path / "none.svg"
    assert main(["--facts", facts_file(night_facts()), "--plot", str(picture)]) == 0
    assert "No night recorded" in picture.read_text("utf-8")


@pytest.mark.parametrize("name", ["night.png", "no/such/folder/night.svg"])
def test_a_plot_that_cannot_be_written_says_why(
    facts_file: Any, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--facts", facts_file(FULL), "--plot", str(tmp_path / name)]) == 1
    assert name.rpartition("/")[2] in capsys.readouterr().err


def out_in_the_doubled_hour() -> dict[str, Any]:
    """Facts: out of bed from 02:10 to 02:10, an hour later."""
    day = "2026-10-25"
    spans = [(f"{day}T00:00:00", f"{day}T02:10:00+02:00"), (f"{day}T02:10:00+01:00", f"{day}T06:00:00")]
    occupancy = [{"state": "present", "start": start, "end": end} for start, end in spans]
    return {"timezone": "Europe/Berlin", "night_of": day, "occupancy": occupancy}


def test_the_bar_on_the_sheet_has_the_hour_that_comes_twice() -> None:
    widths = bar_widths(night_json(out_in_the_doubled_hour()))
    assert [state for state, _ in widths] == ["in_bed", "out", "in_bed"]
    assert widths[1][1] / sum(width for _, width in widths) == pytest.approx(1 / 7)


def test_in_the_hour_that_comes_twice_the_text_tells_which_one(
    facts_file: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--facts", facts_file(out_in_the_doubled_hour())]) == 0
    out = capsys.readouterr().out
    assert "02:10:00+02:00-02:10:00+01:00  out of bed" in out
    assert "Out of bed in total: 1 h 00 min" in out
