"""config: the whole file is checked, every problem names its key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, gateway_identity, load_config, others_may_read

KEY = "00112233445566778899aabbccddeeff"
GOOD = f"""
[gateway]
id = "gw-01"
data_dir = "data"

[[beds]]
label = "101-1"
serial = "0011223344556677"
key = "{KEY}"
"""


def load(folder: Path, text: str) -> Config:
    file = folder / "gateway.toml"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    return load_config(file)


def problems(folder: Path, text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as raised:
        load(folder, text)
    return {problem.path: str(problem) for problem in raised.value.problems}


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.gateway.timezone == "Asia/Shanghai"
    assert config.gateway.data_dir == tmp_path / "data"
    assert config.radio.backend == "bluez"
    assert config.uplink is None
    assert config.beds[0].key == bytes.fromhex(KEY)
    assert config.beds[0].profile.allowed_s == 1200
    assert [warning for warning in config.warnings if "chmod" in warning] == []


@pytest.mark.parametrize(
    ("written", "read"),
    [("", ("22:00", "06:00")), ('night_window = ["20:30", "12:00"]', ("20:30", "12:00")),
     ('night_window = ["00:30", "09:00"]', ("00:30", "09:00"))],
)  # fmt: skip
def test_a_bed_has_the_night_window_of_its_resident(tmp_path: Path, written: str, read: tuple[str, str]) -> None:
    start, end = load(tmp_path, f"{GOOD}{written}\n").beds[0].night_window
    assert (f"{start:%H:%M}", f"{end:%H:%M}") == read


def test_the_sample_of_the_documentation_is_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
    sample = re.findall(r"```toml\n(.*?)```", text, re.S)[0]
    (tmp_path / "keys").mkdir()
    for name in re.findall(r'key_file = "(.*?)"', sample):
        (tmp_path / name).write_text(KEY)
        (tmp_path / name).chmod(0o600)
    config = load(tmp_path, sample)
    assert len(config.beds) >= 2
    assert config.uplink is not None


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path, '[gateway]\nid = "a b"\ntimezon = "UTC"\n[radio]\nconnections_max = 0\n[web]\nport = -1\n'
    )
    assert set(found) == {
        "gateway.id", "gateway.timezon", "gateway.data_dir", "radio.connections_max", "web.port", "beds"
    }  # fmt: skip
    assert "did you mean 'timezone'" in found["gateway.timezon"]
    assert "found 0; allowed: a whole number from 1 to 64" in found["radio.connections_max"]


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ("[wep]\n", "wep", "did you mean 'web'"),
        ('[gateway.timezone]\n', "gateway.timezone", "unknown_timezone"),
        ('[[beds]]\nlabel = "101-1"\n', "beds[1].label", "beds[0].label has it already"),
        ('[[beds]]\nlabel = "x"\nserial = "0011223344556677"\nkey = "00"\n', "beds[1].serial", "only once"),
        ('[[beds]]\nlabel = "x"\nserial = "0011223344556678"\n', "beds[1].key", "key_file"),
        ('[[beds]]\nlabel = "x"\nprofile = "standrad"\n', "beds[1].profile", "did you mean 'standard'"),
        ('[[beds]]\nlabel = "x"\nnight_window = ["06:00", "22:00"]\n', "beds[1].night_window", "between noon and noon"),
        ('[[beds]]\nlabel = "x"\nnight_window = ["22:00"]\n', "beds[1].night_window", "between noon and noon"),
        ('[[beds]]\nlabel = "x"\nnight_window = [22, 6]\n', "beds[1].night_window", "between noon and noon"),
        ('[[beds]]\nlabel = "x"\n[beds.overrides]\nallowed_s = -1\n', "beds[1].overrides.allowed_s", "invalid"),
        ('[[beds]]\nlabel = "x"\n[beds.overrides]\nwindows = [{start="22:00", end="22:00"}]\n',
         "beds[1].overrides.windows[0]", "window_empty"),
        ('[uplink]\nurl = "http://x"\n', "uplink.url", "mqtt://"),
        ('[alerter]\nbuzzer_pin = 17\nlight_pin = 17\n', "alerter.light_pin", "another pin"),
        ('[web]\nopen_acces = true\n', "web.open_acces", "open_access"),
    ],
)  # fmt: skip
def test_a_problem_names_its_key(tmp_path: Path, change: str, path: str, says: str) -> None:
    assert says in problems(tmp_path, GOOD + change)[path]


def test_a_bad_key_is_never_repeated(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace(KEY, "secret-but-wrong"))
    assert "secret-but-wrong" not in "".join(found.values())


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    assert "line 2" in problems(tmp_path, "[gateway]\nid = \n")["file"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none"):
        load_config(tmp_path / "gone.toml")


def test_a_key_file_that_others_may_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    key = tmp_path / "belt.key"
    key.write_text(KEY)
    key.chmod(0o640)
    text = GOOD.replace(f'key = "{KEY}"', 'key_file = "belt.key"')
    assert f"chmod 600 {key}" in problems(tmp_path, text)["beds[0].key_file"]
    key.chmod(0o600)
    assert load(tmp_path, text).beds[0].key == bytes.fromhex(KEY)


def test_keys_in_a_configuration_that_others_may_read_are_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(GOOD)
    file.chmod(0o644)
    assert "chmod 600" in load_config(file).warnings[0]


def test_a_board_on_which_nobody_can_answer_is_a_warning(tmp_path: Path) -> None:
    assert "web.accounts" in load(tmp_path, GOOD).warnings[0]
    assert not load(tmp_path, GOOD + '[web]\nhost = "127.0.0.1"\nopen_access = true\n').warnings


def test_the_facilitys_zone_is_the_beds_zone(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD.replace('id = "gw-01"', 'id = "gw-01"\ntimezone = "Europe/Berlin"'))
    assert config.beds[0].profile.timezone == "Europe/Berlin"


def test_belts_know_a_gateway_by_eight_bytes() -> None:
    assert len(gateway_identity("gw-01")) == 8
    assert gateway_identity("gw-01") != gateway_identity("gw-02")


@pytest.mark.parametrize(("mode", "uid", "gid", "may"), [
    (0o600, 1000, 1000, False),
    (0o640, 0, 995, False),  # as the package lays it down: root's, for the group that the service runs in
    (0o640, 0, 100, True),
    (0o640, 1000, 995, True),
    (0o644, 0, 995, True),
    (0o604, 0, 995, True),
])  # fmt: skip
def test_a_key_may_be_read_by_the_services_own_group_and_by_no_other(mode: int, uid: int, gid: int, may: bool) -> None:
    assert others_may_read(mode, uid, gid, own_gid=995) == may


def test_the_group_of_root_is_nobodys_own() -> None:
    assert others_may_read(0o640, 0, 0, own_gid=0)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ('adapters = []\n', "radio.adapters"),
        ('adapters = ["hci0", "hci0"]\n', "radio.adapters"),
        ('adapter = "hci0"\nadapters = ["hci1"]\n', "radio.adapters"),
        ('recovery = "pray"\n', "radio.recovery"),
    ],
)
def test_adapters_and_recovery_that_cannot_be_are_named(tmp_path: Path, change: str, path: str) -> None:
    assert path in problems(tmp_path, f"[radio]\n{change}")
