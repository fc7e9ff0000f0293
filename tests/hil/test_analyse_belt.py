"""The belt and `sleepbelt analyse` are one signal path: same samples, same numbers."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_py.belt.pipeline import UNITS_BITS, Pipeline
from firmware_py.belt.sampler import Sampler
from gateway.aes import aes
from hil.analyse.engine import seconds
from hil.analyse.reader import read
from hil.belt_host import BeltHost, Identity, SilentRadio
from hil.synth import Synth, load
from protocol.wire import beacon, session
from protocol.wire.frames import ABSENT_16

IDENTITY = Identity(b"EMU-0001", bytes(range(16)))
Rows = list[tuple[int, ...]]


class _Block:
    """A sensor that gives what an array holds, block by block."""

    def __init__(self, samples: NDArray[np.int16], rate_hz: int, bits: int) -> None:
        self.rate_hz, self.bits, self.gap, self.first_index = rate_hz, bits, 0, 0
        self._samples = samples

    def start(self) -> None: ...

    def read_into(self, buf: array[int]) -> int:
        part = self._samples[self.first_index : self.first_index + len(buf)]
        if part.size < len(buf):
            return 0
        buf[:] = array("h", part.tobytes())
        self.first_index += part.size
        return part.size


class _Listener(SilentRadio):
    """Keeps every advertisement."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bytes] = []

    def advertise(self, interval_ms: float, connectable: bool, data: bytes, response: bytes) -> None:
        self.heard.append(data)


def _analysed(directory: Path, samples: NDArray[np.int16], rate_hz: int, bits: int) -> Rows:
    path = directory / "recording.npy"
    np.save(path, samples)
    return list(seconds(read(path, rate_hz, bits=bits)))


@pytest.mark.parametrize(("rate_hz", "bits"), [(50, 10), (226, 10), (250, 12), (100, 14), (100, 15)])
def test_the_belts_sampler_gives_the_rows_of_analyse(tmp_path: Path, rate_hz: int, bits: int) -> None:
    samples = Synth(load("short_mixed"), rate_hz).block(0, 60 * rate_hz) << (bits - 10)
    sampler = Sampler(_Block(samples, rate_hz, bits), Pipeline(bits=UNITS_BITS))
    rows: Rows = []
    while sampler.read():
        second = sampler.process()
        if second:
            rows.append(tuple(second))
    assert rows == _analysed(tmp_path, samples, rate_hz, bits)[: len(rows)]
    assert len(rows) >= 59


async def test_the_emulated_belt_says_what_analyse_says_of_the_same_samples(tmp_path: Path) -> None:
    rate_hz, lived_s = 250, 60
    synth = Synth(load("short_exit"), rate_hz)
    radio = _Listener()
    IDENTITY.write(tmp_path)
    host = BeltHost(tmp_path, synth, radio, rate_hz=rate_hz)
    await host.start()
    try:
        await host.run_until(lived_s * 1000)
    finally:
        await host.stop()
    encrypt = aes(session.beacon_key(aes, IDENTITY.claim_secret))
    opened = [beacon.unseal(encrypt, IDENTITY.serial, 0, data[7:]) for data in radio.heard[1:]]
    told = [dict(zip(beacon.FIELDS, content[1], strict=True)) for content in opened if content]
    rows = _analysed(tmp_path, synth.block(0, lived_s * rate_hz), rate_hz, 10)
    assert len(told) == lived_s
    assert [_shown(values) for values in told] == [_advertised(row) for row in rows]


def _shown(values: dict[str, int]) -> dict[str, int]:
    names = ("occupancy", "heart_reason", "respiration_reason", "heart_bpm", "respiration_hpm", "heart_quality",
             "respiration_quality", "movement", "flags")  # fmt: skip
    return {name: values[name] for name in names}


def _advertised(row: tuple[int, ...]) -> dict[str, int]:
    occupancy, reason, heart, heart_q, heart_why, breath, breath_q, breath_why, movement, _, _, flags = row
    heart, breath = (ABSENT_16 if value < 0 else value for value in (heart, breath))
    report = (occupancy, reason, 0, 0, 0, 0, 0, heart, heart_q, heart_why, breath, breath_q, breath_why, movement, 0, 0,
              flags)  # fmt: skip
    return _shown(dict(zip(beacon.FIELDS, beacon.from_report(report), strict=True)))
