"""Status beacon: 24 bytes of manufacturer data in a legacy advertisement, enough to run a leave-bed timer unconnected.

`format 1, counter 4, sealed content 15, tag 4`. The counter advances once a second and never restarts, so it is the
nonce and the proof of freshness: a counter not above the last one heard never counts as heard. The content is sealed
with the belt's beacon key (session.beacon_key); the belt's serial is part of the nonce.
"""

import struct

from . import ccm
from .frames import ABSENT_16, FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ccm import EncryptBlock

FORMAT = 1
CONTENT_BYTES = 15
TAG_BYTES = 4
BEACON_BYTES = 1 + 4 + CONTENT_BYTES + TAG_BYTES
COMPANY_ID_UNASSIGNED = 0xFFFF
STATE_AGE_MAX_S = 0xFFFFFF

# The unpacked content, in the order of `pack` and `unpack`.
FIELDS = (
    "occupancy", "heart_reason", "respiration_reason", "state_age_s", "exit_count", "heart_bpm", "respiration_hpm",
    "heart_quality", "respiration_quality", "battery_percent", "boot_id_low", "record_seq_low", "movement", "flags",
)
# heart_bpm: whole beats a minute, 0 absent. respiration_hpm: half breaths a minute, 0 absent. Qualities: 0-15.


def pack(values: "tuple[int, ...]") -> bytes:
    """15 content bytes from a tuple in FIELDS order; exit_count, boot_id and record_seq are cut to their low bits."""
    (occupancy, heart_reason, respiration_reason, state_age_s, exit_count, heart_bpm, respiration_hpm, heart_quality,
     respiration_quality, battery_percent, boot_id, record_seq, movement, flags) = values
    age = min(state_age_s, STATE_AGE_MAX_S)
    return struct.pack(
        "<BHBBBBBBHHBB",
        occupancy | heart_reason << 2 | respiration_reason << 5,
        age & 0xFFFF,
        age >> 16,
        exit_count & 0xFF,
        heart_bpm,
        respiration_hpm,
        heart_quality << 4 | respiration_quality,
        battery_percent,
        boot_id & 0xFFFF,
        record_seq & 0xFFFF,
        movement,
        flags & 0xFF,
    )


def unpack(content: bytes) -> "tuple[int, ...]":
    """Tuple in FIELDS order from 15 content bytes."""
    (state, age_low, age_high, exit_count, heart_bpm, respiration_hpm, qualities, battery, boot_low, seq_low, movement,
     flags) = struct.unpack("<BHBBBBBBHHBB", content)
    return (
        state & 3, state >> 2 & 7, state >> 5 & 7, age_low | age_high << 16, exit_count, heart_bpm, respiration_hpm,
        qualities >> 4, qualities & 15, battery, boot_low, seq_low, movement, flags,
    )


def from_report(report: "tuple[int, ...]") -> "tuple[int, ...]":
    """Beacon tuple (FIELDS order) of the same second as a REPORT tuple (frames.LAYOUTS order)."""
    heart = 0 if report[7] == ABSENT_16 else min(255, (report[7] + 5) // 10)
    breath = 0 if report[10] == ABSENT_16 else min(255, (report[10] + 2) // 5)
    return (
        report[0], report[9], report[12], report[2], report[3], heart, breath, report[8] * 15 // 100,
        report[11] * 15 // 100, report[15], report[5], report[4], report[13], report[16],
    )


def _nonce(counter: int, serial: bytes) -> bytes:
    return b"\xbe" + counter.to_bytes(4, "little") + serial


def seal(encrypt_block: "EncryptBlock", serial: bytes, counter: int, content: bytes) -> bytes:
    """24 bytes of manufacturer data (after the company id) for this counter; a counter never comes twice."""
    head = bytes((FORMAT,)) + counter.to_bytes(4, "little")
    return head + ccm.seal(encrypt_block, _nonce(counter, serial), content, head, TAG_BYTES)


def unseal(
    encrypt_block: "EncryptBlock", serial: bytes, last_counter: int, data: bytes
) -> "tuple[int, tuple[int, ...]] | None":
    """(counter, values in FIELDS order); None if the counter was heard before; FrameError, ccm.TagError if not ours."""
    if len(data) != BEACON_BYTES or data[0] != FORMAT:
        raise FrameError("beacon")
    counter = int.from_bytes(data[1:5], "little")
    if counter <= last_counter:
        return None
    return counter, unpack(ccm.unseal(encrypt_block, _nonce(counter, serial), data[5:], data[:5], TAG_BYTES))


def advertisement(company_id: int, data: bytes) -> bytes:
    """Advertising payload: flags (general discoverable, LE only) and manufacturer data; exactly 31 bytes."""
    body = company_id.to_bytes(2, "little") + data
    payload = b"\x02\x01\x06" + bytes((len(body) + 1, 0xFF)) + body
    assert len(payload) <= 31
    return payload


def scan_response(name: bytes) -> bytes:
    """Scan response with the complete local name (`SB-` and the serial in hex)."""
    return bytes((len(name) + 1, 0x09)) + name
