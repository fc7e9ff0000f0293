"""Reads of the pages that run a home, in SQL that all our databases speak. Blocking: called in the store's thread."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cloud_sync.receiver.home_rows import AlarmLine, Trend
from cloud_sync.receiver.port import AlarmRow, EventRow, NightCard
from cloud_sync.receiver.stores.base import StoreReads
from cloud_sync.receiver.stores.minute_sums import MINUTE_MS, unpack_minutes
from cloud_sync.receiver.stores.pack_rows import first_start_ms
from cloud_sync.receiver.stores.reads import night_card
from protocol.batch import DeviceState, decode_item
from protocol.packing import unpack
from protocol.usual import USUAL_FIGURES, USUAL_NIGHTS_MAX, Usual, against_usual, usual_figures

__all__ = [
    "BedKey",
    "Night",
    "Stay",
    "alarm_lines",
    "beds",
    "devices",
    "exits",
    "nights",
    "notices",
    "recorded_minutes",
    "silences",
    "stays",
    "time_here",
    "trend",
    "with_own_usual",
]

BedKey = tuple[str, str]  # (gateway, bed)
ALARMS_MAX = 2_000
NIGHTS_BEFORE = 30  # read beyond those asked for, so that their last 14 complete ones are among them
DAY_MS = 86_400_000
FOREVER_MS = 2**53

# The order is forced: by its index each bed's stretch is read, not the whole table (CROSS JOIN keeps it in SQLite).
_EVENTS = (
    "FROM beds CROSS JOIN alarm_events WHERE alarm_events.bed_id = beds.bed_id AND utc_ms >= ? AND utc_ms < ? "
    "AND event "
)
_PACKS = (
    "FROM beds CROSS JOIN packs WHERE packs.bed_id = beds.bed_id "
    "AND start_utc_ms >= ? AND start_utc_ms < ? AND end_utc_ms > ? AND holes"
)
# (bed_id, first, reached, past) of each pack without holes that begins behind all before it: `reached` is how far those
# reach, `past` how far the bed's last does. Minutes since 1970; a pack's last second counts, not the instant after it.
_STRETCHES = f"""
SELECT bed_id, first, reached, all_past FROM (
  SELECT bed_id, first, max(past) OVER (PARTITION BY bed_id ORDER BY first, past
                                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached,
         max(past) OVER (PARTITION BY bed_id) AS all_past
  FROM (SELECT packs.bed_id AS bed_id, start_utc_ms / 60000 AS first,
               CASE WHEN end_utc_ms - 1000 < start_utc_ms THEN start_utc_ms ELSE end_utc_ms - 1000 END / 60000 + 1
               AS past {_PACKS} = 0) AS spans) AS stretches
WHERE reached IS NULL OR first > reached ORDER BY bed_id, first
"""
_WHO = (
    "assignments ON assignments.bed_id = beds.bed_id AND assignments.from_utc_ms <= {at} "
    "AND (assignments.to_utc_ms IS NULL OR assignments.to_utc_ms > {at})"
)
# The same of residents, each event of who had the bed then.
_EVENTS_OF = (
    f"FROM beds CROSS JOIN alarm_events JOIN {_WHO.format(at='alarm_events.utc_ms')} "
    "WHERE alarm_events.bed_id = beds.bed_id AND utc_ms >= ? AND utc_ms < ? AND event "
)


def beds(store: StoreReads) -> dict[BedKey, str]:
    """(gateway, bed) -> room, of all beds a gateway ever told of."""
    rows = store.select("SELECT gateway, bed, room FROM beds ORDER BY room, bed, gateway")
    return {(gateway, bed): room for gateway, bed, room in rows}


def alarm_lines(store: StoreReads, from_utc_ms: int, to_utc_ms: int) -> list[AlarmLine]:
    """Alarms raised and absences missed in [from, to), newest first, each with the outcome somebody gave it."""
    # An outcome is told after the alarm, perhaps after the period, and belongs to its bed's latest alarm before it:
    # that may be one raised after the period.
    told_to_ms = to_utc_ms + DAY_MS
    rows = [
        AlarmLine(AlarmRow(row[0], *row[1:]))
        for row in store.select(
            "SELECT alarms.alarm_id, assignments.resident_id, beds.gateway, beds.bed, beds.room, alarms.state, "
            "alarms.level, alarms.priority, alarms.raised_utc_ms, alarms.acknowledged_utc_ms, alarms.ended_utc_ms, "
            f"alarms.detail FROM alarms JOIN beds USING (bed_id) LEFT JOIN {_WHO.format(at='alarms.raised_utc_ms')} "
            "WHERE alarms.raised_utc_ms >= ? AND alarms.raised_utc_ms < ? ORDER BY alarms.raised_utc_ms DESC LIMIT ?",
            from_utc_ms, told_to_ms, ALARMS_MAX,
        )
    ]  # fmt: skip
    rows += [
        AlarmLine(
            AlarmRow(alarm_id, resident, gateway, bed, room, "closed", 0, "", at_ms, None, at_ms, detail), missed=True
        )
        for alarm_id, resident, gateway, bed, room, at_ms, detail in store.select(
            "SELECT alarm_events.alarm_id, assignments.resident_id, gateway, bed, room, utc_ms, detail "
            f"FROM beds CROSS JOIN alarm_events LEFT JOIN {_WHO.format(at='alarm_events.utc_ms')} "
            "WHERE alarm_events.bed_id = beds.bed_id AND utc_ms >= ? AND utc_ms < ? AND event = 'missed_alarm' "
            "ORDER BY utc_ms DESC LIMIT ?",
            from_utc_ms, told_to_ms, ALARMS_MAX,
        )
    ]  # fmt: skip
    rows.sort(key=lambda line: line.alarm.raised_utc_ms, reverse=True)
    told = store.select(
        f"SELECT gateway, bed, utc_ms, detail {_EVENTS} = 'outcome' ORDER BY utc_ms", from_utc_ms, told_to_ms
    )
    return [line for line in _with_outcomes(rows, told) if line.alarm.raised_utc_ms < to_utc_ms]


def _with_outcomes(lines: Sequence[AlarmLine], told: Iterable[Sequence[Any]]) -> list[AlarmLine]:
    of_bed: dict[BedKey, list[int]] = {}  # newest first
    for index, line in enumerate(lines):
        of_bed.setdefault((line.alarm.gateway, line.alarm.bed), []).append(index)
    outcomes: dict[int, str] = {}
    for gateway, bed, at_ms, outcome in told:
        before = (index for index in of_bed.get((gateway, bed), ()) if lines[index].alarm.raised_utc_ms <= at_ms)
        latest = next(before, None)
        if latest is not None:
            outcomes[latest] = outcome
    return [AlarmLine(line.alarm, outcomes.get(index, ""), line.missed) for index, line in enumerate(lines)]


@dataclass(frozen=True, slots=True)
class Stay:
    """When a bed was a resident's; a bed's first resident also has what was recorded there before."""

    bed_id: int
    bed: BedKey
    from_utc_ms: int
    to_utc_ms: int | None

    def covers(self, utc_ms: int) -> bool:
        """True for an instant that belongs to this resident."""
        return utc_ms >= self.from_utc_ms and (self.to_utc_ms is None or utc_ms < self.to_utc_ms)

    def within(self, from_utc_ms: int, to_utc_ms: int) -> tuple[int, int]:
        """The part of [from, to) that belongs to this resident; empty where its end is not after its start."""
        end = to_utc_ms if self.to_utc_ms is None else min(to_utc_ms, self.to_utc_ms)
        return max(from_utc_ms, self.from_utc_ms), end


@dataclass(frozen=True, slots=True)
class Night:
    """The newest report of a resident's night, and the bed it was slept in."""

    card: NightCard
    report: Mapping[str, Any]
    bed: BedKey


def stays(store: StoreReads, resident_id: str) -> list[Stay]:
    """All beds of a resident, the present one last."""
    rows = store.select(
        "SELECT bed_id, gateway, bed, from_utc_ms, to_utc_ms, (SELECT min(from_utc_ms) FROM assignments AS other "
        "WHERE other.bed_id = assignments.bed_id) FROM assignments JOIN beds USING (bed_id) WHERE resident_id = ? "
        "ORDER BY from_utc_ms",
        resident_id,
    )
    return [
        Stay(bed_id, (gateway, bed), 0 if from_ms == first_ms else from_ms, to_ms)
        for bed_id, gateway, bed, from_ms, to_ms, first_ms in rows
    ]


def time_here(store: StoreReads, resident_id: str) -> tuple[int, int] | None:
    """[from, to) from the first admission of a resident until they left; None: nothing is known of them (any more)."""
    ((from_ms, to_ms),) = store.select(
        "SELECT min(from_utc_ms), max(coalesce(to_utc_ms, ?)) FROM assignments WHERE resident_id = ?",
        FOREVER_MS, resident_id,
    )  # fmt: skip
    return None if from_ms is None else (from_ms, to_ms)


def nights(store: StoreReads, resident_id: str, nights_max: int) -> list[Night]:
    """A resident's last nights in whichever bed, newest first: history follows the person, never the bed.

    A night belongs to who had the bed when it ended.
    """
    own = stays(store, resident_id)
    # A bed that was theirs alone from its first night on: its gateway compared with their own nights.
    is_settled = len(own) == 1 and own[0].from_utc_ms == 0
    found: dict[str, tuple[Night, Stay]] = {}
    for stay in own:
        rows = store.select(
            "SELECT night_of, version, report FROM nights AS one WHERE bed_id = ? AND utc_ms >= ? AND utc_ms < ? "
            "AND version = (SELECT max(version) FROM nights WHERE bed_id = one.bed_id AND night_of = one.night_of) "
            "ORDER BY night_of DESC LIMIT ?",
            stay.bed_id, *stay.within(0, FOREVER_MS), nights_max if is_settled else nights_max + NIGHTS_BEFORE,
        )  # fmt: skip
        for night_of, version, report in rows:
            fields = unpack(report)
            found[night_of] = Night(night_card(night_of, version, fields), fields, stay.bed), stay
    ordered = [found[night_of] for night_of in sorted(found)]
    shown = [night for night, _ in ordered] if is_settled else with_own_usual(ordered)
    return shown[::-1][:nights_max]


def with_own_usual(nights: Sequence[tuple[Night, Stay]]) -> list[Night]:
    """Nights, oldest first, whose `versus_usual` knows no nights but the resident's own, wherever they were slept.

    A gateway compares with the nights of the bed. That is right once the last complete ones all lie in this stay.
    """
    told: list[Night] = []
    before: list[tuple[Stay, dict[str, float | None]]] = []
    for night, stay in nights:
        fields = night.report.get("night", night.report)
        if not isinstance(fields, Mapping) or "versus_usual" not in fields:
            told.append(night)
            continue
        tonight, last = _figures(fields), before[-USUAL_NIGHTS_MAX:]
        if len(last) == USUAL_NIGHTS_MAX and all(one is stay for one, _ in last):
            told.append(night)
        else:
            usual = against_usual(tonight, [figures for _, figures in last])
            told.append(replace(night, report={**fields, "versus_usual": _as_json(usual)}))
        if fields.get("complete") is True and fields.get("provisional") is not True:
            before.append((stay, tonight))
    return told


def _figures(fields: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures to compare; what a gateway wrote in another form is not known."""
    try:
        figures = usual_figures(fields)
    except KeyError:
        return dict.fromkeys(USUAL_FIGURES)
    return {name: value if isinstance(value, int | float) else None for name, value in figures.items()}


def _as_json(usual: Mapping[str, Usual | None] | None) -> dict[str, Any] | None:
    if usual is None:
        return None
    return {name: None if one is None else asdict(one) for name, one in usual.items()}


def trend(found: Sequence[Night]) -> Trend:
    """A resident's last nights, newest first, and what is usual for them."""
    return Trend([night.card for night in found], _usual(night.report for night in found))


def _usual(reports: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, float]]:
    for report in reports:
        fields = report.get("night", report)
        usual = fields.get("versus_usual") if isinstance(fields, Mapping) else None
        if isinstance(usual, Mapping):
            return {name: value for name, value in usual.items() if isinstance(value, Mapping) and "median" in value}
    return {}


def devices(store: StoreReads) -> list[tuple[str, DeviceState]]:
    """(gateway, what a device said of itself), the newest of each."""
    found = []
    for gateway, body in store.select("SELECT gateway, body FROM devices ORDER BY gateway, bed, device"):
        item = decode_item(bytes(body))
        if isinstance(item, DeviceState):
            found.append((gateway, item))
    return found


def exits(store: StoreReads, from_utc_ms: int, to_utc_ms: int) -> dict[str, int]:
    """How often each resident left their bed in [from, to), as its gateway judged (LEAVE_BED.md: event `exit`)."""
    rows = store.select(
        f"SELECT assignments.resident_id, count(*) {_EVENTS_OF} = 'exit' GROUP BY assignments.resident_id",
        from_utc_ms, to_utc_ms,
    )  # fmt: skip
    return dict(rows)


def notices(store: StoreReads, from_utc_ms: int, to_utc_ms: int) -> dict[str, list[EventRow]]:
    """Attention notices and technical ones of each resident in [from, to), newest first."""
    found: dict[str, list[EventRow]] = {}
    for resident, at_ms, trusted, event, detail in store.select(
        f"SELECT assignments.resident_id, utc_ms, trusted, event, detail {_EVENTS_OF} IN ('notice', 'tech_raise') "
        "ORDER BY utc_ms DESC", from_utc_ms, to_utc_ms,
    ):  # fmt: skip
        found.setdefault(resident, []).append(EventRow(at_ms, bool(trusted), event, detail, "alarm"))
    return found


def recorded_minutes(store: StoreReads, from_utc_ms: int, to_utc_ms: int) -> dict[BedKey, int]:
    """Minutes of each bed in [from, to) of which anything is stored."""
    first, past = -(-from_utc_ms // MINUTE_MS), -(-to_utc_ms // MINUTE_MS)
    found = {}
    for key, covered in _covered(store, from_utc_ms, to_utc_ms).items():
        silent = _holes(covered, first, past)
        found[key] = max(0, past - first) - sum(end - start for start, end in silent)
    return found


def silences(store: StoreReads, from_utc_ms: int, to_utc_ms: int) -> dict[BedKey, list[tuple[int, int]]]:
    """Stretches (UTC ms) of each bed in [from, to) of which no minute is stored."""
    found = {}
    for key, covered in _covered(store, from_utc_ms, to_utc_ms).items():
        in_ms = [(start * MINUTE_MS, end * MINUTE_MS) for start, end in covered]
        found[key] = [hole for hole in _holes(in_ms, from_utc_ms, to_utc_ms) if hole[1] - hole[0] >= MINUTE_MS]
    return found


def _covered(store: StoreReads, from_utc_ms: int, to_utc_ms: int) -> dict[BedKey, list[tuple[int, int]]]:
    """Stretches [first, past) of UTC minutes of each bed that have something stored, of all that touch [from, to)."""
    span = (first_start_ms(from_utc_ms), to_utc_ms, from_utc_ms)
    found: dict[int, list[tuple[int, int]]] = {}
    # Of packs without holes, which nearly all are, only the stretches come; the window tells where one begins.
    for bed_id, first, reached, past in store.select(_STRETCHES, *span):
        of_bed = found.setdefault(bed_id, [])
        if of_bed:
            of_bed[-1] = (of_bed[-1][0], reached)
        of_bed.append((first, past))
    for bed_id, start_ms, minutes in store.select(f"SELECT packs.bed_id, start_utc_ms, minutes {_PACKS} > 0", *span):
        of_bed = found.setdefault(bed_id, [])
        of_bed += ((at, at + 1) for at, _ in unpack_minutes(start_ms // MINUTE_MS, bytes(minutes)))
    return {
        (gateway, bed): found.get(bed_id, [])
        for gateway, bed, bed_id in store.select("SELECT gateway, bed, bed_id FROM beds")
    }


def _holes(covered: Iterable[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    """What of [begin, end) lies in none of the stretches."""
    holes, at = [], begin
    for start, past in [*sorted(covered), (end, end)]:
        if min(start, end) > at:
            holes.append((at, min(start, end)))
        at = max(at, past)
    return holes
