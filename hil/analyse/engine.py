"""Runs the belt's own signal code over a recording, in this interpreter or in MicroPython."""

from __future__ import annotations

import io
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hil.analyse import belt_runner
from hil.analyse.reader import Recording
from hil.runtime import find_interpreter

PROJECT = Path(__file__).resolve().parent.parent.parent
RUNNER = Path(belt_runner.__file__).resolve()


class EngineError(RuntimeError):
    """The interpreter did not finish; the text carries what it said."""


def seconds(recording: Recording, runtime: str = "cpython") -> Iterator[tuple[int, ...]]:
    """The pipeline's report for each whole second; runtime is cpython or micropython, the numbers are the same."""
    raw = np.ascontiguousarray(recording.samples, dtype="<i2").tobytes()
    if runtime == "cpython":
        yield from belt_runner.seconds(io.BytesIO(raw), recording.rate_hz, recording.bits)
        return
    command = [*find_interpreter(), "-X", "heapsize=512wK", str(RUNNER)]
    with tempfile.NamedTemporaryFile(suffix=".i16") as file:
        file.write(raw)
        file.flush()
        with subprocess.Popen(
            [*command, str(PROJECT), file.name, str(recording.rate_hz), str(recording.bits)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                for line in process.stdout:
                    yield tuple(int(value) for value in line.split(","))
                said = process.stderr.read()
            except GeneratorExit:
                process.kill()
                raise
        if process.returncode:
            last = said.strip().splitlines()[-1:] or ["no message"]
            raise EngineError(f"MicroPython stopped with {process.returncode}: {last[0]}")
