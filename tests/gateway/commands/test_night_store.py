"""night_store: a report is read beside the gateway that holds its files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.commands.night_store import NoStoreError, stored_answer
from gateway.store_files import NightRow, StoreFiles, Writes


def test_a_stored_report_is_read_while_the_gateway_runs(tmp_path: Path) -> None:
    files = StoreFiles(tmp_path)
    files.commit(Writes(nights=[NightRow("A", "2026-11-23", 1, '{"sleep_s": 5}')]))
    assert stored_answer(tmp_path, "A", "2026-11-23")["night"] == {"sleep_s": 5}
    assert stored_answer(tmp_path, "A", "2026-11-24")["night"] is None
    files.close()


def test_a_folder_without_a_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError, match=tmp_path.name):
        stored_answer(tmp_path, "A", "2026-11-23")
