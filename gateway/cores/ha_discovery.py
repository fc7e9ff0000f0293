"""What Home Assistant is told over MQTT: one retained device-discovery message per bed, and the bed's state as JSON.

Format: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload (`dev`, `o`, `cmps`). Everything is
read only: no command topic is announced. Bed labels only; nothing here can name a resident.

| topic | retained | payload |
|---|---|---|
| `<prefix>/device/<id>/config` | yes | discovery of one bed |
| `sleepbelt/<gateway>/availability` | yes | `online`, last will `offline` |
| `sleepbelt/<gateway>/<id>/state` | no | state of one bed, at each change and each 60 s |
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

ONLINE, OFFLINE = b"online", b"offline"
STATE_EVERY_S = 60
EXPIRE_AFTER_S = 150
"""Beyond two states that did not come the values are unknown, not old."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the broker."""

    topic: str
    payload: bytes
    retain: bool


@dataclass(frozen=True, slots=True)
class Home:
    """Names of one gateway in one Home Assistant."""

    gateway: str
    prefix: str = "homeassistant"
    version: str = "0"

    @property
    def availability_topic(self) -> str:
        return f"sleepbelt/{self.gateway}/availability"

    @property
    def config_topics(self) -> str:
        """Where all devices are announced, of others too."""
        return f"{self.prefix}/device/+/config"

    @property
    def birth_topic(self) -> str:
        """Home Assistant says `online` here when it has started: discovery is then sent again."""
        return f"{self.prefix}/status"

    def object_id(self, bed: str) -> str:
        """Unique, and of the characters that discovery allows, whatever the label is made of."""
        digest = hashlib.sha256(f"{self.gateway}\n{bed}".encode()).hexdigest()[:8]
        return f"sleepbelt_{_slug(self.gateway)}_{_slug(bed)}_{digest}"

    def state_topic(self, bed: str) -> str:
        return f"sleepbelt/{self.gateway}/{self.object_id(bed)}/state"

    def config_topic(self, bed: str) -> str:
        return f"{self.prefix}/device/{self.object_id(bed)}/config"


def discovery(home: Home, bed: Mapping[str, Any]) -> Message:
    """The discovery message of a bed of the board's snapshot (gateway/web/port.py)."""
    label, object_id = bed["bed"], home.object_id(bed["bed"])
    payload = {
        "dev": {
            "ids": [object_id],
            "name": f"Bed {label}",
            "mf": "sleepbelt",
            "mdl": "bed",
            "sw": home.version,
            **({"sa": bed["room"]} if bed["room"] else {}),
        },
        "o": {"name": "sleepbelt", "sw": home.version},
        "cmps": {name: {**part, "uniq_id": f"{object_id}_{name}"} for name, part in _COMPONENTS.items()}
        | {"notices": {**_COMPONENTS["notices"], "uniq_id": f"{object_id}_notices", **_attributes(home, label)}},
        "stat_t": home.state_topic(label),
        "avty_t": home.availability_topic,
        "qos": 1,
    }
    return Message(home.config_topic(label), _json(payload), True)


def outdated(home: Home, topic: str, payload: bytes, beds: Sequence[str]) -> Message | None:
    """The empty retained message that takes a bed of ours out of Home Assistant, if `topic` announces one that is not
    among `beds` any more; None for any other message."""
    if not payload or topic in {home.config_topic(bed) for bed in beds}:
        return None
    try:
        announced = json.loads(payload)
        ours = announced["o"]["name"] == "sleepbelt" and announced["avty_t"] == home.availability_topic
    except (ValueError, KeyError, TypeError):
        return None
    return Message(topic, b"", True) if ours else None


