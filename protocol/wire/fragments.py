"""Frames cut to the size of one attribute value, and put together again.

NimBLE and BTstack cut a notification at MTU-3 without a word (facts/FIRMWARE.md), so a frame never relies on its length
fitting: each fragment is one header byte (first 0x80, last 0x40, a counter modulo 64) and payload. A lost, doubled or
reordered fragment drops the whole frame, never yields a wrong one.
"""

from .frames import FRAME_BYTES_MAX, FrameError

FIRST, LAST, COUNTER_MASK = 0x80, 0x40, 0x3F
# A sealed frame is longer than a frame by its marker, counter and tag (session.SEALED_OVERHEAD_BYTES, with room).
PACKET_BYTES_MAX = FRAME_BYTES_MAX + 16
IDLE = (b"", -1)


def split(packet: bytes, value_bytes: int, counter: int) -> "tuple[list[bytes], int]":
    """(fragments, next counter): `packet` as attribute values of at most `value_bytes` (MTU - 3) bytes each."""
    room = value_bytes - 1
    assert room > 0 and 0 < len(packet) <= PACKET_BYTES_MAX
    fragments = []
    at = 0
    while at < len(packet):
        header = counter & COUNTER_MASK
        if at == 0:
            header |= FIRST
        if at + room >= len(packet):
            header |= LAST
        fragments.append(bytes((header,)) + packet[at : at + room])
        at += room
        counter = (counter + 1) & COUNTER_MASK
    return fragments, counter


def join(state: "tuple[bytes, int]", fragment: bytes) -> "tuple[tuple[bytes, int], bytes | None]":
    """(new state, packet or None) after one fragment; start with IDLE.

    FrameError for a fragment out of its place: the caller counts it and goes on from IDLE, the next FIRST starts anew.
    """
    if not fragment:
        raise FrameError("empty fragment")
    buffered, expected = state
    header = fragment[0]
    counter = header & COUNTER_MASK
    if header & FIRST:
        buffered = b""
    elif expected < 0 or counter != expected:
        raise FrameError("fragment order")
    buffered = buffered + bytes(fragment[1:])
    if len(buffered) > PACKET_BYTES_MAX:
        raise FrameError("fragment size")
    if header & LAST:
        return IDLE, buffered
    return (buffered, (counter + 1) & COUNTER_MASK), None
