"""A night report as one A4 sheet; the same rows as the text, so the two agree figure by figure. Needs fpdf2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cloud_sync.pages.night_view import timeline_pieces
from cloud_sync.pages.pdf import MARGIN_MM, WIDTH_MM, PdfError, new_sheet
from gateway.commands.night_text import TEXTS, comparisons, remarks, rows, timeline
from protocol.phrase import Phrase

_SHADES = {
    "in_bed_asleep": (58, 91, 160),
    "in_bed_awake": (240, 180, 60),
    "in_bed": (140, 170, 215),
    "out": (200, 60, 60),
    "no_data": (210, 210, 210),
}
_BAR_MM = 8

__all__ = ["PdfError", "bar_widths", "write_pdf"]


def write_pdf(answer: Mapping[str, Any], lang: str, file: Path) -> None:
    """The answer of `sleepbelt night --json` as a PDF; PdfError without fpdf2, a Chinese font, or a place to write."""
    sheet = new_sheet(lang)
    text = TEXTS[lang]
    night = answer["night"]
    if night is None:
        _paragraph(sheet, [text["no_night"]], 12)
    else:
        title, *notes = remarks(night, lang)
        _paragraph(sheet, [title], 14)
        _paragraph(sheet, notes, 10)
        _bar(sheet, bar_widths(night), text)
        _table(sheet, rows(night, lang))
        if compared := comparisons(night, lang):
            _paragraph(sheet, [text["usual"]], 11)
            _table(sheet, compared)
        _paragraph(sheet, [text["timeline"]], 11)
        _table(sheet, timeline(night, lang))
        _paragraph(sheet, [text["note"]], 9)
    try:
        sheet.output(str(file))
    except OSError as error:
        raise PdfError(Phrase("{file}: cannot be written ({why})", file=file, why=error.strerror)) from None


def _paragraph(sheet: Any, lines: Iterable[str], size_pt: int) -> None:
    sheet.set_font_size(size_pt)
    for line in lines:
        sheet.multi_cell(WIDTH_MM, size_pt * 0.55, line, new_x="LMARGIN", new_y="NEXT")
    sheet.ln(1.5)


def _table(sheet: Any, lines: Iterable[tuple[str, str]]) -> None:
    sheet.set_font_size(9)
    for label, value in lines:
        sheet.cell(80, 5, label, border="B")
        sheet.cell(WIDTH_MM - 80, 5, value, border="B", new_x="LMARGIN", new_y="NEXT")
    sheet.ln(2)


def bar_widths(night: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(state, mm) of each piece of the night's bar: in proportion to elapsed time, also where the clocks change."""
    pieces = timeline_pieces(night, night["timezone"])
    whole_s = sum(piece.end_s - piece.start_s for piece in pieces)
    return [(piece.state, WIDTH_MM * (piece.end_s - piece.start_s) / max(1, whole_s)) for piece in pieces]


def _bar(sheet: Any, widths: list[tuple[str, float]], text: Mapping[str, str]) -> None:
    """The night as one bar in proportion, and what its shades mean."""
    x, y = float(MARGIN_MM), sheet.get_y()
    for state, width in widths:
        sheet.set_fill_color(*_SHADES[state])
        sheet.rect(x, y, width, _BAR_MM, style="F")
        x += width
    sheet.set_xy(MARGIN_MM, y + _BAR_MM + 1)
    sheet.set_font_size(8)
    for state in dict.fromkeys(state for state, _ in widths):
        sheet.set_fill_color(*_SHADES[state])
        sheet.rect(sheet.get_x(), sheet.get_y() + 1, 3, 3, style="F")
        sheet.set_x(sheet.get_x() + 4)
        sheet.cell(sheet.get_string_width(text[state]) + 6, 5, text[state])
    sheet.ln(8)
