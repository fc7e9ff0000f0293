"""Settings of a page server: every wrong one is refused with its name."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import SettingsError, WebSettings, parse_web_settings

GOOD = hash_pin("4827")


def test_an_empty_table_means_the_defaults() -> None:
    assert parse_web_settings({}) == WebSettings()


def test_all_settings_are_taken_over() -> None:
    settings = parse_web_settings(
        {
            "host": "0.0.0.0",
            "port": 9000,
            "open_access": False,
            "language": "en",
            "allowed_hosts": ["Board.lan"],
            "accounts": [{"name": "night", "role": "carer", "pin": GOOD}],
        }
    )
    assert (settings.port, settings.language, settings.allowed_hosts) == (9000, "en", ("board.lan",))
    assert settings.accounts[0].role == "carer"


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"prot": 1}, "web.prot"),
        ({"port": "8080"}, "web.port"),
        ({"port": True}, "web.port"),
        ({"port": 70_000}, "web.port"),
        ({"open_access": "yes"}, "web.open_access"),
        ({"language": "fr"}, "web.language"),
        ({"allowed_hosts": "board"}, "web.allowed_hosts"),
        ({"tls_certificate": "/a.pem"}, "web.tls_key"),
        ({"accounts": {}}, "web.accounts"),
        ({"accounts": [{"name": "a", "role": "carer"}]}, "web.accounts[0]"),
        ({"accounts": [{"name": "a", "role": "doctor", "pin": GOOD}]}, "web.accounts[0].role"),
        ({"accounts": [{"name": "a", "role": "lead", "pin": GOOD}] * 2}, "web.accounts[1].name"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_web_settings(table)
    assert named in str(caught.value)


def test_a_pin_in_clear_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_web_settings({"accounts": [{"name": "a", "role": "lead", "pin": "482 7"}]})
    assert "web.accounts[0].pin" in str(caught.value)
    assert "482 7" not in str(caught.value)
