"""docs/hil.md: the tables that `make hil` and `make soak` write hold every row that issue 5 asks to be shown."""

from __future__ import annotations

import pytest

from tests.hil_box.failure_table import DOCUMENT, END, FIELD_FAILURES, HEADS, MUST_SHOW

TIERS = ("bumble", "box")
ON_EACH_TIER = (
    "1 h out of range", "10 % and 30 % frame loss", "belt reboot", "belt swapped at its bed",
    "one of two adapters dies", "two gateways hear one belt", "a belt hangs up again and again",
    "no session at all", "twenty belts on five slots",
)  # fmt: skip
ONCE = (
    "24 h soak (bumble)",
    "clock drift of +100 ppm (every tier: the core)",
    "clock drift of -100 ppm (every tier: the core)",
)


def rows(table: str) -> dict[str, list[str]]:
    """Cells after the first one, by the first one."""
    body = DOCUMENT.read_text("utf-8").partition(table)[2].partition(END)[0]
    found = [line.strip("| ").split(" | ") for line in body.removeprefix(HEADS[table]).splitlines()]
    return {first: rest for first, *rest in found}


@pytest.mark.parametrize("name", [*(f"{shown} ({tier})" for shown in ON_EACH_TIER for tier in TIERS), *ONCE])
def test_what_the_radio_must_show_has_its_row(name: str) -> None:
    how, result = rows(MUST_SHOW)[name]
    assert how
    assert any(character.isdigit() for character in result)


def test_nothing_else_stands_there() -> None:
    assert len(rows(MUST_SHOW)) == len(ON_EACH_TIER) * len(TIERS) + len(ONCE)


@pytest.mark.parametrize("number", range(1, 10))
def test_each_field_failure_was_detected_and_recovered_from_in_a_time(number: int) -> None:
    (row,) = [cells for first, cells in rows(FIELD_FAILURES).items() if first.startswith(f"{number}. ")]
    _, _, detected, recovered = row
    assert 0 <= float(detected.removesuffix(" s")) <= float(recovered.removesuffix(" s")) or number == 7
