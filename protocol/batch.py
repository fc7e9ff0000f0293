"""Gateway <-> cloud, the written contract in code: items, batches, acks, live snapshots (docs/cloud-protocol.md).

Topics: `sb/v1/{gateway}/{lane}` batches up (QoS 1), `sb/v1/{gateway}/ack` acks down (QoS 1), `sb/v1/{gateway}/live`
snapshots up (QoS 0, retained). A batch is `[version, gateway, epoch, seq, floor, items]`, each of the items
`[index, body]`: the item's own seq is seq + index, and (gateway, epoch, lane, seq + index) is its key for ever, in
whichever batch it travels. `body` is the canonical encoding of one item, so its SHA-256 stands for it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol import vitals_wire, vitals_wire_1
from protocol.packing import PackingError, pack, squeeze, unpack, unsqueeze
from protocol.schema import (
    UTC_MS_MAX,
    BatchError,
    Field,
    Stamp,
    boolean,
    from_map,
    integer,
    mapping,
    optional,
    stamp,
    text,
    to_map,
)
from protocol.vitals import ChunkColumns, Minute, Reading, VitalsChunk, chunk_of

__all__ = [
    "LANE_ALARM",
    "LANE_VITALS",
    "Ack",
    "AlarmEvent",
    "BatchError",
    "BeltEventItem",
    "ChunkColumns",
    "DeviceState",
    "Envelope",
    "GapReport",
    "Item",
    "LiveBed",
    "LiveSnapshot",
    "Minute",
    "NightReportItem",
    "OtherItem",
    "Reading",
    "Stamp",
    "VitalsChunk",
    "batch_digest",
    "body_hash",
    "chunk_of",
    "decode_ack",
    "decode_columns",
    "decode_envelope",
    "decode_item",
    "decode_live",
    "encode_ack",
    "encode_envelope",
    "encode_item",
    "encode_live",
    "topic",
]

VERSION = 1
TOPIC_ROOT = "sb/v1"
LANE_ALARM = "alarm"
LANE_VITALS = "vitals"
ITEMS_MAX = 4096
BODY_BYTES_MAX = 128 * 1024
SEQ_MAX = 2**53
LABEL = text(64, 1)  # gateway, bed and belt labels; never a person's name
DIGEST_BYTES = 16

# Kinds of items. Never reused.
ALARM_EVENT, NIGHT_REPORT, VITALS_CHUNK_1, BELT_EVENT, DEVICE, GAP, VITALS_CHUNK = 1, 2, 4, 5, 6, 7, 8


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """One line of the leave-bed log that concerns people: raised, acknowledged, cleared, notices (lane alarm)."""

    bed: str  # empty: the whole gateway (radio_down)
    at: Stamp
    event: str  # the log's event name, such as alarm_raise
    detail: str = ""
    alarm_id: str = ""  # joins the events of one alarm
    belt: str = ""
    priority: str = ""
    level: int = 0
    rule: str = ""  # the clause of LEAVE_BED.md that acted
    who: str = ""  # the role that acted, never a name


@dataclass(frozen=True, slots=True)
class NightReportItem:
    """The gateway's report of one night; a higher version of the same (bed, night_of) replaces it on pages."""

    bed: str
    at: Stamp
    night_of: str  # YYYY-MM-DD, the waking date
    version: int
    report: Mapping[str, Any]  # NIGHT_REPORT.md, "Fields"


