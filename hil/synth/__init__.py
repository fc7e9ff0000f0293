"""Synthetic bed signals with their ground truth: `Synth(load("quiet"), rate_hz=250).block(start, n)`."""

from hil.synth.render import Synth
from hil.synth.script import BedScript, Event, Interference, Resident, ScriptError, Sensor, load, names
from hil.synth.truth import Absence, Burst, Truth

__all__ = [
    "Absence",
    "BedScript",
    "Burst",
    "Event",
    "Interference",
    "Resident",
    "ScriptError",
    "Sensor",
    "Synth",
    "Truth",
    "load",
    "names",
]