def state(
    home: Home, bed: Mapping[str, Any], utc_minus_elapsed_ms: int, *, time_trusted: bool, test: bool = False
) -> Message:
    """The state of a bed; what is not known is null, which Home Assistant shows as unknown.

    `test`: a walk test's alarm is on for this bed. The alarm is then `ON`, so that what hangs on it is tried too, and
    `alarm_state` says `test`.
    """
    alarm, out_ms = bed["alarm"], bed["out_since_ms"]
    out = bed["state"] == "absent" and out_ms is not None
    heard = not bed["silent"] and bed["state"] != "unknown"
    payload = {
        "occupied": _on_off(bed["state"] in ("present", "held")) if heard else None,
        "alarm": _on_off(alarm["state"] == "unacknowledged" or test),
        "alarm_state": "test" if test and alarm["state"] == "none" else alarm["state"],
        "level": alarm["level"] if alarm["state"] != "none" else 0,
        "priority": alarm["priority"] if alarm["state"] != "none" else None,
        "out_since": _iso(out_ms + utc_minus_elapsed_ms) if out and time_trusted else None,
        "heart_rate": bed["heart"]["value"],
        "respiration": bed["respiration"]["value"],
        "belt_heard": _on_off(not bed["silent"] and bed["belt"] is not None),
        "watched": _on_off(bed["watched"]),
        "mode": bed["mode"],
        "notices": len(bed["notices"]),
        "notice_codes": [notice["code"] for notice in bed["notices"]],
        "battery": None if bed["belt"] is None else bed["belt"]["battery_percent"],
    }
    return Message(home.state_topic(bed["bed"]), _json(payload), False)


def hello(home: Home, beds: Sequence[Mapping[str, Any]]) -> list[Message]:
    """What is said after each connect and each birth of Home Assistant, before the states."""
    return [*(discovery(home, bed) for bed in beds), Message(home.availability_topic, ONLINE, True)]


def _template(field: str) -> str:
    # A null is rendered as "None", which is Home Assistant's word for unknown.
    return f"{{{{ value_json.{field} }}}}"


def _binary(field: str, name: str, **more: Any) -> dict[str, Any]:
    return {"p": "binary_sensor", "name": name, "val_tpl": _template(field), "exp_aft": EXPIRE_AFTER_S, **more}


def _sensor(field: str, name: str, **more: Any) -> dict[str, Any]:
    return {"p": "sensor", "name": name, "val_tpl": _template(field), "exp_aft": EXPIRE_AFTER_S, **more}


def _attributes(home: Home, bed: str) -> dict[str, str]:
    fields = ("notice_codes", "mode", "alarm_state", "level", "priority")
    chosen = ", ".join(f"'{field}': value_json.{field}" for field in fields)
    return {"json_attr_t": home.state_topic(bed), "json_attr_tpl": f"{{{{ {{{chosen}}} | tojson }}}}"}


_COMPONENTS: Mapping[str, Mapping[str, Any]] = {
    "occupied": _binary("occupied", "In bed", dev_cla="occupancy"),
    "alarm": _binary("alarm", "Leave-bed alarm", dev_cla="problem"),
    "out_since": _sensor("out_since", "Out of bed since", dev_cla="timestamp"),
    "heart_rate": _sensor(
        "heart_rate", "Heart rate (reference value)", unit_of_meas="bpm", stat_cla="measurement", ic="mdi:heart-pulse",
    ),
    "respiration": _sensor(
        "respiration", "Breathing rate (reference value)", unit_of_meas="/min", stat_cla="measurement", ic="mdi:lungs",
    ),
    "notices": _sensor("notices", "Attention notices", ic="mdi:bell-alert"),
    "watched": _binary("watched", "Watched", ent_cat="diagnostic"),
    "belt_heard": _binary("belt_heard", "Belt heard", dev_cla="connectivity", ent_cat="diagnostic"),
    "battery": _sensor("battery", "Battery", dev_cla="battery", unit_of_meas="%", ent_cat="diagnostic"),
}  # fmt: skip


def _on_off(value: bool) -> str:
    return "ON" if value else "OFF"


def _iso(utc_ms: int) -> str:
    # To the second: two readings of the same two clocks may differ by a millisecond.
    return datetime.fromtimestamp(round(utc_ms / 1000), UTC).isoformat()


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:40] or "_"


def _json(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
