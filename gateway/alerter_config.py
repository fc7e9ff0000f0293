"""`[alerter]` of gateway.toml: pins, places, buttons, tone and self-test; docs/alerting.md explains them for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import config_checks as checks
from gateway.cores.self_test import DAY_FROM_HOUR, DAY_TO_HOUR
from protocol.phrase import Phrase

__all__ = ["ALERTER", "AlerterConfig", "ButtonConfig", "SelfTestConfig", "ToneConfig", "read_alerter"]

BUTTONS_MAX = 16
COMMAND_PARTS_MAX = 16


@dataclass(frozen=True, slots=True)
class ButtonConfig:
    pin: int
    name: str  # who acted, in the log
    beds: tuple[str, ...]
    pull_up: bool  # the button connects its pin to ground; False: to 3.3 V


@dataclass(frozen=True, slots=True)
class ToneConfig:
    command: tuple[str, ...]  # plays a WAV file from its standard input
    place: str  # staff | room
    volume_percent: int


@dataclass(frozen=True, slots=True)
class SelfTestConfig:
    hour: int
    every_days: int


@dataclass(frozen=True, slots=True)
class AlerterConfig:
    buzzer_pin: int | None
    buzzer_place: str  # staff | room
    light_pin: int | None
    light_place: str
    relay_pin: int | None
    relay_serial: Path | None  # serial port whose control lines drive the relay, in place of relay_pin
    relay_mode: str  # call | fault
    relay_active_high: bool
    relay_pulse_pin: int | None
    relay_socket: Path | None  # of a relay process that is a unit of its own; None: the gateway starts one
    buttons: tuple[ButtonConfig, ...]
    tone: ToneConfig | None
    in_room_sound: bool
    self_test: SelfTestConfig
    mock_pins: bool


def _command(value: object) -> tuple[str, ...]:
    good = isinstance(value, list) and 0 < len(value) <= COMMAND_PARTS_MAX
    if not good or not all(isinstance(part, str) and part for part in value):  # type: ignore[attr-defined]
        raise checks.NotAllowed(Phrase('a list of texts such as ["aplay", "-q", "-"], a program and what it is given'))
    return tuple(value)  # type: ignore[arg-type]


def _tables(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > BUTTONS_MAX:
        raise checks.NotAllowed(
            Phrase("a list of at most {buttons_max} tables {{ pin = 23, beds = [...] }}", buttons_max=BUTTONS_MAX)
        )
    return value


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise checks.NotAllowed(Phrase("a table { key = value }"))
    return value


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(label, str) for label in value):
        raise checks.NotAllowed(Phrase("a list of beds' labels; leave it out for all beds"))
    return tuple(value)


_PIN = checks.whole(0, 27)
_PLACE = checks.choice("staff", "room")

ALERTER: checks.Keys = {
    "buzzer_pin": (_PIN, None),
    "buzzer_place": (_PLACE, "staff"),
    "light_pin": (_PIN, None),
    "light_place": (_PLACE, "staff"),
    "relay_pin": (_PIN, None),
    "relay_serial": (checks.text(100, r"/dev/[A-Za-z0-9._/-]+", Phrase("a serial port such as /dev/ttyUSB0")), None),
    "relay_mode": (checks.choice("call", "fault"), "call"),
    "relay_active_high": (checks.flag, True),
    "relay_pulse_pin": (_PIN, None),
    "relay_socket": (checks.text(100, r"[^\0]+", Phrase("the path of the relay unit's socket")), None),
    "buttons": (_tables, ()),
    "tone": (_table, None),
    "in_room_sound": (checks.flag, False),
    "self_test": (_table, {}),
    "mock_pins": (checks.flag, False),
}
_BUTTON: checks.Keys = {
    "pin": (_PIN, checks.REQUIRED),
    "name": (checks.text(32, r"[A-Za-z0-9._-]+", Phrase("letters, digits, '.', '_' and '-'")), None),
    "beds": (_labels, None),
    "pull_up": (checks.flag, True),
}
_TONE: checks.Keys = {
    "command": (_command, None),
    "device": (checks.text(100, r"[^\s\0]+", Phrase("a sound device as `aplay -L` lists them")), None),
    "place": (_PLACE, "staff"),
    "volume_percent": (checks.whole(1, 100), 100),
}
_SELF_TEST: checks.Keys = {
    "hour": (checks.whole(DAY_FROM_HOUR, DAY_TO_HOUR - 1), 10),
    "every_days": (checks.whole(1, 30), 7),
}

Bad = Callable[[str, str, str], None]
Table = Callable[[str, Mapping[str, Any], checks.Keys], dict[str, Any]]


def read_alerter(values: Mapping[str, Any], table: Table, bad: Bad, beds: Sequence[str]) -> AlerterConfig:
    """The section's checked values made whole; `table` checks a table inside, `bad` takes (path, found, allowed)."""
    full = {key: values.get(key, default) for key, (_, default) in ALERTER.items()}
    buttons = _buttons(full["buttons"], table, bad, beds)
    test = table("alerter.self_test", full["self_test"], _SELF_TEST)
    _pins_once(full, bad)
    if full["relay_pulse_pin"] is not None and full["relay_pin"] is None:
        bad(
            "alerter.relay_pulse_pin",
            repr(full["relay_pulse_pin"]),
            Phrase("goes with alerter.relay_pin, which is missing"),
        )
    if full["relay_socket"] is not None and full["relay_pin"] is None and full["relay_serial"] is None:
        bad("alerter.relay_socket", repr(full["relay_socket"]), Phrase("goes with alerter.relay_pin or relay_serial"))
    if full["relay_serial"] is not None:
        _serial_port(full, bad)
    return AlerterConfig(
        **{
            **full,
            "relay_serial": None if full["relay_serial"] is None else Path(full["relay_serial"]),
            "buttons": buttons,
            "tone": None if full["tone"] is None else _tone(full["tone"], table, bad),
            "self_test": SelfTestConfig(test.get("hour", 10), test.get("every_days", 7)),
        }
    )


