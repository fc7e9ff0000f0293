"""What the receiver makes of a message: which items it holds, what is poison, what is missing, what to answer.

    message --examine--> Arrival --(store commits, says one Outcome an item)--> ack

An item's key is (gateway, epoch, lane, seq) for ever. The same key with the same hash is a repetition and is acked
again; with another hash it is a conflict: the first is kept, the second goes to quarantine and is raised. Poison is
kept in quarantine and acked as rejected, so that it blocks nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from protocol.batch import (
    LANE_ALARM,
    LANE_VITALS,
    TOPIC_ROOT,
    Ack,
    AlarmEvent,
    BatchError,
    ChunkColumns,
    NightReportItem,
    OtherItem,
    batch_digest,
    body_hash,
    decode_columns,
    decode_envelope,
)

__all__ = [
    "AlarmLife",
    "Arrival",
    "Incoming",
    "MinuteSums",
    "Outcome",
    "ack_of",
    "address_of",
    "examine",
    "fold_alarm",
    "minutes_of",
    "missing_runs",
    "night_ended_utc_ms",
]

READINGS_PER_BATCH_MAX = 400_000  # a full honest batch holds about a tenth of it
MINUTE_MS = 60_000
MOVING_FROM = 1  # a second with any movement counts as moving

Outcome = Literal["stored", "repeated", "conflict", "rejected"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One item of a batch: decoded, or the code why it cannot be."""

    seq: int
    body: bytes
    hash: bytes
    item: OtherItem | ChunkColumns | None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message of a gateway's lane: items to commit, or (with `code`) a whole message for quarantine."""

    gateway: str
    lane: str
    epoch: str = ""
    floor: int = 1
    items: tuple[Incoming, ...] = ()
    digest: bytes = b""
    payload: bytes = b""  # kept only of what cannot be read
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class MinuteSums:
    """What one chunk adds to one minute of one bed; sums, so that chunks of the same minute add up in any order."""

    utc_ms: int
    readings: int
    occupied_s: int
    empty_s: int
    heart_sum: int
    heart_count: int
    respiration_sum: int
    respiration_count: int
    moving_s: int
    turn_overs: int


@dataclass(frozen=True, slots=True)
class AlarmLife:
    """Where one alarm stands after its events."""

    state: Literal["unacknowledged", "acknowledged", "latched", "closed"]
    level: int
    priority: str
    raised_utc_ms: int
    acknowledged_utc_ms: int | None
    ended_utc_ms: int | None
    detail: str


def address_of(topic: str) -> tuple[str, str] | None:
    """(gateway, leaf) of a topic under our root, else None."""
    parts = topic.split("/")
    root = TOPIC_ROOT.split("/")
    if len(parts) != len(root) + 2 or parts[: len(root)] != root or not all(parts):
        return None
    return parts[-2], parts[-1]


def examine(topic: str, payload: bytes) -> Arrival | None:
    """The arrival in a message, None for a topic that is no lane of a gateway. Never raises: poison is an answer."""
    address = address_of(topic)
    if address is None or address[1] not in (LANE_ALARM, LANE_VITALS):
        return None
    gateway, lane = address
    digest = batch_digest(payload)
    try:
        envelope = decode_envelope(payload)
        if envelope.gateway != gateway:
            raise BatchError("foreign", f"a batch of {envelope.gateway!r} on the topic of {gateway!r}")
        items = []
        readings = 0
        for index, body in envelope.items:
            incoming = _incoming(envelope.seq + index, body)
            items.append(incoming)
            if isinstance(incoming.item, ChunkColumns):
                readings += incoming.item.count
            if readings > READINGS_PER_BATCH_MAX:
                raise BatchError("too_large", f"more than {READINGS_PER_BATCH_MAX} readings in one batch")
    except BatchError as error:
        return Arrival(gateway, lane, digest=digest, payload=payload, code=error.code, message=str(error))
    return Arrival(gateway, lane, envelope.epoch, envelope.floor, tuple(items), digest)


def ack_of(arrival: Arrival, outcomes: Sequence[Outcome], rewind: int = 0) -> Ack:
    """The ack to send after the commit, from one outcome an item; `rewind`: the lowest seq to be sent once more."""
    if arrival.code:
        return Ack(arrival.lane, "", unreadable=(arrival.digest,))
    accepted: list[tuple[int, int]] = []
    rejected: list[tuple[int, str]] = []
    for incoming, outcome in zip(arrival.items, outcomes, strict=True):
        if outcome in ("stored", "repeated"):
            if accepted and accepted[-1][1] == incoming.seq - 1:
                accepted[-1] = (accepted[-1][0], incoming.seq)
            else:
                accepted.append((incoming.seq, incoming.seq))
        else:
            rejected.append((incoming.seq, outcome if outcome == "conflict" else incoming.code or outcome))
    return Ack(arrival.lane, arrival.epoch, tuple(accepted), tuple(rejected), rewind=rewind)


def missing_runs(audited: int, floor: int, present: Iterable[int]) -> list[tuple[int, int]]:
    """Inclusive runs of seqs in [audited, floor) that are not `present` (ascending): acked once, yet not here."""
    runs = []
    expected = audited
    for seq in present:
        if seq > expected:
            runs.append((expected, seq - 1))
        expected = seq + 1
    if expected < floor:
        runs.append((expected, floor - 1))
    return runs


def minutes_of(chunk: ChunkColumns) -> list[MinuteSums]:
    """What a chunk adds to its minutes, by UTC minute; a chunk without readings adds its belt's own minute record."""
    if not chunk.count:
        return [_recorded_minute(chunk)] if chunk.minute is not None else []
    sums = []
    begin = 0
    for utc_ms, end_s in _minutes_spanned(chunk):
        end = chunk.count if end_s >= chunk.span_s else chunk.present_before(end_s)
        if end > begin:
            sums.append(_sums_of(chunk, utc_ms, begin, end))
        begin = end
    return sums


