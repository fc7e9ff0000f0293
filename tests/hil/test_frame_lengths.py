"""The emulated radio counts reports by their sealed length: no other frame of a belt may have it at its MTU."""

from __future__ import annotations

import struct

import pytest

from hil.radio.peripheral import REPORT_FRAGMENT_BYTES
from protocol.wire import fragments, frames, gatt, session

VALUE_BYTES = gatt.MTU - 3
FROM_BELT = (
    frames.HELLO, frames.REFUSED, frames.REPORT, frames.RECORD, frames.HISTORY_END, frames.RESULT, frames.RAW,
    frames.ABSENCES,
)  # fmt: skip


def _lengths(kind: int) -> set[int]:
    """Lengths of the fragments that carry one frame of this kind, over all tails that a belt gives it."""
    fixed = struct.calcsize(frames.LAYOUTS[kind][1])
    tails = [0]
    if kind == frames.RECORD:
        tails = [struct.calcsize(layout) for _, layout, _ in frames.RECORDS.values()]
    elif kind == frames.ABSENCES:
        tails = [struct.calcsize(frames.ABSENCE_FORMAT) * count for count in range(frames.ABSENCES_MAX + 1)]
    elif kind == frames.RAW:
        tails = [2 * count for count in (5, 10, 20)]  # a tenth of a second at 50, 100 and 200 Hz
    overhead = 1 if kind in frames.PLAIN_KINDS else session.SEALED_OVERHEAD_BYTES
    lengths = set()
    for tail in tails:
        parts, _ = fragments.split(bytes(overhead + frames.HEADER_BYTES + fixed + tail), VALUE_BYTES, 0)
        lengths |= {len(part) for part in parts}
    return lengths


def test_a_sealed_report_is_one_fragment_of_the_length_that_is_counted() -> None:
    fields = frames.LAYOUTS[frames.REPORT][2]
    frame = frames.encode(frames.REPORT, (0,) * len(fields))
    packet = session.seal(lambda block: bytes(16), 1, frame)
    (fragment,), _ = fragments.split(packet, VALUE_BYTES, 0)
    assert len(fragment) == REPORT_FRAGMENT_BYTES
    assert len(packet) - len(frame) == session.SEALED_OVERHEAD_BYTES


@pytest.mark.parametrize("kind", [kind for kind in FROM_BELT if kind != frames.REPORT])
def test_no_other_frame_of_a_belt_has_a_reports_length(kind: int) -> None:
    assert REPORT_FRAGMENT_BYTES not in _lengths(kind)