def _buttons(raw_buttons: Sequence[Any], table: Table, bad: Bad, beds: Sequence[str]) -> tuple[ButtonConfig, ...]:
    buttons = []
    for index, raw in enumerate(raw_buttons):
        path = f"alerter.buttons[{index}]"
        if not isinstance(raw, dict):
            bad(path, repr(raw), Phrase("a table { pin = 23, beds = [...] }"))
            continue
        values = table(path, raw, _BUTTON)
        for label in values.get("beds") or ():
            if label not in beds:
                bad(
                    f"{path}.beds",
                    repr(label),
                    Phrase("beds are {names}{meant}", names=", ".join(beds), meant=checks.meant(label, list(beds))),
                )
        if "pin" in values:
            name = values.get("name") or f"gpio{values['pin']}"
            chosen = values.get("beds") or tuple(beds)
            buttons.append(ButtonConfig(values["pin"], name, chosen, values.get("pull_up", True)))
    return tuple(buttons)


def _tone(raw: Mapping[str, Any], table: Table, bad: Bad) -> ToneConfig:
    values = table("alerter.tone", raw, _TONE)
    command = values.get("command")
    if command is not None and values.get("device") is not None:
        bad("alerter.tone.device", repr(values["device"]), Phrase("only one of command and device"))
    if command is None:
        device = values.get("device")
        command = ("aplay", "-q", *(("-D", device) if device else ()), "-t", "wav", "-")
    return ToneConfig(command, values.get("place", "staff"), values.get("volume_percent", 100))


def _serial_port(values: Mapping[str, Any], bad: Bad) -> None:
    if values["relay_pin"] is not None:
        bad("alerter.relay_serial", repr(values["relay_serial"]), Phrase("only one of relay_pin and relay_serial"))
    path = Path(values["relay_serial"])
    # A port that is not there yet may be plugged in later; something else in its place never is one.
    if path.exists() and not path.is_char_device():
        bad(
            "alerter.relay_serial",
            repr(values["relay_serial"]),
            Phrase("a serial port such as /dev/ttyUSB0; this is none"),
        )


def _pins_once(values: Mapping[str, Any], bad: Bad) -> None:
    used: dict[int, str] = {}
    pins = [(f"alerter.{key}", values[key]) for key in ("buzzer_pin", "light_pin", "relay_pin", "relay_pulse_pin")]
    for index, raw in enumerate(values["buttons"]):
        if isinstance(raw, dict):
            pins.append((f"alerter.buttons[{index}].pin", raw.get("pin")))
    for path, pin in pins:
        if not isinstance(pin, int) or isinstance(pin, bool):
            continue
        if pin in used:
            bad(path, str(pin), Phrase("another pin than {used}", used=used[pin]))
        used.setdefault(pin, path)