def night_ended_utc_ms(item: NightReportItem) -> int:
    """When the night of a report ended, whenever the report was made; when it was made where it does not tell.

    It decides whose night it was: a new version may come after the bed was given to somebody else.
    """
    try:
        fields = item.report.get("night", item.report)
        end = datetime.fromisoformat(fields["timeline"][-1]["end"])
        ended = end if end.tzinfo else end.replace(tzinfo=ZoneInfo(fields["timezone"]))
        return round(ended.timestamp() * 1000)
    except (LookupError, TypeError, ValueError, AttributeError, OSError, ArithmeticError):
        return item.at.utc_ms  # no night, or a report of another shape


def _minutes_spanned(chunk: ChunkColumns) -> Iterator[tuple[int, int]]:
    """(start of the UTC minute, second after its last) of each minute, seconds counted in the span."""
    end_s = 0
    utc_ms = chunk.start_utc_ms - chunk.start_utc_ms % MINUTE_MS
    while end_s < chunk.span_s:
        # The first whole second of the chunk that lies at or behind the end of this minute.
        end_s = min(chunk.span_s, -(-(utc_ms + MINUTE_MS - chunk.start_utc_ms) // 1000))
        yield utc_ms, end_s
        utc_ms += MINUTE_MS


def _sums_of(chunk: ChunkColumns, utc_ms: int, begin: int, end: int) -> MinuteSums:
    """The sums over the chunk's readings begin to end."""
    runs = chunk.runs
    occupancy = _cut(runs["occupancy"], begin, end)
    moving = _cut(runs["movement"], begin, end)
    heart_sum, heart_count = _rate(chunk, "heart_rate_bpm", "heart_reason", begin, end)
    respiration_sum, respiration_count = _rate(chunk, "respiration_per_min", "respiration_reason", begin, end)
    return MinuteSums(
        utc_ms,
        end - begin,
        sum(length for value, length in occupancy if value == 2),
        sum(length for value, length in occupancy if value == 0),
        heart_sum,
        heart_count,
        respiration_sum,
        respiration_count,
        sum(length for value, length in moving if value >= MOVING_FROM),
        sum(value * length for value, length in _cut(runs["turn_overs"], begin, end)),
    )


def _rate(chunk: ChunkColumns, rate: str, reason: str, begin: int, end: int) -> tuple[int, int]:
    """Sum and number of the rates of readings begin to end: the rate column has only those whose reason is 0."""
    first = sum(length for code, length in _cut(chunk.runs[reason], 0, begin) if code == 0)
    count = sum(length for code, length in _cut(chunk.runs[reason], begin, end) if code == 0)
    return sum(chunk.rates[rate][first : first + count]), count


def _cut(pairs: Sequence[int], begin: int, end: int) -> list[tuple[int, int]]:
    """The part of flat runs from index begin to end, as (value, length)."""
    if end <= begin:
        return []
    if len(pairs) == 2:
        return [(pairs[0], end - begin)]
    found = []
    position = 0
    for i in range(0, len(pairs), 2):
        start, stop = max(position, begin), min(position + pairs[i + 1], end)
        if start < stop:
            found.append((pairs[i], stop - start))
        position += pairs[i + 1]
        if position >= end:
            break
    return found


def fold_alarm(events: Iterable[AlarmEvent]) -> AlarmLife | None:
    """The state of one alarm from all its events in order; None while its raise has not arrived."""
    life: AlarmLife | None = None
    for event in events:
        at_ms = event.at.utc_ms
        if event.event == "alarm_raise":
            life = AlarmLife(
                "unacknowledged", max(1, event.level), event.priority or event.detail, at_ms, None, None, ""
            )
        elif life is not None:
            life = _next_life(life, event, at_ms)
    return life


def _next_life(life: AlarmLife, event: AlarmEvent, at_ms: int) -> AlarmLife:
    state, level, acknowledged, ended, detail = (
        life.state, life.level, life.acknowledged_utc_ms, life.ended_utc_ms, life.detail,
    )  # fmt: skip
    if event.event == "ack":
        state, acknowledged = "acknowledged", at_ms if acknowledged is None else acknowledged
    elif event.event in ("realarm", "escalate"):
        state, level = "unacknowledged", max(level, event.level, _level_in(event.detail))
    elif event.event == "alarm_latched":
        state = "latched"
    elif event.event == "alarm_clear":
        state, ended, detail = "closed", at_ms, event.detail
    return AlarmLife(state, level, life.priority, life.raised_utc_ms, acknowledged, ended, detail)


def _level_in(detail: str) -> int:
    return int(detail[1:]) if len(detail) == 2 and detail[0] == "L" and detail[1].isdigit() else 0


def _incoming(seq: int, body: bytes) -> Incoming:
    digest = body_hash(body)
    try:
        return Incoming(seq, body, digest, decode_columns(body))
    except BatchError as error:
        return Incoming(seq, body, digest, None, error.code, str(error))


def _recorded_minute(chunk: ChunkColumns) -> MinuteSums:
    minute = chunk.minute
    assert minute is not None
    return MinuteSums(
        chunk.start_utc_ms - chunk.start_utc_ms % MINUTE_MS,
        0,
        minute.occupied_s,
        minute.empty_s,
        (minute.heart_rate_bpm or 0) * minute.heart_valid_s,
        minute.heart_valid_s,
        (minute.respiration_per_min or 0) * minute.respiration_valid_s,
        minute.respiration_valid_s,
        minute.moving_first_half_s + minute.moving_second_half_s,
        minute.turn_overs,
    )
