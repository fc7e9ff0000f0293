"""Messages between an emulated belt (hil/shims/emulation.py) and its host: `length u16, type u8, payload`.

Little-endian.

To the belt: RUN until_ms u64, first sample index u64, int16 samples | CONNECT conn u16, address 6 | DISCONNECT conn
u16, address 6 | WRITE conn u16, handle u16, value | MTU conn u16, mtu u16 | SENT count u8 | MEASURE.
From the belt: IDLE now_ms u64 | ADVERTISE interval_us u32, mode u8 (0 off, 1 connectable, 2 not), length u8, data, scan
response | SERVICES JSON | VALUE handle u16, value | NOTIFY conn u16, handle u16, value | HANG_UP conn u16 | RESET cause
u8 | IDENTIFY seconds u8 | HEAP bytes u32.
"""

from __future__ import annotations

import struct
from enum import IntEnum

__all__ = ["HEADER", "FromBelt", "ToBelt", "message"]

HEADER = struct.Struct("<HB")


class ToBelt(IntEnum):
    """Types of messages to the belt."""

    RUN = 0x52
    CONNECT = 0x43
    DISCONNECT = 0x44
    WRITE = 0x57
    MTU = 0x4D
    SENT = 0x53
    MEASURE = 0x51


class FromBelt(IntEnum):
    """Types of messages from the belt."""

    IDLE = 0x49
    ADVERTISE = 0x41
    SERVICES = 0x47
    VALUE = 0x56
    NOTIFY = 0x4E
    HANG_UP = 0x58
    RESET = 0x45
    IDENTIFY = 0x4C
    HEAP = 0x48


def message(kind: ToBelt, payload: bytes = b"") -> bytes:
    """One message to the belt."""
    return HEADER.pack(len(payload), kind) + payload
