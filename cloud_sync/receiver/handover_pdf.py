"""The hand-over sheet as PDF: the same lines as its page, on A4. Blocking: about a second of one processor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cloud_sync.pages.kit import wall_time
from cloud_sync.pages.language import Strings, duration, exact_duration
from cloud_sync.pages.night_view import COMPLETE_PERCENT, count_text, is_old
from cloud_sync.pages.pdf import WIDTH_MM, new_sheet
from cloud_sync.receiver.home_rows import AlarmLine, ShiftLine
from cloud_sync.receiver.stores.forgetting import NIGHTS, PRESENCE

_COLUMNS_MM = (42, 46, 50, 42)
_LINE_MM = 4.6

# fpdf2 and fontTools tell of every missing glyph, with the text: a resident's name must not reach a log.
for _name in ("fpdf", "fontTools"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def handover_pdf(lines: Sequence[ShiftLine], span_ms: tuple[int, int], timezone: str, t: Strings) -> bytes:
    """The sheet; PdfError where no font can show it."""
    heads = [t(f"handover.{name}") for name in ("who", "night", "shift", "notes")]
    now = datetime.fromtimestamp(span_ms[1] / 1000, ZoneInfo(timezone))
    rows = [_cells(line, now, timezone, t) for line in lines]
    title = t("handover.title")
    period = t(
        "handover.period",
        start=wall_time(span_ms[0], timezone, "%Y-%m-%d %H:%M"),
        end=wall_time(span_ms[1], timezone, "%Y-%m-%d %H:%M"),
    )
    sheet = new_sheet(t.language, [title, period, *heads, *(cell for row in rows for cell in row)])
    sheet.set_auto_page_break(True, margin=15)
    sheet.set_font_size(15)
    sheet.cell(WIDTH_MM, 8, title, new_x="LMARGIN", new_y="NEXT")
    sheet.set_font_size(9.5)
    sheet.multi_cell(WIDTH_MM, 5, period, new_x="LMARGIN", new_y="NEXT")
    sheet.ln(2)
    _head(sheet, heads)
    for row in rows:
        _row(sheet, row, heads)
    sheet.ln(4)
    sheet.set_font_size(9)
    sheet.cell(WIDTH_MM / 2, 8, t("handover.given_by") + " ____________________")
    sheet.cell(WIDTH_MM / 2, 8, t("handover.taken_by") + " ____________________", new_x="LMARGIN", new_y="NEXT")
    sheet.set_font_size(8)
    sheet.multi_cell(WIDTH_MM, 4, t("residents.estimate") + " " + t("common.attention"), new_x="LMARGIN", new_y="NEXT")
    return bytes(sheet.output())


def _cells(line: ShiftLine, now: datetime, timezone: str, t: Strings) -> tuple[str, str, str, str]:
    card = line.card
    state = "unknown" if card.live.stale else card.live.state
    who = [card.display_name, t("residents.place", room=card.room, bed=card.bed), t(f"state.{state}")]
    return "\n".join(who), "\n".join(night_lines(line, t, now)), "\n".join(shift_lines(line, timezone, t)), ""


def night_lines(line: ShiftLine, t: Strings, now: datetime) -> list[str]:
    """Last night's four figures, or why there are none; `now` local."""
    night = line.card.night
    if NIGHTS in line.card.withheld:
        return [t("residents.no_consent")]
    if night is None:
        return [t("residents.no_report")]
    if night.reason:
        return [t("residents.night_of", date=night.night_of), t("residents.no_night")]
    heart = night.heart_rate_mean_bpm
    told = [
        t("residents.night_of", date=night.night_of),
        f"{t('residents.sleep')}: {duration(t, night.sleep_s)}",
        f"{t('residents.times_out')}: {count_text(t, night.times_out, night.coverage_percent)}",
        f"{t('residents.turn_overs')}: {count_text(t, night.turn_overs, night.coverage_percent)}",
        f"{t('residents.heart')}: {t('common.none') if heart is None else f'{heart:.1f}'}",
    ]
    if night.provisional:
        told.append(t("residents.provisional"))
    if night.coverage_percent is not None and night.coverage_percent < COMPLETE_PERCENT:
        told.append(t("residents.coverage", percent=f"{night.coverage_percent:g}"))
    if is_old(night.night_of, now):
        told.append(t("residents.old_night"))
    return told


def shift_lines(line: ShiftLine, timezone: str, t: Strings) -> list[str]:
    """What happened in the shift: exits, alarms with answers, notices, time not watched."""
    if PRESENCE in line.card.withheld:
        return [t("residents.no_consent")]
    exits = str(line.exits) if line.complete else t("residents.at_least", value=line.exits)
    told = [f"{t('handover.exits')}: {exits}"]
    for each in line.alarms[:6]:
        told.append(f"{wall_time(each.alarm.raised_utc_ms, timezone)} {_alarm_words(each, t)}")
    if len(line.alarms) > 6:
        told.append(t("handover.more", count=len(line.alarms) - 6))
    told += [f"{wall_time(each.utc_ms, timezone)} {t.detail(each.detail.split(' ')[0])}" for each in line.notices[:4]]
    if line.unwatched is not None and line.unwatched.total_s >= 60:
        told.append(f"{t('devices.unwatched')}: {duration(t, line.unwatched.total_s)}")
    return told


def _alarm_words(line: AlarmLine, t: Strings) -> str:
    if line.missed:
        return t("alarms.missed")
    if line.response_s is None:
        return t("handover.unanswered", alarm=t("event.alarm_raise"))
    return t("handover.answered", alarm=t("event.alarm_raise"), after=exact_duration(t, line.response_s))


def _head(sheet: Any, heads: Sequence[str]) -> None:
    sheet.set_font_size(9)
    for text, width in zip(heads, _COLUMNS_MM, strict=True):
        sheet.cell(width, 6, text, border="B")
    sheet.ln(7)


def _row(sheet: Any, cells: Sequence[str], heads: Sequence[str]) -> None:
    """One resident, never torn between two pages."""
    sheet.set_font_size(8.5)
    tall = _LINE_MM * max(
        len(sheet.multi_cell(width - 2, _LINE_MM, text, dry_run=True, output="LINES"))
        for text, width in zip(cells, _COLUMNS_MM, strict=True)
    )
    if sheet.will_page_break(tall + 3):
        sheet.add_page()
        _head(sheet, heads)
        sheet.set_font_size(8.5)
    top, left = sheet.get_y(), sheet.l_margin
    x = left
    for text, width in zip(cells, _COLUMNS_MM, strict=True):
        sheet.set_xy(x, top + 1)
        sheet.multi_cell(width - 2, _LINE_MM, text, align="L")
        x += width
    sheet.set_xy(left, top + tall + 2)
    sheet.line(left, top + tall + 2, left + WIDTH_MM, top + tall + 2)
