"""ha_discovery: what Home Assistant is told of a bed."""

from __future__ import annotations

import json
import re
from typing import Any

from gateway.cores.ha_discovery import EXPIRE_AFTER_S, STATE_EVERY_S, Home, discovery, hello, outdated, state
from tests.gateway.web.small_ward import NIGHT_UTC_MS, NOW_MS, absent, alarming, bed

HOME = Home("gw-01", "homeassistant", "0.1.0")
OFFSET_MS = NIGHT_UTC_MS - NOW_MS


def told(one: Any, *, time_trusted: bool = True) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(state(HOME, one, OFFSET_MS, time_trusted=time_trusted).payload)
    return values


def test_a_bed_is_one_device_in_one_retained_message() -> None:
    message = discovery(HOME, bed("101-1"))
    payload = json.loads(message.payload)
    assert message.retain
    assert re.fullmatch(r"homeassistant/device/[A-Za-z0-9_-]+/config", message.topic)
    assert (payload["dev"]["name"], payload["dev"]["sa"], payload["o"]["name"]) == ("Bed 101-1", "101", "sleepbelt")
    assert payload["stat_t"] == state(HOME, bed("101-1"), 0, time_trusted=True).topic
    assert payload["avty_t"] == HOME.availability_topic


def test_every_component_is_a_platform_with_its_own_id_reads_a_told_field_and_expires() -> None:
    payload = json.loads(discovery(HOME, bed("101-1")).payload)
    values = told(bed("101-1"))
    ids = set()
    for part in payload["cmps"].values():
        assert part["p"] in ("sensor", "binary_sensor")
        assert part["exp_aft"] == EXPIRE_AFTER_S > 2 * STATE_EVERY_S
        (field,) = re.findall(r"value_json\.(\w+)", part["val_tpl"])
        assert field in values
        ids.add(part["uniq_id"])
    assert len(ids) == len(payload["cmps"])
    assert {"occupied", "alarm", "out_since", "heart_rate", "respiration", "notices"} <= payload["cmps"].keys()


def test_nothing_can_be_commanded() -> None:
    assert not re.search(rb"cmd_t|command_topic", discovery(HOME, bed("101-1")).payload)


def test_labels_that_no_topic_takes_give_different_ids_all_the_same() -> None:
    ids = {HOME.object_id(label) for label in ("一床", "二床", "a+b", "a#b", "101-1")}
    assert len(ids) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", one) for one in ids)
    assert Home("gw-02").object_id("101-1") != HOME.object_id("101-1")


def test_the_state_says_what_the_board_shows() -> None:
    values = told(alarming("101-1"))
    assert (values["occupied"], values["alarm"], values["level"], values["priority"]) == ("OFF", "ON", 1, "medium")
    assert values["out_since"] == "2026-11-22T16:22:50+00:00"
    assert values["heart_rate"] is None
    assert told(bed("101-1"))["heart_rate"] == 61.8
    assert told(bed("101-1", state="held"))["occupied"] == "ON"


def test_what_is_not_known_is_null() -> None:
    assert told(bed("101-1", silent=True))["occupied"] is None
    assert told(bed("101-1", state="unknown"))["occupied"] is None
    assert told(absent("101-1", 300), time_trusted=False)["out_since"] is None


def test_a_hello_announces_every_bed_and_then_that_we_are_here() -> None:
    messages = hello(HOME, [bed("101-1"), bed("101-2")])
    assert [message.retain for message in messages] == [True] * 3
    assert (messages[-1].topic, messages[-1].payload) == ("sleepbelt/gw-01/availability", b"online")


def test_a_bed_that_is_no_more_is_taken_out_by_an_empty_retained_message() -> None:
    old = discovery(HOME, bed("101-9"))
    message = outdated(HOME, old.topic, old.payload, ["101-1"])
    assert message is not None
    assert (message.topic, message.payload, message.retain) == (HOME.config_topic("101-9"), b"", True)


def test_what_is_still_there_or_of_others_stays() -> None:
    ours, theirs = discovery(HOME, bed("101-1")), discovery(Home("gw-02"), bed("101-9"))
    assert outdated(HOME, ours.topic, ours.payload, ["101-1"]) is None
    assert outdated(HOME, theirs.topic, theirs.payload, ["101-1"]) is None
    for payload in (b"", b"x", b"[]", b'{"o": 5}'):
        assert outdated(HOME, "homeassistant/device/x/config", payload, ["101-1"]) is None