@dataclass(frozen=True, slots=True)
class BeltEventItem:
    """A record of the belt's ring other than minutes: occupancy change, finished absence, fault, boot, turn-over."""

    bed: str
    belt: str
    at: Stamp
    event: str
    boot_id: int
    uptime_ms: int
    seq: int = 0  # the belt's own record seq; 0: not from the ring
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a belt or gateway says about itself: versions, battery, link, counters; sent when it changes."""

    device: str
    role: str  # "belt" | "gateway"
    at: Stamp
    bed: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GapReport:
    """Seqs of a lane that will never come (a store lost to a fault): first..last of `epoch`, and why."""

    at: Stamp
    lane: str
    epoch: str
    first_seq: int
    last_seq: int
    reason: str


OtherItem = AlarmEvent | NightReportItem | BeltEventItem | DeviceState | GapReport
Item = OtherItem | VitalsChunk

# kind -> (class, table of keys). Keys are never reused; 0 is the kind itself.
_TABLES: dict[int, tuple[type, tuple[Field, ...]]] = {
    ALARM_EVENT: (
        AlarmEvent,
        (
            Field(1, "bed", text(64)),
            Field(2, "at", stamp),
            Field(3, "event", text(64, 1)),
            Field(4, "detail", text(200)),
            Field(5, "alarm_id", text(64)),
            Field(6, "belt", text(64)),
            Field(7, "priority", text(16)),
            Field(8, "level", integer(0, 9)),
            Field(9, "rule", text(32)),
            Field(10, "who", text(64)),
        ),
    ),
    NIGHT_REPORT: (
        NightReportItem,
        (
            Field(1, "bed", LABEL),
            Field(2, "at", stamp),
            Field(3, "night_of", text(10, 10)),
            Field(4, "version", integer(1, 2**31 - 1)),
            Field(5, "report", mapping),
        ),
    ),
    BELT_EVENT: (
        BeltEventItem,
        (
            Field(1, "bed", LABEL),
            Field(2, "belt", LABEL),
            Field(3, "at", stamp),
            Field(4, "event", text(64, 1)),
            Field(5, "boot_id", integer(0, 2**32 - 1)),
            Field(6, "uptime_ms", integer(0, SEQ_MAX)),
            Field(7, "seq", integer(0, 2**32 - 1)),
            Field(8, "fields", mapping),
        ),
    ),
    DEVICE: (
        DeviceState,
        (
            Field(1, "device", LABEL),
            Field(2, "role", text(16, 1)),
            Field(3, "at", stamp),
            Field(4, "bed", text(64)),
            Field(5, "fields", mapping),
        ),
    ),
    GAP: (
        GapReport,
        (
            Field(1, "at", stamp),
            Field(2, "lane", text(16, 1)),
            Field(3, "epoch", text(32, 1)),
            Field(4, "first_seq", integer(1, SEQ_MAX)),
            Field(5, "last_seq", integer(1, SEQ_MAX)),
            Field(6, "reason", text(200)),
        ),
    ),
}
_KIND_OF = {cls: kind for kind, (cls, _) in _TABLES.items()}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One batch: items are (index, body) with ascending index; an item's seq is seq + index.

    All of the stream below `floor` has been acked to this gateway, so a receiver can prove that nothing is missing.
    """

    gateway: str
    epoch: str
    seq: int
    floor: int
    items: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Ack:
    """What the receiver has committed: seqs of one stream, items it refuses for ever, batches it cannot even read.

    `accepted` are inclusive (first, last) ranges; `rejected` are (seq, code); `unreadable` digests of whole messages.
    """

    lane: str
    epoch: str
    accepted: tuple[tuple[int, int], ...] = ()
    rejected: tuple[tuple[int, str], ...] = ()
    unreadable: tuple[bytes, ...] = ()
    rewind: int = 0  # the lowest seq below the floor that the receiver lacks, as after a restored backup; 0: none


@dataclass(frozen=True, slots=True)
class LiveBed:
    """One bed as the gateway's ward sees it now; lossy, the next snapshot replaces it."""

    bed: str
    state: str  # unknown | present | absent | held
    belt: str = ""
    mode: str = "active"
    alarm: str = "none"
    level: int = 0
    priority: str = ""
    out_since_utc_ms: int = 0  # 0: not out
    heard_utc_ms: int = 0  # 0: never
    heart_rate_bpm: int | None = None  # None: the reason says why
    heart_reason: int = 1
    respiration_per_min: int | None = None
    respiration_reason: int = 1
    movement: int = 0
    watched: bool = True
    why_unwatched: str = ""
    battery_percent: int = -1  # -1: unknown; 101: mains
    test_alarm_id: str = ""  # of a test alarm that waits for an answer from each point


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """All beds of one gateway at one instant."""

    gateway: str
    utc_ms: int
    trusted: bool
    beds: tuple[LiveBed, ...]


