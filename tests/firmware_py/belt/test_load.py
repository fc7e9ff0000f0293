"""The static channel: weight on the bed, and what it settles for the whole belt."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest

from firmware_py.belt.app import Belt
from firmware_py.belt.config import Config
from firmware_py.belt.hx711 import Hx711
from firmware_py.belt.load import SPAN_MIN, STALE_S, Load
from firmware_py.belt.occupancy import WEIGHT_OFF, WEIGHT_ON, WEIGHT_UNKNOWN
from hil.parts.hx711 import Hx711Part
from hil.synth import BedScript, Event, Resident, Synth
from protocol.wire import frames
from tests.firmware_py.belt.test_app import KEY, SERIAL, BoardInMemory, _run

EMPTY_KG, IN_USE_KG = 40, 620  # tenths, as Synth.load() has them


class Scale:
    """A static sensor that gives `value` once a second, or nothing."""

    rate_hz, bits, first_index, gap = 10, 15, 0, 0

    def __init__(self) -> None:
        self.value: int | None = None
        self.ready = False

    def start(self) -> None: ...

    def read_into(self, buf: array[int]) -> int:
        if self.value is None or not self.ready:
            return 0
        self.ready = False
        buf[0] = self.value
        return 1


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "identity.json").write_text(json.dumps({"serial": SERIAL.hex(), "claim_secret": KEY.hex()}))
    return Config(str(tmp_path))


def _weigh(load: Load, scale: Scale, value: int | None) -> int:
    scale.value, scale.ready = value, True
    load.poll()
    load.second()
    return load.weight


def test_without_a_sensor_or_a_calibration_the_weight_is_unknown(config: Config) -> None:
    bare = Load(None, config)
    bare.poll()
    bare.second()
    assert (bare.weight, bare.value) == (WEIGHT_UNKNOWN, -1)
    scale = Scale()
    assert _weigh(Load(scale, config), scale, 9000) == WEIGHT_UNKNOWN


@pytest.mark.parametrize(("empty", "in_use"), [(8000, 12_000), (12_000, 8000)])
def test_weight_comes_at_half_of_the_span_and_goes_at_a_quarter_of_it(config: Config, empty: int, in_use: int) -> None:
    config.set(empty_load=empty, occupied_load=in_use)
    scale = Scale()
    load = Load(scale, config)
    at = [empty + (in_use - empty) * percent // 100 for percent in (0, 40, 60, 40, 20)]
    assert [_weigh(load, scale, value) for value in at] == [WEIGHT_OFF, WEIGHT_OFF, WEIGHT_ON, WEIGHT_ON, WEIGHT_OFF]


def test_a_span_that_tells_nothing_is_not_used(config: Config) -> None:
    config.set(empty_load=8000, occupied_load=8000 + SPAN_MIN - 1)
    scale = Scale()
    assert _weigh(Load(scale, config), scale, 8200) == WEIGHT_UNKNOWN


def test_a_sensor_that_falls_silent_says_nothing_any_more(config: Config) -> None:
    config.set(empty_load=8000, occupied_load=12_000)
    scale = Scale()
    load = Load(scale, config)
    assert _weigh(load, scale, 12_000) == WEIGHT_ON
    assert [_weigh(load, scale, None) for _ in range(STALE_S)][-1] == WEIGHT_UNKNOWN


class WeighedBoard(BoardInMemory):
    """Load cells on an HX711 under a bed whose resident the dynamic sensor loses without a movement."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        script = BedScript(
            "weighed", 200, 3, resident=Resident(movements_per_h=0, turn_overs_per_h=0),
            events=(Event(0, "enter"), Event(100, "exit", silent=True)),
        )  # fmt: skip
        self._samples = Synth(script, rate_hz=self.rate_hz)
        self.part = Hx711Part(lambda: int(self._samples.load(self.now_ms // 100, 1)[0]) << 12)
        self.load = Hx711(self.part.data, self.part.clock, self.ticks_ms, lambda: 0, lambda state: None)

    def idle(self, ms: int) -> None:
        super().idle(ms)
        self.part.now_ms = self.now_ms


def _told(belt: Belt) -> tuple[int, ...]:
    _, values, _ = frames.decode(belt.report())
    assert values is not None
    return values


def test_load_cells_make_an_exit_of_a_silence_that_would_be_unclear(tmp_path: Path) -> None:
    board = WeighedBoard(tmp_path)
    plain = Belt(board)
    _run(plain, board, 160)
    assert _told(plain)[0] == frames.UNCLEAR

    board = WeighedBoard(tmp_path)
    belt = Belt(board)
    counts = [(kg << 12 >> 9) + (1 << 14) for kg in (EMPTY_KG, IN_USE_KG)]
    belt.config.set(empty_load=counts[0], occupied_load=counts[1])
    _run(belt, board, 115)
    state, _, _, exit_count = _told(belt)[:4]
    assert (state, exit_count) == (frames.EMPTY, 1)
