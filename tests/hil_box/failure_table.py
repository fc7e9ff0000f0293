"""What the radio tests have seen goes into docs/hil.md: one row each, replaced by each run that is asked to write."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "hil.md"
END = "<!-- end -->\n"
FIELD_FAILURES = "<!-- field failures, written by make hil -->\n"
MUST_SHOW = "<!-- must show, written by make hil -->\n"
HEADS = {
    FIELD_FAILURES: "| field failure | injected as | seen by the gateway | detected after | recovered after |\n"
                    "|---|---|---|---|---|\n",
    MUST_SHOW: "| shown | how | result |\n|---|---|---|\n",
}  # fmt: skip


def add_row(table: str, *cells: str) -> None:
    """Write or replace the row that begins with the first cell, in the order of first cells; only under `make hil`.

    `make test` must not change the tree, so without SLEEPBELT_HIL_TABLE nothing is written.
    """
    if not os.environ.get("SLEEPBELT_HIL_TABLE"):
        return
    with DOCUMENT.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before, _, rest = file.read().partition(table)
        body, _, after = rest.partition(END)
        rows = {row.split(" | ")[0]: row for row in body.removeprefix(HEADS[table]).splitlines()}
        rows[f"| {cells[0]}"] = f"| {' | '.join(cells)} |"
        ordered = "\n".join(rows[key] for key in sorted(rows))
        file.seek(0)
        file.truncate()
        file.write(f"{before}{table}{HEADS[table]}{ordered}\n{END}{after}")


class FailureTable:
    """Rows by the failure's number in facts/RADIO.md."""

    def add(
        self, number: int, failure: str, injected: str, seen: str, detected_s: float, recovered_s: float
    ) -> None:
        """Write or replace one row."""
        add_row(
            FIELD_FAILURES, f"{number}. {failure}", injected, seen, f"{detected_s:.2f} s", f"{recovered_s:.2f} s"
        )
