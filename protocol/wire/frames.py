"""Belt <-> gateway frames: one table, both ends run this file (CPython and MicroPython).

A frame is `version, kind, fixed_len, fixed fields, tail`. `version` is major << 4 | minor: another major is refused, a
newer minor is read. A newer sender may append fixed fields (`fixed_len` then exceeds ours and the rest is skipped) and
may send kinds unknown here (the caller ignores `KIND` it has no name for). Little-endian. Absent numbers are sentinels
on the wire (`ABSENT_*`) and `None` in `protocol.messages`; nothing is ever a made-up zero.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION_MAJOR = 1
VERSION_MINOR = 0
VERSION = VERSION_MAJOR << 4 | VERSION_MINOR
HEADER_BYTES = 3
FRAME_BYTES_MAX = 512

# Kinds, belt -> gateway.
HELLO = 0x01
REFUSED = 0x02
REPORT = 0x10
RECORD = 0x11
HISTORY_END = 0x12
RESULT = 0x13
RAW = 0x14
ABSENCES = 0x15
# Kinds, gateway -> belt.
HELLO_REQUEST = 0x03
HELLO_CONFIRM = 0x04
TIME = 0x20
ACK = 0x21
HISTORY = 0x22
CREDIT = 0x23
CONFIGURE = 0x24
COMMAND = 0x25
CLAIM = 0x26
UPDATE_BEGIN = 0x27
UPDATE_DATA = 0x28
UPDATE_END = 0x29

# Kinds that may travel outside a sealed session.
PLAIN_KINDS = (HELLO, REFUSED, HELLO_REQUEST, HELLO_CONFIRM)

# Occupancy as classified by the belt.
EMPTY, UNCLEAR, OCCUPIED = 0, 1, 2
# Why a value is absent (0: it is present).
REASON_NONE, REASON_NO_SIGNAL, REASON_IRREGULAR, REASON_MOVING, REASON_WEAK, REASON_SENSOR_FAULT = 0, 1, 2, 3, 4, 5
# Report flags.
FLAG_MOVING, FLAG_CLIPPED, FLAG_SENSOR_FAULT, FLAG_CALIBRATED = 1, 2, 4, 8
FLAG_WEAK_BREATH, FLAG_IRREGULAR, FLAG_CHECK_SENSOR, FLAG_RING_OVERRUN = 16, 32, 64, 128
# Absent numbers on the wire.
ABSENT_16 = 0xFFFF
ABSENT_8 = 0xFF
MAINS_POWERED = 0xFE  # battery_percent of a belt without a battery

# COMMAND codes and RESULT statuses.
CMD_IDENTIFY, CMD_SELF_TEST, CMD_CALIBRATE_EMPTY, CMD_CALIBRATE_OCCUPIED, CMD_RAW, CMD_REBOOT = 1, 2, 3, 4, 5, 6
CMD_DECOMMISSION, CMD_EXPOSE_STANDARD, CMD_WIPE_RECORDS = 7, 8, 9
STATUS_DONE, STATUS_STARTED, STATUS_UNKNOWN, STATUS_REFUSED, STATUS_FAILED, STATUS_OUT_OF_RANGE = 0, 1, 2, 3, 4, 5
# REFUSED reasons.
REFUSED_PROOF, REFUSED_VERSION, REFUSED_BUSY, REFUSED_DECOMMISSIONED = 1, 2, 3, 4
# CONFIGURE keys.
KEY_REPORT_PERIOD_MS, KEY_ADVERTISE_MS, KEY_EXPOSE_STANDARD, KEY_COMPANY_ID = 1, 2, 3, 4

# kind -> (name, struct format of the fixed fields, field names, tail allowed)
LAYOUTS: "dict[int, tuple[str, str, tuple[str, ...], bool]]" = {
    HELLO_REQUEST: ("hello_request", "<8s16s", ("gateway_id", "gateway_nonce"), False),
    HELLO: (
        "hello",
        "<8s16s8sBIQHBBHIIB",
        ("serial", "belt_nonce", "belt_proof", "model", "boot_id", "uptime_ms", "features", "firmware_major",
         "firmware_minor", "firmware_patch", "record_seq", "oldest_seq", "claimed"),
        False,
    ),
    HELLO_CONFIRM: ("hello_confirm", "<8s", ("gateway_proof",), False),
    REFUSED: ("refused", "<B", ("reason",), False),
    REPORT: (
        "report",
        "<BBIHIIQHBBHBBBHBH",
        ("occupancy", "occupancy_reason", "state_age_s", "exit_count", "record_seq", "boot_id", "uptime_ms",
         "heart_dbpm", "heart_quality", "heart_reason", "respiration_dpm", "respiration_quality",
         "respiration_reason", "movement", "turn_over_count", "battery_percent", "flags"),
        False,
    ),
    RECORD: ("record", "<IIQB", ("seq", "boot_id", "uptime_ms", "record_kind"), True),
    HISTORY_END: ("history_end", "<HIIII", ("request_id", "first_seq", "last_seq", "oldest_seq", "record_seq"), False),
    RESULT: ("result", "<HBi", ("request_id", "status", "value"), True),
    RAW: ("raw", "<QIH", ("first_uptime_ms", "first_index", "gap"), True),
    ABSENCES: ("absences", "<IQ", ("boot_id", "uptime_ms"), True),
    TIME: ("time", "<QI", ("utc_ms", "uncertainty_ms"), False),
    ACK: ("ack", "<I", ("seq",), False),
    HISTORY: ("history", "<HIIH", ("request_id", "first_seq", "last_seq", "credits"), False),
    CREDIT: ("credit", "<HH", ("request_id", "credits"), False),
    CONFIGURE: ("configure", "<HBi", ("request_id", "key", "value"), False),
    COMMAND: ("command", "<HBi", ("request_id", "command", "argument"), False),
    CLAIM: ("claim", "<H16s8s", ("request_id", "bound_key", "gateway_id"), False),
    UPDATE_BEGIN: ("update_begin", "<HI32s", ("request_id", "size", "sha256"), False),
    UPDATE_DATA: ("update_data", "<HI", ("request_id", "offset"), True),
    UPDATE_END: ("update_end", "<H", ("request_id",), True),
}

# Record kinds: what the belt's ring holds; the body is the RECORD frame's tail.
RECORD_MINUTE, RECORD_OCCUPANCY, RECORD_ABSENCE, RECORD_FAULT, RECORD_BOOT, RECORD_TURN_OVER = 1, 2, 3, 4, 5, 6

# record kind -> (name, struct format, field names). A minute record describes the 60 s that end at `uptime_ms`.
RECORDS: "dict[int, tuple[str, str, tuple[str, ...]]]" = {
    RECORD_MINUTE: (
        "minute",
        "<BBBHHHBHHHBBBBBBBB",
        ("occupied_s", "empty_s", "unclear_s", "heart_dbpm_mean", "heart_dbpm_min", "heart_dbpm_max", "heart_valid_s",
         "respiration_dpm_mean", "respiration_dpm_min", "respiration_dpm_max", "respiration_valid_s",
         "moving_first_half_s", "moving_second_half_s", "movement_peak", "turn_overs", "irregular_s", "weak_breath_s",
         "fault_s"),
    ),
    RECORD_OCCUPANCY: ("occupancy", "<BBBIH", ("old_state", "new_state", "reason", "state_age_s", "exit_count")),
    RECORD_ABSENCE: ("absence", "<QI", ("ended_uptime_ms", "duration_s")),
    RECORD_FAULT: ("fault", "<Bi", ("code", "value")),
    RECORD_BOOT: ("boot", "<BBBH", ("reset_cause", "firmware_major", "firmware_minor", "firmware_patch")),
    RECORD_TURN_OVER: ("turn_over", "<B", ("strength",)),
}
RECORD_BODY_BYTES_MAX = 24

ABSENCE_FORMAT = "<II"  # ended_ago_s, duration_s
ABSENCES_MAX = 8


class FrameError(ValueError):
    """These bytes are no frame of this version; count and drop them whole."""


def encode(kind: int, values: "tuple[Any, ...]", tail: bytes = b"") -> bytes:
    """Bytes of one frame from its kind, its fixed fields in table order, and a tail where the kind has one."""
    layout = LAYOUTS[kind]
    assert layout[3] or not tail
    fixed = struct.pack(layout[1], *values)
    return bytes((VERSION, kind, len(fixed))) + fixed + tail


def decode(frame: bytes) -> "tuple[int, tuple[Any, ...] | None, bytes]":
    """(kind, fixed fields as a tuple, tail) of one frame; FrameError if it is not one.

    An unknown kind gives (kind, None, whole body): the caller ignores it, a newer peer may send it.
    """
    if len(frame) < HEADER_BYTES or len(frame) > FRAME_BYTES_MAX:
        raise FrameError("length")
    if frame[0] >> 4 != VERSION_MAJOR:
        raise FrameError("version")
    kind = frame[1]
    end = HEADER_BYTES + frame[2]
    if len(frame) < end:
        raise FrameError("truncated")
    layout = LAYOUTS.get(kind)
    if layout is None:
        return kind, None, bytes(frame[HEADER_BYTES:])
    if frame[2] < struct.calcsize(layout[1]):
        raise FrameError("short")
    tail = bytes(frame[end:])
    if tail and not layout[3]:
        raise FrameError("trailing")
    return kind, struct.unpack_from(layout[1], frame, HEADER_BYTES), tail


def encode_record(record_kind: int, values: "tuple[int, ...]") -> bytes:
    """Body of one ring record (the RECORD frame's tail) from its fields in table order."""
    return struct.pack(RECORDS[record_kind][1], *values)


def decode_record(record_kind: int, body: bytes) -> "tuple[int, ...] | None":
    """Fields of one ring record as a tuple; None for a kind unknown here; FrameError if the body is too short."""
    layout = RECORDS.get(record_kind)
    if layout is None:
        return None
    if len(body) < struct.calcsize(layout[1]):
        raise FrameError("record")
    return struct.unpack_from(layout[1], body, 0)


def encode_absences(boot_id: int, uptime_ms: int, absences: "list[tuple[int, int]]") -> bytes:
    """ABSENCES frame: the newest finished absences as (ended_ago_s, duration_s), oldest first, at most ABSENCES_MAX."""
    tail = b"".join([struct.pack(ABSENCE_FORMAT, ended, lasted) for ended, lasted in absences[-ABSENCES_MAX:]])
    return encode(ABSENCES, (boot_id, uptime_ms), tail)


def decode_absences(tail: bytes) -> "tuple[tuple[int, int], ...]":
    """Tuple of (ended_ago_s, duration_s) from an ABSENCES tail; FrameError if its length is not whole entries."""
    size = struct.calcsize(ABSENCE_FORMAT)
    if len(tail) % size or len(tail) > size * ABSENCES_MAX:
        raise FrameError("absences")
    return tuple([_pair(tail, at) for at in range(0, len(tail), size)])


def _pair(tail: bytes, at: int) -> "tuple[int, int]":
    ended_ago_s, duration_s = struct.unpack_from(ABSENCE_FORMAT, tail, at)
    return ended_ago_s, duration_s
