"""A simulated recording as files: samples in a .npz that `sleepbelt analyse` reads, the truth in a .json beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hil.synth.render import Synth

LOAD_RATE_HZ = 10


def write(synth: Synth, path: Path) -> Path:
    """Write samples (counts), load (tenths of a kilogram at LOAD_RATE_HZ) and the rates to `path`; the truth's path."""
    load = synth.load(0, int(synth.script.duration_s * LOAD_RATE_HZ), LOAD_RATE_HZ)
    np.savez_compressed(
        path, samples=synth.all(), load=load, rate_hz=synth.rate_hz, load_rate_hz=LOAD_RATE_HZ,
        bits=synth.script.sensor.bits,
    )  # fmt: skip
    truth_path = path.with_suffix(".truth.json")
    truth = {"night": synth.script.name, "seed": synth.script.seed, "rate_hz": synth.rate_hz, **synth.truth.to_json()}
    truth_path.write_text(json.dumps(truth) + "\n", encoding="utf-8")
    return truth_path