_LIVE_BED = (
    Field(1, "bed", LABEL),
    Field(2, "state", text(16, 1)),
    Field(3, "belt", text(64)),
    Field(4, "mode", text(16, 1)),
    Field(5, "alarm", text(16, 1)),
    Field(6, "level", integer(0, 9)),
    Field(7, "priority", text(16)),
    Field(8, "out_since_utc_ms", integer(0, UTC_MS_MAX)),
    Field(9, "heard_utc_ms", integer(0, UTC_MS_MAX)),
    Field(10, "heart_rate_bpm", optional(integer(0, 400))),
    Field(11, "heart_reason", integer(0, 255)),
    Field(12, "respiration_per_min", optional(integer(0, 400))),
    Field(13, "respiration_reason", integer(0, 255)),
    Field(14, "movement", integer(0, 100)),
    Field(15, "watched", boolean),
    Field(16, "why_unwatched", text(64)),
    Field(17, "battery_percent", integer(-1, 101)),
    Field(18, "test_alarm_id", text(64)),
)
_BEDS_MAX = 64


def topic(gateway: str, leaf: str) -> str:
    """`sb/v1/{gateway}/{leaf}`; ValueError for a gateway label that would change the topic's levels."""
    if not gateway or any(char in gateway for char in "/+#\0"):
        raise ValueError(f"{gateway!r} is no gateway label: it must not be empty or hold / + #")
    return f"{TOPIC_ROOT}/{gateway}/{leaf}"


def body_hash(body: bytes) -> bytes:
    """SHA-256 of an item's body: equal keys must have equal hashes."""
    return hashlib.sha256(body).digest()


def batch_digest(message: bytes) -> bytes:
    """Names a whole message, for acks of one that cannot be read."""
    return hashlib.sha256(message).digest()[:DIGEST_BYTES]


def encode_item(item: Item) -> bytes:
    """The canonical body of one item; BatchError names the field that may not be sent."""
    if isinstance(item, VitalsChunk):
        wire = {0: VITALS_CHUNK, **vitals_wire.chunk_to_map(item)}
    else:
        kind = _KIND_OF[type(item)]
        wire = {0: kind, **to_map(item, _TABLES[kind][1])}
    body = _pack(wire)
    if len(body) > BODY_BYTES_MAX:
        raise BatchError("too_large", f"{type(item).__name__} of {len(body)} bytes, at most {BODY_BYTES_MAX}")
    return body


def decode_item(body: bytes) -> Item:
    """One item from its body; BatchError with code unknown_kind for a kind of a newer gateway."""
    item = decode_columns(body)
    return item.chunk() if isinstance(item, ChunkColumns) else item


def decode_columns(body: bytes) -> OtherItem | ChunkColumns:
    """`decode_item`, but a vitals chunk stays in its columns: checked as fully, ten times as fast."""
    if len(body) > BODY_BYTES_MAX:
        raise BatchError("too_large", f"item of {len(body)} bytes, at most {BODY_BYTES_MAX}")
    wire = _unpack(body)
    if not isinstance(wire, dict) or type(wire.get(0)) is not int:
        raise BatchError("bad_shape", "an item is a map whose key 0 is its kind")
    kind = wire[0]
    if kind == VITALS_CHUNK:
        return vitals_wire.columns_from_map(wire)
    if kind == VITALS_CHUNK_1:
        return vitals_wire_1.columns_from_map(wire)
    if kind not in _TABLES:
        raise BatchError("unknown_kind", f"item of kind {kind}")
    cls, table = _TABLES[kind]
    item: OtherItem = from_map(cls, table, wire)
    return item


def encode_envelope(envelope: Envelope) -> bytes:
    """The message of one batch, compressed where that is shorter; BatchError if it breaks a limit."""
    _check_envelope(envelope)
    wire = [
        VERSION,
        envelope.gateway,
        envelope.epoch,
        envelope.seq,
        envelope.floor,
        [[index, body] for index, body in envelope.items],
    ]
    return squeeze(_pack(wire))


def decode_envelope(message: bytes) -> Envelope:
    """The batch in a message, bodies unread; BatchError says what is wrong. Elements past the sixth are skipped."""
    wire = _versioned_array(message, 6)
    _, gateway, epoch, seq, floor, rows = wire[:6]
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= 2 for row in rows):
        raise BatchError("bad_shape", "items are arrays [index, body]")
    envelope = Envelope(gateway, epoch, seq, floor, tuple((row[0], row[1]) for row in rows))
    _check_envelope(envelope)
    return envelope


