"""One second of signal work in counted operations: at most a quarter of a Pico W (the model is in docs/firmware.md)."""

from __future__ import annotations

import dis
import sys
from array import array
from collections import Counter
from types import CodeType, FrameType
from typing import Any

from firmware_py.belt.decimate import Decimator
from firmware_py.belt.pipeline import Pipeline
from hil.synth import Synth, load

CORE_HZ = 125_000_000
SHARE_MAX = 0.25
NATIVE_HZ = 100
# Cycles of a Cortex-M0+ for one operation of the interpreter, rounded up; each bytecode is fetched from RAM and
# dispatched (some 45 cycles), the rest is what it does. Assumed, not measured on a board: docs/firmware.md.
CYCLES = {
    "BINARY_SUBSCR": 160, "STORE_SUBSCR": 160, "LOAD_ATTR": 150, "STORE_ATTR": 150, "LOAD_METHOD": 170,
    "LOAD_GLOBAL": 120, "CALL": 700, "BINARY_OP": 90, "COMPARE_OP": 80, "UNARY_NEGATIVE": 70,
}  # fmt: skip
CYCLES_OTHER = 50
# What CPython's compiler has and MicroPython's has not.
FREE = {"RESUME", "PRECALL", "PUSH_NULL", "CACHE", "EXTENDED_ARG", "NOP", "COPY", "SWAP", "COPY_FREE_VARS"}


def _operations(second: Any) -> Counter[str]:
    """How often each bytecode runs in one call of `second`."""
    counts: Counter[str] = Counter()
    names: dict[CodeType, dict[int, str]] = {}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            code = frame.f_code
            if code not in names:
                names[code] = {step.offset: step.opname for step in dis.get_instructions(code)}
            counts[names[code][frame.f_lasti]] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        second()
    finally:
        sys.settrace(before)
    return counts


def test_a_second_of_signal_work_takes_at_most_a_quarter_of_a_pico_w() -> None:
    samples = Synth(load("short_exit"), rate_hz=NATIVE_HZ)
    pipeline, decimator = Pipeline(bits=10), Decimator(NATIVE_HZ)
    out = array("h", [0] * 60)
    block = array("h", [0] * NATIVE_HZ)

    def second() -> None:
        pipeline.push(out, decimator.push(block, 0, NATIVE_HZ, out, 0), 0)
        pipeline.advance()

    for i in range(60):
        block = array("h", samples.block(i * NATIVE_HZ, NATIVE_HZ).tolist())
        second()
    counts = _operations(second)
    cycles = sum(n * CYCLES.get(name, CYCLES_OTHER) for name, n in counts.items() if name not in FREE)
    print(f"{sum(counts.values())} operations, {cycles / 1e6:.1f} M cycles, {cycles / CORE_HZ:.1%} of a Pico W")
    assert sum(counts.values()) > 50_000  # the tracer saw the work
    assert cycles <= SHARE_MAX * CORE_HZ
