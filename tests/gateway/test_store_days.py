"""store_days: however many days are kept, a gateway has the newest open and finds what is in the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_sync.outbox import LANE_VITALS
from gateway.store_days import OPEN_DAYS
from gateway.store_files import Chunk, StoreFiles, Writes

DAY_MS = 86_400_000
FIRST_MS = 20_000 * DAY_MS
DAYS = 12


def chunk(day: int, minute: int = 0) -> Chunk:
    return Chunk("A", FIRST_MS + day * DAY_MS + minute * 60_000, b"day %d minute %d" % (day, minute), 60)


def filled(folder: Path) -> StoreFiles:
    """One chunk on each of DAYS days, none of them acked."""
    files = StoreFiles(folder)
    for day in range(DAYS):
        files.commit(Writes(chunks=[chunk(day)]))
    return files


def open_days(folder: Path) -> int:
    """How many day files of the folder this process has open."""
    opened = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            opened.add(link.readlink())
        except OSError:
            continue  # the listing's own
    return len(opened & set(folder.glob("vitals-*.db")))


def test_only_the_newest_days_stay_open_while_days_go_by_and_after_a_start(tmp_path: Path) -> None:
    filled(tmp_path).close()
    files = StoreFiles(tmp_path)
    assert open_days(tmp_path) == OPEN_DAYS
    files.commit(Writes(chunks=[chunk(DAYS)]))
    assert open_days(tmp_path) == OPEN_DAYS
    files.close()
    assert open_days(tmp_path) == 0


def test_a_closed_day_is_read_and_takes_what_comes_late(tmp_path: Path) -> None:
    files = filled(tmp_path)
    files.commit(Writes(chunks=[chunk(3, minute=7)]))
    assert open_days(tmp_path) == OPEN_DAYS
    third_ms = FIRST_MS + 3 * DAY_MS
    assert list(files.chunks("A", third_ms, third_ms + DAY_MS)) == [b"day 3 minute 0", b"day 3 minute 7"]
    assert len(list(files.chunks("A", 0, 2 * FIRST_MS))) == DAYS + 1
    files.close()


@pytest.mark.parametrize("restarted", [False, True])
def test_what_the_cloud_lacks_is_found_in_closed_days(tmp_path: Path, restarted: bool) -> None:
    files = filled(tmp_path)
    files.acked(LANE_VITALS, range(1, DAYS))
    files.commit(Writes(chunks=[chunk(1, minute=9)]))
    if restarted:
        files.close()
        files = StoreFiles(tmp_path)
    assert [item.body for item in files.pending(LANE_VITALS, 0, 10_000)] == [b"day 11 minute 0", b"day 1 minute 9"]
    assert files.next_seq(LANE_VITALS) == DAYS + 2
    assert files.rewind(LANE_VITALS, 1) == []
    assert len(files.pending(LANE_VITALS, 0, 10_000)) == DAYS + 1
    files.close()


def test_retention_drops_closed_days_that_the_cloud_has_and_no_other(tmp_path: Path) -> None:
    files = filled(tmp_path)
    files.acked(LANE_VITALS, range(1, 6))
    files.drop_before(0, FIRST_MS + DAYS * DAY_MS, "1970-01-01")
    files.commit(Writes(chunks=[chunk(DAYS)]))
    assert len(list(tmp_path.glob("vitals-*.db"))) == DAYS + 1 - 5
    assert files.pending(LANE_VITALS, 0, 20)[0].body == b"day 5 minute 0"
    files.close()


def test_a_damaged_old_day_is_put_aside_at_the_start(tmp_path: Path) -> None:
    filled(tmp_path).close()
    file = sorted(tmp_path.glob("vitals-*.db"))[2]
    file.write_bytes(b"no database at all" * 300)
    files = StoreFiles(tmp_path)
    assert [repair.file for repair in files.repairs] == [file]
    assert open_days(tmp_path) == OPEN_DAYS
    assert len(list(files.chunks("A", 0, 2 * FIRST_MS))) == DAYS - 1
    files.close()