def encode_ack(ack: Ack) -> bytes:
    """The message of one ack: [version, lane, epoch, accepted, rejected, unreadable], and rewind where there is one."""
    accepted, rejected = [list(pair) for pair in ack.accepted], [list(pair) for pair in ack.rejected]
    wire = [VERSION, ack.lane, ack.epoch, accepted, rejected, list(ack.unreadable)]
    return _pack([*wire, ack.rewind] if ack.rewind else wire)


def decode_ack(message: bytes) -> Ack:
    """The ack in a message; BatchError says what is wrong."""
    wire = _versioned_array(message, 6)
    _, lane, epoch, accepted, rejected, unreadable = wire[:6]
    seq = integer(0, SEQ_MAX)
    code = text(64, 1)
    try:
        text(16, 1)(lane), text(32)(epoch)
        if not all(isinstance(digest, bytes) for digest in _rows(unreadable)):
            raise ValueError("a digest is not bytes")
        return Ack(
            lane,
            epoch,
            tuple((seq(first), seq(last)) for first, last in _pairs(accepted)),
            tuple((seq(number), code(reason)) for number, reason in _pairs(rejected)),
            tuple(unreadable),
            seq(wire[6]) if len(wire) > 6 else 0,
        )
    except ValueError as error:
        raise BatchError("bad_value", f"ack: {error}") from None


def encode_live(snapshot: LiveSnapshot) -> bytes:
    """The message of one live snapshot: [version, gateway, utc_ms, trusted, beds]."""
    beds = [to_map(bed, _LIVE_BED) for bed in snapshot.beds]
    return _pack([VERSION, snapshot.gateway, snapshot.utc_ms, snapshot.trusted, beds])


def decode_live(message: bytes) -> LiveSnapshot:
    """The snapshot in a message; BatchError says what is wrong."""
    wire = _versioned_array(message, 5)
    _, gateway, utc_ms, trusted, beds = wire[:5]
    if not isinstance(beds, list) or len(beds) > _BEDS_MAX:
        raise BatchError("bad_shape", f"live: beds is no array of at most {_BEDS_MAX}")
    try:
        LABEL(gateway), integer(0, UTC_MS_MAX)(utc_ms), boolean(trusted)
    except ValueError as error:
        raise BatchError("bad_value", f"live: {error}") from None
    return LiveSnapshot(gateway, utc_ms, trusted, tuple(from_map(LiveBed, _LIVE_BED, bed) for bed in beds))


def _check_envelope(envelope: Envelope) -> None:
    try:
        LABEL(envelope.gateway), text(32, 1)(envelope.epoch)
        integer(1, SEQ_MAX)(envelope.seq), integer(1, SEQ_MAX)(envelope.floor)
        if not 1 <= len(envelope.items) <= ITEMS_MAX:
            raise ValueError(f"{len(envelope.items)} items, 1 to {ITEMS_MAX} belong in a batch")
        last = -1
        for index, body in envelope.items:
            integer(last + 1, SEQ_MAX)(index)
            last = index
            if not isinstance(body, bytes):
                raise ValueError(f"body {index} is not bytes")
    except ValueError as error:
        raise BatchError("bad_value", f"batch: {error}") from None


def _versioned_array(message: bytes, length: int) -> list[Any]:
    try:
        data = unsqueeze(message)
    except PackingError as error:
        raise BatchError(error.code, str(error)) from None
    wire = _unpack(data)
    if not isinstance(wire, list) or not wire or type(wire[0]) is not int:
        raise BatchError("bad_shape", "a message is an array that starts with its version")
    if wire[0] != VERSION:
        raise BatchError("wrong_version", f"version {wire[0]}, this side speaks {VERSION}")
    if len(wire) < length:
        raise BatchError("bad_shape", f"an array of {len(wire)}, at least {length} belong there")
    return wire


def _rows(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise ValueError("not an array")
    return value


def _pairs(value: Any) -> Sequence[tuple[Any, Any]]:
    pairs = _rows(value)
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("not an array of pairs")
    return [(pair[0], pair[1]) for pair in pairs]


def _pack(value: Any) -> bytes:
    try:
        return pack(value)
    except PackingError as error:
        raise BatchError(error.code, str(error)) from None


def _unpack(data: bytes) -> Any:
    try:
        return unpack(data)
    except PackingError as error:
        raise BatchError(error.code, str(error)) from None
