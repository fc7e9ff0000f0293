"""Rows of the port as CSV (RFC 4180): a header of field names, an empty cell for what is not known."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any, get_origin, get_type_hints

__all__ = ["csv_text"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(row_type: type[Any], rows: Sequence[Any]) -> str:
    """`rows` of the dataclass `row_type`, without its maps; the header is there without rows too."""
    hints = get_type_hints(row_type)
    names = [field.name for field in dataclasses.fields(row_type) if get_origin(hints[field.name]) is not Mapping]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in names])
    return text.getvalue()


def _cell(value: Any) -> Any:
    # Labels come from gateways, and a spreadsheet would run one that begins like a formula (OWASP, CSV injection).
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value
