"""Label sheets and acceptance certificates as PDF: `python -m gateway.papers_pdf < plan.json > paper.pdf`.

A process of its own when the gateway asks: fonts and PDF library take more memory than the gateway has for them.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cloud_sync.pages.kit import wall_time
from cloud_sync.pages.language import Strings, strings
from cloud_sync.pages.pdf import MARGIN_MM, WIDTH_MM, PdfError, new_sheet
from gateway.provision_words import point_text

__all__ = ["acceptance_pdf", "label_sheet", "step_text"]

COLUMNS, CELL_WIDTH_MM, CELL_HEIGHT_MM = 3, 60.0, 33.0
PAGE_END_MM = 297 - MARGIN_MM

for _name in ("fpdf", "fontTools"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def label_sheet(labels: Sequence[Mapping[str, Any]], language: str) -> bytes:
    """A4 sheets to cut. Each label: `qr` its text, `qr_mm` its edge with quiet zone, `lines` what people read.

    PdfError without a font that shows them.
    """
    sheet = new_sheet(language, [line for label in labels for line in label["lines"]])
    sheet.set_auto_page_break(False)
    x, y = float(MARGIN_MM), float(MARGIN_MM)
    for number, label in enumerate(labels):
        if number and number % COLUMNS == 0:
            x, y = float(MARGIN_MM), y + CELL_HEIGHT_MM
            if y + CELL_HEIGHT_MM > PAGE_END_MM:
                sheet.add_page()
                y = float(MARGIN_MM)
        _label(sheet, label, x, y)
        x += CELL_WIDTH_MM
    return bytes(sheet.output())


def _label(sheet: Any, label: Mapping[str, Any], x: float, y: float) -> None:
    import segno

    sheet.set_draw_color(200, 200, 200)
    sheet.rect(x, y, CELL_WIDTH_MM, CELL_HEIGHT_MM)
    belt = label["qr"].startswith("BB1:")
    # A belt's code is exactly the smallest one that holds it; a bed's may be better protected.
    code = segno.make(label["qr"], error="l" if belt else "m", boost_error=not belt, micro=False)
    rows = list(code.matrix_iter(border=4))
    module_mm = label["qr_mm"] / len(rows)
    left, top = x + 1.5, y + (CELL_HEIGHT_MM - label["qr_mm"]) / 2
    sheet.set_fill_color(0, 0, 0)
    for row_number, row in enumerate(rows):
        start = None
        for column, dark in enumerate([*row, 0]):
            if dark and start is None:
                start = column
            elif not dark and start is not None:
                # One bar for a run of modules: no hairlines between them.
                sheet.rect(left + start * module_mm, top + row_number * module_mm, (column - start) * module_mm,
                           module_mm * 1.02, style="F")
                start = None
    at = y + 4
    for size_pt, line in zip([13, *[7.5] * 9], label["lines"], strict=False):
        sheet.set_font_size(size_pt)
        sheet.set_xy(left + label["qr_mm"] + 0.5, at)
        width = CELL_WIDTH_MM - label["qr_mm"] - 3
        sheet.multi_cell(width, size_pt * 0.42, line, align="L", new_x="LEFT", new_y="NEXT")
        at = sheet.get_y() + 0.6


def acceptance_pdf(certificate: Mapping[str, Any], language: str) -> bytes:
    """The certificate for people, with the signed JSON attached. PdfError."""
    t = strings(language)
    said, signature = certificate["acceptance"], certificate["signature"]
    names = [bed["bed"] + bed["room"] for bed in said["beds"]] + [said["gateway"], said["who"]]
    sheet = new_sheet(language, names)
    sheet.set_auto_page_break(True, margin=MARGIN_MM)
    _line(sheet, t("acceptance.title"), 16)
    at = wall_time(said["utc_ms"], said["timezone"], "%Y-%m-%d %H:%M %Z")
    trust = "" if said["time_trusted"] else f" ({t('acceptance.untrusted')})"
    made = f"{t('acceptance.gateway')}: {said['gateway']}   {t('acceptance.by')}: {said['who']}   {at}{trust}"
    _line(sheet, made, 10)
    _line(sheet, t("acceptance.accepted") if said["accepted"] else t("acceptance.not_accepted"), 12)
    for bed in said["beds"]:
        _bed(sheet, bed, t)
    sheet.ln(3)
    _line(sheet, t("acceptance.signed", signer=signature["public_key"]), 8)
    _line(sheet, signature["value"], 7)
    _line(sheet, t("acceptance.verify"), 8)
    _line(sheet, t("common.attention"), 8)
    whole = json.dumps(certificate, ensure_ascii=False, sort_keys=True).encode()
    sheet.embed_file(bytes=whole, basename="acceptance.json", desc="signed certificate")
    return bytes(sheet.output())


def _bed(sheet: Any, bed: Mapping[str, Any], t: Strings) -> None:
    sheet.ln(1.5)
    belt = f"{t('provision.belt')} {bed['belt'].upper()} {bed['firmware']}" if bed["belt"] else t("provision.no_belt")
    _line(sheet, f"{t('provision.bed')} {bed['bed']}   {bed['room']}   {belt}", 11)
    place = bed["calibration"].get("place")
    if place:
        _line(sheet, t(f"provision.calibrated_{place}"), 8)
    test = bed["walk_test"]
    if test is None:
        _line(sheet, t("acceptance.not_tested"), 9)
        return
    for step in test["steps"]:
        mark = {"passed": t("acceptance.passed"), "failed": t("acceptance.failed")}.get(step["state"], "–")
        sheet.set_font_size(8.5)
        sheet.cell(20, 4.6, mark, border="B")
        sheet.cell(40, 4.6, t(f"acceptance.step_{step['step']}"), border="B")
        sheet.multi_cell(WIDTH_MM - 60, 4.6, step_text(step, t), border="B", align="L", new_x="LMARGIN", new_y="NEXT")


def step_text(step: Mapping[str, Any], t: Strings) -> str:
    """What was measured in a step of a walk test, and why it failed if it did."""
    evidence = step["evidence"]
    words = []
    if step["state"] == "failed":
        words.append(t.code("walk_reason", step["reason"]))
    for key in ("empty_s", "occupied_after_s", "rate_after_s", "movements", "absent_after_s"):
        if key in evidence:
            words.append(t(f"acceptance.{key}", value=evidence[key]))
    if "confirmed" in evidence:
        words += _channels(evidence, t)
    if "latency_ms" in evidence:
        words.append(", ".join(f"{point_text(t, point)} {taken} ms" for point, taken in evidence["latency_ms"].items()))
    if "heard_share" in evidence:
        if evidence["rssi_dbm_median"] is not None:
            words.append(t("provision.dbm", rssi=evidence["rssi_dbm_median"]))
        words.append(t("provision.survey_share", share=round(100 * evidence["heard_share"], 1)))
    return "; ".join(words) or "–"


def _channels(evidence: Mapping[str, Any], t: Strings) -> list[str]:
    """What became of the test alarm on each channel."""
    words = []
    for name in evidence["confirmed"]:
        after_ms = evidence["delivered_ms"].get(name)
        key = "acceptance.confirmed" if after_ms is None else "acceptance.taken"
        words.append(t(key, channel=t.code("alert_channel", name), value=after_ms))
    words += [t("acceptance.missed", channel=t.code("alert_channel", name)) for name in evidence.get("missing", ())]
    words += [t("acceptance.refused", channel=t.code("alert_channel", name), error=error)
              for name, error in evidence["errors"].items()]
    return words


def _line(sheet: Any, text: str, size_pt: float) -> None:
    sheet.set_font_size(size_pt)
    sheet.multi_cell(WIDTH_MM, size_pt * 0.5, text, align="L", new_x="LMARGIN", new_y="NEXT")


def main() -> int:
    """0 with the PDF on stdout; 1 with why not on stderr."""
    plan = json.load(sys.stdin)
    try:
        if plan["paper"] == "labels":
            made = label_sheet(plan["labels"], plan["language"])
        else:
            made = acceptance_pdf(plan["certificate"], plan["language"])
    except PdfError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
