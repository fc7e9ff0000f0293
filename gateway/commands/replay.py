"""`sleepbelt replay`: what the leave-bed rules decide on a history, and whether that is what the file expects."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from cloud_sync.words import Words, add_language
from gateway.cores.explain import explain
from gateway.cores.scenario import Line, Scenario, as_result, read_scenario, run_scenario
from gateway.cores.scenario_fields import ScenarioError
from protocol.phrase import Phrase

SUMMARY = "run leave-bed scenario files, or a stored night, through the alarm rules"
DONE, FAILED, BAD_INPUT = 0, 1, 2
FILE_BYTES_MAX = 64 * 1024 * 1024

_EPILOG = """\
A folder stands for the *.json files in it. Exit code: 0 all match (a file that expects nothing matches), 1 some do not,
2 a file is malformed.

With --from-store a night of a gateway's store is judged again, also beside the running gateway: by the settings in
force, or by a shipped profile.

examples:
  sleepbelt replay --explain tests/scenarios/leave_bed/rule09_touch_at_the_deadline.json
  sleepbelt replay --from-store 101-1 2026-11-24 --store /var/lib/sleepbelt --profile high-fall-risk
"""


class BadFile(ValueError):
    """A file that cannot be replayed; the message names the file, the field and the reason."""


def main(argv: Sequence[str]) -> int:
    """Replay the named files or a stored night; 0 all match, 1 not all, 2 a file or an option is malformed."""
    parser = _parser()
    options = parser.parse_args(argv)
    if bool(options.files) == (options.from_store is not None):
        parser.error("give scenario files, or --from-store BED DATE")
    if options.from_store is None and (options.store or options.profile):
        parser.error("--store and --profile go with --from-store")
    if options.from_store is not None:
        return _replay_night(options)
    code = DONE
    for name in options.files:
        try:
            paths = _expand(name)
        except BadFile as wrong:
            _complain(wrong)
            code = BAD_INPUT
            continue
        for path in paths:
            code = max(code, _replay(path, options))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sleepbelt replay", description=SUMMARY.capitalize() + ".", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("files", nargs="*", metavar="FILE", help="scenario file (JSON), or a folder of them")
    parser.add_argument("--from-store", nargs=2, metavar=("BED", "DATE"), help="a stored night, by its waking day")
    parser.add_argument("--store", metavar="DIR", help="data folder of a gateway, with --from-store")
    parser.add_argument("--profile", metavar="NAME", help="a shipped profile to try, with --from-store")
    parser.add_argument("--json", action="store_true", help='one object a line for each file: {"id", "log", "ok"}')
    parser.add_argument("--explain", action="store_true", help="say after each line which rule decided it, and why")
    add_language(parser, "language of the explanations")
    return parser


def _replay_night(options: argparse.Namespace) -> int:
    from gateway.commands.replay_store import StoreInputError, replay_from_store

    try:
        replay_from_store(options)
    except StoreInputError as wrong:
        _complain(BadFile(Words(options.lang)(wrong)))
        return BAD_INPUT
    return DONE


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise BadFile(f"{name}: the folder holds no *.json file")
    return found


def _replay(path: Path, options: argparse.Namespace) -> int:
    try:
        scenario = read_scenario(_load(path))
    except ScenarioError as wrong:
        _complain(BadFile(f"{path}: {wrong}"))
        return BAD_INPUT
    except BadFile as wrong:
        _complain(wrong)
        return BAD_INPUT
    lines = run_scenario(scenario)
    result = dict(as_result(scenario, lines))
    if options.json:
        if options.explain:
            result["explain"] = [explain(line.effect, options.lang) for line in lines]
        print(json.dumps(result, ensure_ascii=False))
    else:
        _print_for_people(path, scenario, lines, result["ok"], options)
    return FAILED if result["ok"] is False else DONE


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise BadFile(f"{path}: the file is larger than {FILE_BYTES_MAX // 2**20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as unreadable:
        raise BadFile(f"{path}: cannot be read: {unreadable.strerror or unreadable}") from unreadable
    except UnicodeDecodeError as undecodable:
        raise BadFile(f"{path}: is not UTF-8 text (byte {undecodable.start})") from undecodable
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_no_twice)
    except json.JSONDecodeError as broken:
        raise BadFile(f"{path}: is not JSON: line {broken.lineno}, column {broken.colno}: {broken.msg}") from broken
    except (ValueError, RecursionError) as broken:
        reason = "is nested too deeply" if isinstance(broken, RecursionError) else str(broken)
        raise BadFile(f"{path}: is not JSON: {reason}") from broken


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number JSON knows")


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} stands twice in one object")
    return values


def _print_for_people(
    path: Path, scenario: Scenario, lines: Sequence[Line], ok: bool | None, options: argparse.Namespace
) -> None:
    t = Words(options.lang)
    verdict = {None: Phrase("nothing expected"), True: Phrase("as expected"), False: Phrase("NOT as expected")}[ok]
    print(f"{scenario.id}  {scenario.title}  ({_printable(str(path))}): {t(verdict)}")
    for line in lines:
        print(f"  {line.text}")
        if options.explain:
            print(f"      {explain(line.effect, options.lang)}")
    if ok is False and scenario.expect is not None:
        print(f"  {t(Phrase('expected (-) and decided (+):'))}")
        for text in _difference(scenario.expect, [line.text for line in lines]):
            print(f"    {text}")


def _difference(expected: Sequence[str], decided: Sequence[str]) -> Iterator[str]:
    for text in difflib.ndiff(list(expected), list(decided)):
        if not text.startswith("?"):
            yield text


def _complain(wrong: BadFile) -> None:
    print(f"sleepbelt replay: {_printable(str(wrong))}", file=sys.stderr)


def _printable(text: str) -> str:
    """File names may hold bytes that are no text; they are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
