"""Rows of the benchmark: a name, a value with its unit, and, where there is one, what it is held against."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One figure; `limit` is a budget (lower is better), `peer` another product's figure, `ratio` value / that."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    peer: float | None = None
    source: str = ""  # of limit or peer
    ratio: float | None = None


def row(
    name: str, value: float, unit: str, limit: float | None = None, peer: float | None = None, source: str = ""
) -> Row:
    """A row with its ratio worked out."""
    against = limit if limit is not None else peer
    return Row(name, round(value, 4), unit, limit, peer, source, round(value / against, 4) if against else None)


def print_rows(rows: Iterable[Row]) -> None:
    """The rows as one JSON list on stdout, as `tools.bench` reads them."""
    print(json.dumps([{k: v for k, v in asdict(item).items() if v not in (None, "")} for item in rows], indent=1))
