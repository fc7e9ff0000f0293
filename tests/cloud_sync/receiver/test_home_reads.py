"""Reads of the pages that run a home: the same on both databases, by as many statements for many beds as for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cloud_sync.receiver import home_reads
from cloud_sync.receiver.stores.opening import open_reads
from tests.cloud_sync.postgres_server import emptied, postgres_server
from tools.bench_pages import Statements
from tools.home_month import DAY_MS, NOW_UTC_MS, make_month


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server("reads") as url:
        yield url


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_silent_minutes_of_all_beds_take_three_statements(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    url = emptied(request.getfixturevalue("server")) if kind == "postgresql" else ""
    month = make_month(tmp_path, residents=3, nights=2, minutes_of_nights=1, url=url)
    with closing(open_reads(month.database)) as reads:
        stored = home_reads.recorded_minutes(reads, NOW_UTC_MS - DAY_MS, NOW_UTC_MS)
        statements = Statements()
        with statements.counted():
            silences = home_reads.silences(reads, NOW_UTC_MS - DAY_MS, NOW_UTC_MS)
    silent = {bed: sum(end - start for start, end in found) // 60_000 for bed, found in silences.items()}
    assert silent == {bed: 1440 - count for bed, count in stored.items()}
    assert all(minutes >= 11 for minutes in silent.values())
    assert statements.count == 3
