"""The options that choose the tier: what goes together, and what is told otherwise."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.ward import Tier, tier_of


class Given:
    """Options as pytest hands them over."""

    def __init__(self, hci: tuple[str, ...] = (), bluez: str | None = None, radio: str = "bumble") -> None:
        self._options: dict[str, Any] = {"--hci": list(hci), "--bluez": bluez, "--radio": radio}

    def getoption(self, name: str) -> Any:
        return self._options[name]


def chosen(given: Given) -> Tier:
    return tier_of(cast(pytest.Config, given))


def test_without_options_belts_and_gateway_are_in_this_process() -> None:
    assert chosen(Given()) == Tier("bumble")


def test_the_box_and_the_hardware_are_chosen_by_options() -> None:
    assert chosen(Given(radio="box")) == Tier("box")
    assert chosen(Given(("usb:0", "usb:1"), "hci2")) == Tier("bluez", ("usb:0", "usb:1"), "hci2")


@pytest.mark.parametrize("given", [Given(("usb:0",)), Given(bluez="hci0"), Given(("usb:0",), "hci0", "box")])
def test_options_that_do_not_go_together_are_told(given: Given) -> None:
    with pytest.raises(pytest.UsageError, match="--hci"):
        chosen(given)


def test_pytest_knows_them(pytestconfig: pytest.Config) -> None:
    assert isinstance(tier_of(pytestconfig), Tier)
