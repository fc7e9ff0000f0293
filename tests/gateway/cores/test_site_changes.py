"""site_changes: every change is told once, and nothing secret with it."""

from __future__ import annotations

from typing import Any

from gateway.cores.site_changes import changed_sections, changes, removed_beds

BEFORE: dict[str, Any] = {
    "gateway": {"id": "gw", "timezone": "Asia/Shanghai"}, "alerter": {"buzzer_pin": 17},
    "beds": [{"label": "1", "room": "a"}, {"label": "2", "room": "a", "profile": "standard"}],
}  # fmt: skip


def test_nothing_changed_is_nothing_told() -> None:
    assert changes(BEFORE, {**BEFORE, "web": {}}) == []


def test_beds_and_settings_are_told_by_name_with_both_values() -> None:
    after = {
        **BEFORE, "gateway": {"id": "gw", "timezone": "Europe/Berlin"}, "alerter": {"light_pin": 27},
        "beds": [{"label": "2", "room": "b", "profile": "standard", "overrides": {"allowed_s": 600}},
                 {"label": "3", "room": "c"}],
    }  # fmt: skip
    assert changes(BEFORE, after) == [
        {"change": "bed_added", "bed": "3", "room": "c"},
        {"change": "bed_removed", "bed": "1"},
        {"change": "bed_changed", "bed": "2", "key": "room", "before": "a", "after": "b"},
        {"change": "bed_changed", "bed": "2", "key": "overrides.allowed_s", "before": "–", "after": "600"},
        {"change": "setting_changed", "key": "gateway.timezone", "before": "Asia/Shanghai", "after": "Europe/Berlin"},
        {"change": "setting_changed", "key": "alerter.buzzer_pin", "before": "17", "after": "–"},
        {"change": "setting_changed", "key": "alerter.light_pin", "before": "–", "after": "27"},
    ]
    assert removed_beds(BEFORE, after) == ["1"]
    assert changed_sections(BEFORE, after) == ["gateway", "alerter"]


def test_addresses_with_passwords_keys_and_accounts_are_not_shown() -> None:
    secret = "hush"
    after = {
        **BEFORE, "uplink": {"url": f"mqtts://a:{secret}@b", "platform_key": secret},
        "webhooks": [{"url": f"https://x/?key={secret}"}], "web": {"accounts": [{"name": "a", "pin": secret}]},
        "beds": [{**BEFORE["beds"][0], "key": secret}, BEFORE["beds"][1]],
    }  # fmt: skip
    told = changes(BEFORE, after)
    assert secret not in str(told)
    assert {change["key"] for change in told} == {
        "key", "uplink.url", "uplink.platform_key", "webhooks.1.url", "web.accounts"}
