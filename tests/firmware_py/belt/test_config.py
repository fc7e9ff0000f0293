"""What a belt remembers: identity, key, and counters that never restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_py.belt.beacon import Beacon
from firmware_py.belt.config import BEACON_BLOCK, CONFIG_FILE, TEMPORARY_FILE, Config, IdentityError
from gateway.aes import aes
from protocol.wire import beacon, session

SERIAL = "0102030405060708"
SECRET = "00112233445566778899aabbccddeeff"
REPORT = (2, 0, 5, 0, 1, 1, 5000, 621, 80, 0, 155, 80, 0, 3, 0, 254, 0)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    (tmp_path / "identity.json").write_text(json.dumps({"serial": SERIAL, "claim_secret": SECRET}))
    return str(tmp_path)


def test_a_new_belt_proves_itself_with_its_claim_secret(directory: str) -> None:
    config = Config(directory)
    assert (config.serial.hex(), config.key.hex(), config.claimed) == (SERIAL, SECRET, False)


def test_a_bound_key_replaces_the_claim_secret_for_good(directory: str) -> None:
    Config(directory).set(key="ff" * 16, gateway="aa" * 8)
    config = Config(directory)
    assert (config.key, config.claimed) == (b"\xff" * 16, True)


@pytest.mark.parametrize("content", ["", "{", '{"serial": "01"}', '{"serial": "01", "claim_secret": "zz"}'])
def test_a_damaged_identity_stops_the_belt_with_a_reason(directory: str, content: str) -> None:
    (Path(directory) / "identity.json").write_text(content)
    with pytest.raises(IdentityError, match=r"identity\.json"):
        Config(directory)


def test_a_power_cut_before_the_rename_leaves_the_old_settings(directory: str) -> None:
    Config(directory).set(advertise_ms=500)
    (Path(directory) / TEMPORARY_FILE).write_text("torn")
    config = Config(directory)
    assert (config.values["advertise_ms"], config.damaged) == (500, False)


@pytest.mark.parametrize("content", ["", "00000000 {}", "zz", "00000000", "\x00\x01"])
def test_damaged_settings_fall_back_to_defaults_and_are_reported(directory: str, content: str) -> None:
    Config(directory).set(advertise_ms=500)
    (Path(directory) / CONFIG_FILE).write_text(content)
    config = Config(directory)
    assert (config.values["advertise_ms"], config.damaged) == (250, True)


def test_settings_that_cannot_be_read_are_damaged_and_missing_ones_are_not(directory: str) -> None:
    assert not Config(directory).damaged
    (Path(directory) / CONFIG_FILE).mkdir()
    assert Config(directory).damaged


def test_settings_of_a_newer_firmware_are_ignored(directory: str) -> None:
    config = Config(directory)
    config.values["from_the_future"] = 1
    config.set(advertise_ms=300)
    assert "from_the_future" not in Config(directory).values


def test_every_boot_has_a_higher_id(directory: str) -> None:
    assert [Config(directory).begin_boot(0) for _ in range(3)] == [1, 2, 3]


def test_a_boot_id_is_above_the_rings_even_if_settings_were_lost(directory: str) -> None:
    assert Config(directory).begin_boot(last_boot_id=41) == 42


def _counter(payload: bytes) -> int:
    return int.from_bytes(payload[8:12], "little")


def test_beacon_counters_rise_by_one_and_never_restart(directory: str) -> None:
    first = Beacon(Config(directory), aes)
    counters = [_counter(first.payload(REPORT)) for _ in range(3)]
    again = Beacon(Config(directory), aes)
    assert counters == [1, 2, 3]
    assert _counter(again.payload(REPORT)) == BEACON_BLOCK + 1


def test_beacon_counters_are_reserved_before_they_are_used(directory: str) -> None:
    sender = Beacon(Config(directory), aes)
    for _ in range(BEACON_BLOCK + 1):
        last = _counter(sender.payload(REPORT))
    assert Config(directory).values["beacon_reserved"] >= last


def _refuse_writes(directory: str) -> Path:
    """Make each write of the settings fail, as on a damaged file system."""
    blocker = Path(directory) / TEMPORARY_FILE
    blocker.mkdir()
    return blocker


def test_flash_that_refuses_leaves_the_settings_as_they_are_and_is_counted(directory: str) -> None:
    config = Config(directory)
    _refuse_writes(directory)
    with pytest.raises(OSError, match="directory"):
        config.set(advertise_ms=500)
    assert config.begin_boot(7) == 8
    assert (config.values["advertise_ms"], config.values["boot_counter"], config.refused) == (250, 0, 1)


def test_without_a_reserved_counter_the_last_payload_stays_until_flash_takes_one(directory: str) -> None:
    sender = Beacon(Config(directory), aes)
    for _ in range(BEACON_BLOCK):
        last = sender.payload(REPORT)
    blocker = _refuse_writes(directory)
    assert [sender.payload(REPORT) for _ in range(30)] == [last] * 30
    blocker.rmdir()
    later = [_counter(sender.payload(REPORT)) for _ in range(60)]
    assert later[-1] > BEACON_BLOCK
    assert sorted(set(later)) == [_counter(last), *range(BEACON_BLOCK + 1, later[-1] + 1)]


def test_a_belt_whose_flash_never_took_a_block_says_nothing_it_could_say_twice(directory: str) -> None:
    _refuse_writes(directory)
    assert Beacon(Config(directory), aes).payload(REPORT) == b""


def test_counters_are_reserved_again_before_the_last_is_used(directory: str) -> None:
    """Else the change of state that comes just then would wait for flash."""
    config = Config(directory)
    sender = Beacon(config, aes)
    written: list[object] = []
    config_set = config.set

    def counted(**changes: object) -> None:
        written.append(changes)
        config_set(**changes)

    config.set = counted  # type: ignore[method-assign]
    for i in range(3 * BEACON_BLOCK):
        before = len(written)
        sender.payload(REPORT)
        assert i == 0 or len(written) == before
        if i % 60 == 59:
            sender.prepare()
    assert len(written) <= 5


def test_a_beacon_opens_with_the_belts_key_only(directory: str) -> None:
    payload = Beacon(Config(directory), aes).payload(REPORT)
    opened = beacon.unseal(aes(session.beacon_key(aes, bytes.fromhex(SECRET))), bytes.fromhex(SERIAL), 0, payload[7:])
    assert opened is not None
    assert opened[1][3] == 5  # state_age_s


def test_a_new_key_seals_the_next_beacon(directory: str) -> None:
    config = Config(directory)
    sender = Beacon(config, aes)
    sender.payload(REPORT)
    config.set(key="ff" * 16)
    payload = sender.payload(REPORT)
    encrypt = aes(session.beacon_key(aes, b"\xff" * 16))
    assert beacon.unseal(encrypt, bytes.fromhex(SERIAL), 0, payload[7:]) is not None
