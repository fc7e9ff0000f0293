"""The CSV files of provisioning: a batch (bed,label) and a factory's list of belts (serial,model,claim_secret)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.config import ConfigError, Problem
from gateway.cores.labels import BeltLabel, LabelError, belt_label_text, code_of, grouped, parse_belt, parse_serial
from protocol.phrase import Phrase

__all__ = ["batch_rows", "belt_labels", "read_batch", "read_belts"]

ROWS_MAX = 5000
BELT_QR_MM = 16.0  # 12 mm of modules and the quiet zone


def read_batch(file: Path) -> list[tuple[str, str]]:
    """(bed, label text) of each row; ConfigError with every row that is wrong."""
    return batch_rows(_read(file), file)


def batch_rows(text: str, file: Path) -> list[tuple[str, str]]:
    """The same of a file's text; `file`: how it is called."""
    rows: list[tuple[str, str]] = []
    problems: list[Problem] = []
    labels: dict[str, int] = {}
    beds: dict[str, int] = {}
    for number, row in _rows(text, file, ("bed", "label")):
        bed, label = row["bed"].strip(), row["label"].strip()
        try:
            serial = parse_belt(label).serial
        except LabelError as error:
            problems.append(Problem(Phrase("line {line}, {path}", line=number, path="label"), error.code, Phrase(
                "the text of a belt's label, BB1:...")))
            continue
        for what, key, seen in (("bed", bed, beds), ("label", serial.hex(), labels)):
            if not key or key in seen:
                found = Phrase("again, after line {line}", line=seen[key]) if key else Phrase("nothing")
                place = Phrase("line {line}, {path}", line=number, path=what)
                problems.append(Problem(place, found, Phrase("each once")))
            seen[key] = number
        rows.append((bed, label))
    if problems:
        raise ConfigError(file, problems)
    return rows


def read_belts(file: Path) -> list[BeltLabel]:
    """Belts to print labels for: columns `serial,model,claim_secret` (hexadecimal), or one column `label`."""
    belts, problems = [], []
    for number, row in _rows(_read(file), file, ()):
        try:
            if row.get("label"):
                belts.append(parse_belt(row["label"]))
                continue
            secret = bytes.fromhex(row["claim_secret"].strip())
            if len(secret) != 16:
                raise ValueError
            belts.append(BeltLabel(parse_serial(row["serial"]), int(row.get("model") or 0), secret))
        except LabelError as error:
            problems.append(Problem(Phrase("line {line}", line=number), error.code, Phrase("see the label")))
        except (KeyError, ValueError, AttributeError):
            problems.append(Problem(Phrase("line {line}", line=number), Phrase("no belt"), Phrase(
                "serial (16 hex digits), model, claim_secret (32)")))
    if problems:
        raise ConfigError(file, problems)
    return belts


def belt_labels(belts: Sequence[BeltLabel]) -> list[dict[str, Any]]:
    """Labels as papers_pdf.label_sheet takes them. They hold the claim codes: a sheet to lock away."""
    return [
        {"qr": belt_label_text(belt), "qr_mm": BELT_QR_MM,
         "lines": ["sleepbelt", f"SB-{belt.serial.hex().upper()}", f"model {belt.model}", grouped(code_of(belt))]}
        for belt in belts
    ]


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(file, [Problem("file", Phrase("none"), Phrase("give a CSV file"))]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, [Problem("file", str(error), Phrase("a CSV file in UTF-8"))]) from None


def _rows(text: str, file: Path, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
        rows = [(number, {key: value or "" for key, value in row.items() if key})
                for number, row in enumerate(reader, 2)]  # fmt: skip
        names = [name.strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise ConfigError(file, [Problem("file", str(error), Phrase("a CSV file in UTF-8"))]) from None
    if missing := [name for name in needed if name not in names]:
        raise ConfigError(file, [Problem(Phrase("line {line}", line=1), ", ".join(names) or Phrase("nothing"), Phrase(
            "needs the column {missing}",
            missing=missing[0]))])
    if not rows or len(rows) > ROWS_MAX:
        raise ConfigError(file, [Problem("rows", str(len(rows)), Phrase("1 to {rows_max}", rows_max=ROWS_MAX))])
    return rows
