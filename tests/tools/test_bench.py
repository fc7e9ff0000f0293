"""The table of `make bench`."""

from __future__ import annotations

from tools.bench import _line


def test_a_row_without_a_unit_has_a_line_too() -> None:
    assert _line({"name": "alarms", "value": 3, "source": "of 3"}).split() == ["alarms", "3", "of", "3"]


def test_a_row_says_its_limit_and_ratio() -> None:
    line = _line({"name": "rss", "value": 32.0, "unit": "MiB", "limit": 64, "ratio": 0.5, "source": "PEERS"})
    assert line.split() == ["rss", "32", "MiB", "limit", "64", "x", "0.5", "PEERS"]
