"""Drivers against their parts' registers: values, blocks, overruns, rails, bus errors, self-tests."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py.belt.ads1115 import ADDRESS as ADS_ADDRESS
from firmware_py.belt.ads1115 import FAILED_NO_ANSWER, FAILED_RAIL, FAILED_REGISTER, STILL_READS, Ads1115
from firmware_py.belt.hx711 import Hx711
from firmware_py.belt.lis3dh import ADDRESS as LIS_ADDRESS
from firmware_py.belt.lis3dh import FAILED_IDENTITY, FAILED_SELF_TEST, Lis3dh
from firmware_py.belt.sensors import open_sensor
from firmware_py.belt.timer_ring import TimerRing
from hil.parts.ads1115 import Ads1115Part
from hil.parts.hx711 import Hx711Part
from hil.parts.i2c import I2cBus
from hil.parts.lis3dh import Lis3dhPart


class Ads:
    def __init__(self) -> None:
        self.volts = 1.65
        self.part = Ads1115Part(lambda: self.volts)
        self.bus = I2cBus({ADS_ADDRESS: self.part})
        self.driver = Ads1115(self.bus)


def test_an_ads1115_gives_what_lies_on_its_input_at_four_volts_full_scale() -> None:
    rig = Ads()
    assert rig.driver.read() == round(1.65 / 4.096 * 32768)


def test_an_ads1115_fills_blocks_through_the_timer_ring_with_all_its_bits() -> None:
    rig = Ads()
    now_ms = [0]
    ring = TimerRing(rig.driver.read, lambda rate_hz, tick: None, lambda: now_ms[0], 100, bits=15, shift=0)
    ring.start()
    for i in range(10):
        rig.volts = i / 10
        now_ms[0] += 10
        ring.tick(None)
    buf = array("h", [0] * 10)
    assert ring.read_into(buf) == 10
    assert list(buf) == [round(i / 10 / 4.096 * 32768) for i in range(10)]
    assert ring.bits == 15


@pytest.mark.parametrize(
    ("volts", "failed"), [(1.65, 0), (4.096, FAILED_RAIL), (0.0, FAILED_RAIL), (-0.1, FAILED_RAIL)]
)
def test_an_ads1115_tells_an_input_at_a_rail(volts: float, failed: int) -> None:
    rig = Ads()
    rig.volts = volts
    assert rig.driver.self_test() == failed


def test_an_ads1115_that_lost_power_is_found_and_set_up_again() -> None:
    rig = Ads()
    rig.part.lose_power()
    assert [rig.driver.self_test(), rig.driver.self_test()] == [FAILED_REGISTER, 0]


def test_an_ads1115_that_does_not_answer_repeats_its_last_value_and_counts() -> None:
    rig = Ads()
    last = rig.driver.read()
    rig.bus.is_broken = True
    assert (rig.driver.read(), rig.driver.unread, rig.driver.self_test()) == (last, 1, FAILED_NO_ANSWER)


class Load:
    def __init__(self) -> None:
        self.value = 0
        self.part = Hx711Part(lambda: self.value)
        self.driver = Hx711(self.part.data, self.part.clock, lambda: self.part.now_ms, lambda: 0, lambda state: None)
        self.driver.start()


@given(st.integers(-(1 << 23), (1 << 23) - 1))
def test_an_hx711_is_read_with_all_its_bits_and_its_sign(value: int) -> None:
    rig = Load()
    rig.value = value
    assert rig.driver.read_raw() == value
    assert rig.part.gain == 128


def test_an_hx711_gives_one_sample_a_conversion() -> None:
    rig = Load()
    buf = array("h", [0])
    found = []
    for now_ms in range(0, 1000, 20):
        rig.part.now_ms = now_ms
        found.append(rig.driver.read_into(buf))
    assert sum(found) == 10
    assert rig.driver.first_index == 9
    assert buf[0] == 1 << 14


def test_an_hx711_that_was_not_read_in_time_says_what_is_lost() -> None:
    rig = Load()
    buf = array("h", [0])
    rig.driver.read_into(buf)
    rig.part.now_ms = 500
    assert rig.driver.read_into(buf) == 1
    assert (rig.driver.gap, rig.driver.first_index) == (4, 5)


def test_a_torn_off_load_cell_fails_the_self_test_until_it_is_back() -> None:
    rig = Load()
    buf = array("h", [0])
    assert rig.driver.self_test() == 0
    found = []
    for rig.part.now_ms, rig.value in ((100, (1 << 23) - 1), (200, 5)):
        rig.driver.read_into(buf)
        found.append(rig.driver.self_test())
    assert found == [2, 0]


def test_an_hx711_that_no_longer_converts_fails_the_self_test() -> None:
    rig = Load()
    now_ms = [0]
    driver = Hx711(rig.part.data, rig.part.clock, lambda: now_ms[0], lambda: 0, lambda state: None)
    driver.start()
    assert driver.read_into(array("h", [0])) == 1
    now_ms[0] = 900
    assert driver.self_test() == 0
    now_ms[0] = 1100
    assert driver.self_test() == 1


class Accelerometer:
    def __init__(self, per_mille: int = 0) -> None:
        self.now_ms = 1000
        self.part = Lis3dhPart(lambda index: (1, 2, 900 + index % 50), per_mille)
        self.transfer_ms = 0
        self.bus = I2cBus({LIS_ADDRESS: self.part}, lambda: self.run(self.transfer_ms))
        self.driver = Lis3dh(self.bus, lambda: self.now_ms)
        self.driver.start()
        self.buf = array("h", [0] * 10)

    def run(self, ms: int) -> None:
        self.now_ms += ms
        self.part.run(ms)


def test_a_lis3dh_gives_whole_blocks_in_order() -> None:
    rig = Accelerometer()
    rig.run(90)
    assert rig.driver.read_into(rig.buf) == 0
    rig.run(160)
    blocks = []
    while rig.driver.read_into(rig.buf):
        blocks.append((rig.driver.first_index, rig.driver.gap, list(rig.buf)))
    assert blocks == [(i, 0, [2048 + 900 + i + k for k in range(10)]) for i in (0, 10)]


def test_a_lis3dh_that_overran_says_how_much_is_gone() -> None:
    rig = Accelerometer()
    rig.run(500)
    assert rig.driver.read_into(rig.buf) == 10
    assert (rig.driver.gap, rig.driver.first_index) == (18, 18)
    assert rig.buf[0] == 2048 + 900 + 18
    assert rig.driver.read_into(rig.buf) == 10
    assert (rig.driver.gap, rig.driver.first_index) == (0, 28)


@pytest.mark.parametrize("per_mille", [-90, -50, -1, 0, 1, 50, 90])
def test_a_lis3dh_whose_clock_is_off_keeps_the_boards_seconds(per_mille: int) -> None:
    rig = Accelerometer(per_mille)
    delivered = 0
    for second in range(1, 601):
        for _ in range(50):
            rig.run(20)
            while rig.driver.read_into(rig.buf):
                delivered += 10
                assert rig.driver.gap == 0
        assert abs(delivered - 100 * second) <= 20
    # one sample more or less for each that the part is off by
    assert abs(rig.driver.corrected - abs(per_mille) * 60) <= 6


def test_a_lis3dh_counts_what_is_at_a_rail() -> None:
    rig = Accelerometer()
    rig.part._milli_g = lambda index: (0, 0, 3000)
    rig.run(100)
    rig.driver.read_into(rig.buf)
    assert rig.driver.saturated == 10


def test_a_lis3dh_passes_its_self_test_and_samples_on_in_time() -> None:
    rig = Accelerometer()
    before = sum(_silent(rig, 2))
    rig.transfer_ms = 1
    assert rig.driver.self_test() == 0
    rig.transfer_ms = 0
    after = sum(_silent(rig, 10))
    assert abs(10 * (before + after) - (rig.now_ms - 1000)) <= 200
    assert rig.buf[-1] < 2048 + 1000  # the plates are let go of again


def test_a_lis3dh_whose_plates_do_not_move_fails_its_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.parts.lis3dh.SELF_TEST_MG", 10)
    rig = Accelerometer()
    rig.transfer_ms = 1
    assert rig.driver.self_test() == FAILED_SELF_TEST


def test_a_lis3dh_that_converts_nothing_fails_its_self_test() -> None:
    rig = Accelerometer()
    rig.part.run = lambda ms: None  # type: ignore[method-assign]
    rig.transfer_ms = 1
    assert rig.driver.self_test() == FAILED_SELF_TEST


def test_another_part_at_its_address_is_not_a_lis3dh() -> None:
    rig = Accelerometer()
    rig.part._registers[0x0F] = 0x32
    assert rig.driver.self_test() == FAILED_IDENTITY


def test_a_bus_error_is_no_block_and_is_counted() -> None:
    rig = Accelerometer()
    rig.run(100)
    rig.bus.is_broken = True
    assert (rig.driver.read_into(rig.buf), rig.driver.unread) == (0, 1)
    rig.bus.is_broken = False
    assert rig.driver.read_into(rig.buf) == 10


def _silent(rig: Accelerometer, seconds: int) -> list[int]:
    """Samples that came in each second, polled every 20 ms."""
    found = []
    for _ in range(seconds):
        found.append(0)
        for _ in range(50):
            rig.run(20)
            while rig.driver.read_into(rig.buf):
                found[-1] += 10
    return found


@pytest.mark.parametrize("fault", ["unplugged", "lost power"])
def test_a_lis3dh_that_falls_silent_stands_still_until_it_is_back_and_time_goes_on(fault: str) -> None:
    rig = Accelerometer()
    _silent(rig, 2)
    last = rig.buf[-1]
    if fault == "unplugged":
        rig.bus.is_broken = True
        rig.part.lose_power()
        silent = _silent(rig, 5)
        assert set(rig.buf) == {last}
        rig.bus.is_broken = False
    else:
        rig.part.lose_power()
        silent = _silent(rig, 5)
    assert 450 <= sum(silent) <= 510
    after = _silent(rig, 20)
    assert abs(200 + sum(silent) + sum(after) - 2700) <= 20
    assert len(set(rig.buf)) > 5


def test_a_belt_whose_lis3dh_never_answers_starts_and_its_samples_stand_still() -> None:
    now_ms = [0]
    driver = Lis3dh(I2cBus({}), lambda: now_ms[0])
    driver.start()
    buf = array("h", [7] * 10)
    found = 0
    for now_ms[0] in range(0, 5000, 20):
        found += driver.read_into(buf)
    assert 400 <= found <= 500
    assert set(buf) == {0}
    assert driver.self_test() == 1


def test_an_ads1115_that_lost_power_while_it_is_read_is_set_up_again() -> None:
    rig = Ads()
    rig.driver.read()
    rig.part.lose_power()
    rig.volts = 1.0
    assert rig.driver.read() != round(1.0 / 4.096 * 32768)
    for _ in range(STILL_READS + 2):
        rig.driver.read()
    assert rig.driver.read() == round(1.0 / 4.096 * 32768)


class Adc:
    def read_u16(self) -> int:
        return 1000 << 4


@pytest.mark.parametrize(
    ("text", "bits"), [(None, 12), ("adc\n", 12), ("ads1115\n", 15), ("lis3dh", 12)]
)
def test_a_boards_sensor_is_the_one_that_its_settings_name(tmp_path: Path, text: str | None, bits: int) -> None:
    if text is not None:
        (tmp_path / "sensor.txt").write_text(text)
    part = Lis3dhPart(lambda index: (0, 0, 0))
    bus = I2cBus({ADS_ADDRESS: Ads1115Part(lambda: 1.0), LIS_ADDRESS: part}, lambda: part.run(1))
    sensor, self_test = open_sensor(str(tmp_path), Adc(), lambda: bus, lambda rate_hz, tick: None, lambda: 0)
    sensor.start()
    part.run(100)
    assert (sensor.bits, sensor.rate_hz, self_test()) == (bits, 100, 0)


@pytest.mark.parametrize("content", [b"ads115\n", b"\xff\xfe", None])
def test_a_sensor_that_is_not_known_or_cannot_be_read_is_a_fault_and_no_other_input(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is None:
        (tmp_path / "sensor.txt").mkdir()  # cannot be read
    else:
        (tmp_path / "sensor.txt").write_bytes(content)
    ticks: list[Callable[[object], None]] = []
    now_ms = 0
    sensor, self_test = open_sensor(
        str(tmp_path), Adc(), lambda: None, lambda rate_hz, tick: ticks.append(tick), lambda: now_ms)  # fmt: skip
    sensor.start()
    assert self_test() == 0x80
    for _ in range(50):
        now_ms += 10
        ticks[0](None)
    block = array("h", [1] * 50)
    read = sensor.read_into(block)
    assert read > 0
    assert set(block[:read]) == {0}  # stands still: the pipeline says that the sensor is at fault
