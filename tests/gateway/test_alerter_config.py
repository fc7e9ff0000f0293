"""[alerter]: defaults, what belongs together, and errors that name their key."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.alerter_config import AlerterConfig, ButtonConfig, ToneConfig
from gateway.config import ConfigError, load_config

BEDS = '[gateway]\nid = "g"\ndata_dir = "d"\n[[beds]]\nlabel = "101-1"\n[[beds]]\nlabel = "101-2"\n'


def load(folder: Path, text: str) -> AlerterConfig:
    file = folder / "gateway.toml"
    file.write_text(f"{BEDS}[alerter]\n{text}", "utf-8")
    return load_config(file).alerter


def test_without_keys_there_is_no_hardware_and_no_sound_in_rooms(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert (config.relay_pin, config.buttons, config.tone, config.in_room_sound) == (None, (), None, False)
    assert (config.self_test.hour, config.self_test.every_days) == (10, 7)
    assert (config.buzzer_place, config.light_place, config.relay_mode) == ("staff", "staff", "call")


def test_a_button_without_beds_has_all_and_is_named_by_its_pin(tmp_path: Path) -> None:
    text = 'buttons = [{ pin = 5 }, { pin = 6, name = "door", beds = ["101-2"], pull_up = false }]\n'
    assert load(tmp_path, text).buttons == (
        ButtonConfig(5, "gpio5", ("101-1", "101-2"), True), ButtonConfig(6, "door", ("101-2",), False)
    )  # fmt: skip


def test_a_tone_is_played_by_aplay_on_its_device_or_by_a_command(tmp_path: Path) -> None:
    assert load(tmp_path, "tone = {}\n").tone == ToneConfig(("aplay", "-q", "-t", "wav", "-"), "staff", 100)
    device = load(tmp_path, 'tone = { device = "plughw:1", place = "room", volume_percent = 60 }\n').tone
    assert device == ToneConfig(("aplay", "-q", "-D", "plughw:1", "-t", "wav", "-"), "room", 60)
    command = load(tmp_path, 'tone = { command = ["ssh", "station", "aplay"] }\n').tone
    assert command == ToneConfig(("ssh", "station", "aplay"), "staff", 100)


def test_the_units_socket_counts_from_the_files_folder(tmp_path: Path) -> None:
    assert load(tmp_path, 'relay_pin = 22\nrelay_socket = "r.sock"\n').relay_socket == tmp_path / "r.sock"


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("relay_pin = 28", "alerter.relay_pin", "a whole number from 0 to 27"),
        ("relay_pin = true", "alerter.relay_pin", "a whole number from 0 to 27"),
        ("relay_pin = 5\nlight_pin = 5", "alerter.relay_pin", "another pin than alerter.light_pin"),
        ("relay_pin = 5\nrelay_pulse_pin = 5", "alerter.relay_pulse_pin", "another pin than alerter.relay_pin"),
        ("light_pin = 5\nbuttons = [{ pin = 5 }]", "alerter.buttons[0].pin", "another pin than alerter.light_pin"),
        ("buttons = [{ pin = 5 }, { pin = 5 }]", "alerter.buttons[1].pin", "another pin than alerter.buttons[0].pin"),
        ('relay_mode = "cal"', "alerter.relay_mode", "did you mean 'call'"),
        ("relay_pulse_pin = 5", "alerter.relay_pulse_pin", "goes with alerter.relay_pin"),
        ('relay_socket = "x"', "alerter.relay_socket", "goes with alerter.relay_pin"),
        ('buttons = [{ pin = 5, beds = ["101-3"] }]', "alerter.buttons[0].beds", "beds are 101-1, 101-2; did you mean"),
        ("buttons = [{ pin = 5, beds = [] }]", "alerter.buttons[0].beds", "leave it out for all beds"),
        ("buttons = [{ pin = 5, beds = [1] }]", "alerter.buttons[0].beds", "a list of beds' labels"),
        ('buttons = [{ name = "x" }]', "alerter.buttons[0].pin", "this key is required"),
        ("buttons = [5]", "alerter.buttons[0]", "a table"),
        ("buttons = 5", "alerter.buttons", "a list of at most 16 tables"),
        ("buttons = [{ pin = 5, bed = 1 }]", "alerter.buttons[0].bed", "did you mean 'beds'"),
        ("tone = 5", "alerter.tone", "a table"),
        ('tone = { command = "aplay" }', "alerter.tone.command", "a program and what it is given"),
        ("tone = { command = [] }", "alerter.tone.command", "a program and what it is given"),
        ('tone = { command = ["x"], device = "y" }', "alerter.tone.device", "only one of command and device"),
        ("tone = { volume_percent = 0 }", "alerter.tone.volume_percent", "from 1 to 100"),
        ('buzzer_place = "corridor"', "alerter.buzzer_place", "one of staff, room"),
        ("in_room_sound = 1", "alerter.in_room_sound", "true or false"),
        ("self_test = { hour = 22 }", "alerter.self_test.hour", "a whole number from 7 to 20"),
        ("self_test = { every_days = 31 }", "alerter.self_test.every_days", "from 1 to 30"),
        ("self_test = 7", "alerter.self_test", "a table"),
    ],
)
def test_a_problem_names_its_key(tmp_path: Path, text: str, path: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text + "\n")
    found = {problem.path: str(problem) for problem in raised.value.problems}
    assert list(found) == [path]
    assert says in found[path]
