"""`sleepbelt night`: the report of a night, from a file of facts or a gateway's store; as text, JSON or PDF."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cloud_sync.words import Words, add_language
from protocol.phrase import Phrase

if TYPE_CHECKING:
    from gateway.cores.night_facts import Minute

SUMMARY = "report of a night from stored or given facts"
DONE, FAILED, BAD_INPUT = 0, 1, 2
STORE = "/var/lib/sleepbelt"

_EXAMPLE = """example:
  sleepbelt night --facts night.json
  sleepbelt night --facts night.json --json
  sleepbelt night --facts - --lang zh --pdf night.pdf < night.json
  sleepbelt night 3-1 2026-11-24
  sleepbelt night 3-1 2026-11-24 --store /srv/sleepbelt --plot night.svg

night.json:
  {"timezone": "Asia/Shanghai", "night_of": "2026-11-24", "night_window": ["22:00", "06:00"],
   "occupancy": [{"state": "present", "start": "2026-11-23T21:30:00", "end": "2026-11-24T06:10:00"}],
   "silences": [], "assists": [],
   "minutes": [{"at": "2026-11-23T21:30:00", "heart_rate_bpm": 61.5, "respiration_per_min": 14.2,
                "movement": 12, "turn_overs": 0}]}
"""


class BadInputError(Exception):
    """What was given cannot be used; the message says what, where and why."""


def facts_from_file(name: str) -> Any:
    """The JSON document of a facts file ("-" = standard input); BadInputError when it is none."""
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise BadInputError(Phrase("{name}: cannot be read ({why})", name=name, why=error.strerror)) from None
    except ValueError as error:
        raise BadInputError(Phrase("{name}: is no file name ({error})", name=repr(name), error=error)) from None
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadInputError(Phrase("{name}: is not UTF-8 text (byte {start})", name=name, start=error.start)) from None
    except json.JSONDecodeError as error:
        raise BadInputError(
            Phrase(
                "{name}: is not JSON: {msg} in line {lineno}, column {colno}",
                name=name,
                msg=error.msg,
                lineno=error.lineno,
                colno=error.colno,
            )
        ) from None
    except RecursionError:
        raise BadInputError(Phrase("{name}: is nested too deeply to be a night's facts", name=name)) from None
    except ValueError as error:
        raise BadInputError(Phrase("{name}: is not JSON: {error}", name=name, error=error)) from None


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 also when there was no night, 2 for facts that cannot be right."""
    options = _parser().parse_args(argv)
    try:
        answer, minutes = _answer(options.facts) if options.facts is not None else _stored(options)
    except BadInputError as error:
        print(f"sleepbelt night: {Words(options.lang)(error)}", file=sys.stderr)
        return BAD_INPUT
    if options.pdf is not None and (failed := _pdf(answer, options)):
        return failed
    if options.plot is not None and (failed := _plot(answer, minutes, options)):
        return failed
    if options.json:
        print(json.dumps(answer, ensure_ascii=False, indent=2))
        return DONE
    from gateway.commands.night_text import text_report

    print(text_report(answer, options.lang))
    return DONE


def _pdf(answer: dict[str, Any], options: argparse.Namespace) -> int:
    from gateway.commands.night_pdf import PdfError, write_pdf

    try:
        write_pdf(answer, options.lang, Path(options.pdf))
    except PdfError as error:
        print(f"sleepbelt night: {Words(options.lang)(error)}", file=sys.stderr)
        return FAILED
    return DONE


def _plot(answer: dict[str, Any], minutes: Sequence[Minute], options: argparse.Namespace) -> int:
    from gateway.commands.night_plot import PlotError, write_plot

    try:
        write_plot(answer, minutes, options.lang, Path(options.plot))
    except PlotError as error:
        print(f"sleepbelt night: {Words(options.lang)(error)}", file=sys.stderr)
        return FAILED
    return DONE


def _answer(facts_file: str) -> tuple[dict[str, Any], Sequence[Minute]]:
    """The answer, and the minutes it was made from."""
    from gateway.cores.night import build_report, report_json
    from gateway.cores.night_input import FactsError, parse_facts, unknown_keys

    document = facts_from_file(facts_file)
    try:
        facts = parse_facts(document)
    except FactsError as error:
        raise BadInputError(Phrase("{facts_file}: {error}", facts_file=facts_file, error=error)) from None
    if ignored := unknown_keys(document):
        print(f"sleepbelt night: {facts_file}: not read: {', '.join(ignored)}", file=sys.stderr)
    return report_json(build_report(facts)), facts.minutes


def _stored(options: argparse.Namespace) -> tuple[dict[str, Any], Sequence[Minute]]:
    """The stored answer, and for a picture the minutes of its night."""
    from gateway.commands.night_store import NoStoreError, stored_answer, stored_minutes

    bed, text = options.bed or options.bed_of_night, options.date or options.date_of_night
    if bed is None or text is None:
        raise BadInputError(
            Phrase(
                "a stored night needs BED and DATE (or --bed, --date): its bed and waking day, such as 3-1 2026-11-24"
            )
        )
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadInputError(Phrase("--date: {text} is no date; write it as 2026-11-24", text=repr(text))) from None
    folder = Path(options.store or STORE)
    try:
        answer = stored_answer(folder, bed, day.isoformat())
        has_curves = options.plot is not None and answer["night"] is not None
        minutes = stored_minutes(folder, bed, answer["night"]) if has_curves else ()
    except NoStoreError as error:
        raise BadInputError(Phrase("--store: {error}", error=error)) from None
    # Asked last: a demo's clock runs ahead. 14 h: a day that has begun nowhere on earth.
    if answer["night"] is None and day > (datetime.now(UTC) + timedelta(hours=14)).date():
        raise BadInputError(Phrase("--date: the night to {isoformat} has not been yet", isoformat=day.isoformat()))
    return answer, minutes


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number a file of facts may hold")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt night",
        description="Report of one night: sleep duration, times out of bed, turn-overs, average heart rate and more.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bed_of_night", nargs="?", metavar="BED", help="label of the bed, for a stored night")
    parser.add_argument("date_of_night", nargs="?", metavar="DATE", help="its waking day, such as 2026-11-24")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--facts", metavar="FILE.json", help="facts of the night; - = standard input")
    source.add_argument("--store", metavar="FOLDER", help=f"data folder of a gateway (default: {STORE})")
    parser.add_argument("--bed", help="the same as BED")
    parser.add_argument("--date", metavar="YYYY-MM-DD", help="the same as DATE")
    parser.add_argument("--json", action="store_true", help='print {"night": {...} or null, "reason": ...}')
    parser.add_argument("--pdf", metavar="OUT.pdf", help="write the report as a sheet of A4 as well")
    parser.add_argument("--plot", metavar="OUT.svg", help="draw the night as well: timeline, heart, breath, movement")
    add_language(parser, "language of text and PDF")
    return parser
