"""What `make hil` has seen goes into docs/hil.md: one row per field failure, replaced by each run."""

from __future__ import annotations

from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "hil.md"
BEGIN, END = "<!-- written by make hil -->\n", "<!-- end -->\n"
HEAD = (
    "| field failure | injected as | seen by the gateway | detected after | recovered after |\n|---|---|---|---|---|\n"
)


class FailureTable:
    """Rows by the failure's number in facts/RADIO.md."""

    def add(
        self, number: int, failure: str, injected: str, seen: str, detected_s: float | None, recovered_s: float | None
    ) -> None:
        """Write or replace one row."""
        text = DOCUMENT.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        body, _, after = rest.partition(END)
        rows = {row.split(".")[0]: row for row in body.removeprefix(HEAD).splitlines()}
        rows[f"| {number}"] = (
            f"| {number}. {failure} | {injected} | {seen} | {_seconds(detected_s)} | {_seconds(recovered_s)} |"
        )
        ordered = "\n".join(rows[key] for key in sorted(rows, key=lambda key: int(key[2:])))
        DOCUMENT.write_text(f"{before}{BEGIN}{HEAD}{ordered}\n{END}{after}", "utf-8")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
