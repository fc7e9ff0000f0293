"""night_store: a report is read beside the gateway that holds its files alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.commands.night import main
from gateway.commands.night_store import NoStoreError, stored_answer
from gateway.cores.night import report_json
from gateway.cores.vitals import minute_of
from gateway.store_files import Chunk, NightRow, StoreFiles, Writes
from protocol.batch import VitalsChunk, encode_item
from tests.gateway.cores.belt_talk import SERIAL, minute
from tests.gateway.cores.night_cases import night_facts, night_json

IN_BED_S = int(datetime(2026, 11, 23, 22, tzinfo=UTC).timestamp())


@pytest.fixture
def night_store(tmp_path: Path) -> Path:
    """A store with one report of bed A, in UTC, and its minutes from 22:00 to 06:00."""
    report = {**night_json({**night_facts(("22:00", "06:00")), "timezone": "UTC"})}
    chunks = [
        Chunk("A", at * 1000, encode_item(VitalsChunk(
            "A", SERIAL.hex(), 1, at - IN_BED_S + 60, at * 1000, True, 60, (), minute_of(minute(1, 60))
        )))
        for at in range(IN_BED_S, IN_BED_S + 8 * 3600, 60)
    ]  # fmt: skip
    files = StoreFiles(tmp_path)
    files.commit(Writes(nights=[NightRow("A", "2026-11-24", 1, json.dumps(report))], chunks=chunks))
    files.close()
    return tmp_path


def test_a_stored_night_is_drawn_with_the_curves_of_its_stored_minutes(night_store: Path, tmp_path: Path) -> None:
    assert main(["A", "2026-11-24", "--store", str(night_store), "--plot", str(tmp_path / "n.svg")]) == 0
    picture = (tmp_path / "n.svg").read_text("utf-8")
    assert [f"c-{kind}" in picture.partition("</style>")[2] for kind in ("heart", "breath", "movement")] == [True] * 3


@pytest.mark.parametrize(
    ("bed", "day", "why"),
    [("B", "2026-11-24", "knows no bed 'B'; it knows A"), ("A", "2099-01-01", "2099-01-01 has not been yet")],
)
def test_an_unknown_bed_and_a_night_to_come_are_told(
    night_store: Path, capsys: pytest.CaptureFixture[str], bed: str, day: str, why: str
) -> None:
    assert main([bed, day, "--store", str(night_store), "--json"]) == 2
    assert why in capsys.readouterr().err


def test_a_stored_report_is_read_while_the_gateway_runs(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(nights=[NightRow("A", "2026-11-23", 1, '{"sleep_s": 5}')]))
    assert stored_answer(tmp_path, "A", "2026-11-23")["night"] == {"sleep_s": 5}
    assert stored_answer(tmp_path, "A", "2026-11-24")["night"] is None
    files.close()


def test_a_folder_without_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError, match=tmp_path.name):
        stored_answer(tmp_path, "A", "2026-11-23")


def test_a_stored_word_that_there_was_no_night_is_given_as_it_is(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(nights=[NightRow("A", "2026-11-23", 1, json.dumps(report_json(None)))]))
    assert stored_answer(tmp_path, "A", "2026-11-23") == {"night": None, "reason": "no_night_recorded"}
    files.close()
