"""Mutation test of the leave-bed core: every small wrong change must be noticed by a scenario, a test or the model.

Usage: python -m tools.mutation [--only PART_OF_A_KEY] [--out FILE] [--json]
Example: python -m tools.mutation --only alarm.py

Each mutant runs in a forked process that imports the changed module; of the shipped scenarios, the tests of the rules
and random nights against the reference model it runs those that reach the changed line, quickest first, until one
fails. A mutant that none notices fails the run unless tests/mutation_survivors.toml says why it is no other behaviour.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.util
import itertools
import json
import os
import resource
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import hypothesis  # noqa: F401 - imported before the forks, like all that does not change
import pytest

import gateway.cores.scenario_fields
import gateway.cores.windows  # noqa: F401
from tests.sim.histories import history
from tests.sim.leave_bed_model import model_log
from tools.mutants import Mutant, find_mutants

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "gateway" / "cores" / "leave_bed"
SCENARIOS = ROOT / "tests" / "scenarios" / "leave_bed"
TESTS = ROOT / "tests" / "gateway" / "cores" / "leave_bed"
SURVIVORS = ROOT / "tests" / "mutation_survivors.toml"
NOT_RUN = ("test_leave_bed_properties", "test_scenario_suites")
"""The properties are random and slow; the suites are taken file by file."""
NIGHTS = 120
SLOWEST_S = 6.0
"""Added to three times what the unchanged core needs: longer is an endless loop."""
MEMORY_BYTES_MAX = 2 << 30

Case = tuple[str, Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the unchanged core does: seconds of each case, and which cases run each line of each module."""

    seconds: Mapping[str, float]
    reached: Mapping[str, Mapping[int, Sequence[str]]]

    def cases_for(self, module: str, mutant: Mutant) -> list[str] | None:
        """Names of the cases that reach the change, quickest first; all of them for a line run by the import."""
        lines = self.reached[module]
        if any("import" in lines.get(line, ()) for line in mutant.lines):
            return sorted(self.seconds, key=self.seconds.__getitem__)
        names = {name for line in mutant.lines for name in lines.get(line, ())}
        return sorted(names, key=self.seconds.__getitem__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one mutant ended: `noticed_by` a case, "timeout", or nobody."""

    module: str
    mutant: Mutant
    noticed_by: str
    seconds: float


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed code."""

    def __init__(self, name: str, code: CodeType, path: Path) -> None:
        self._name, self._code, self._path = name, code, path

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        package = self._path.name == "__init__.py"
        return importlib.util.spec_from_file_location(
            name, self._path, loader=self, submodule_search_locations=[str(self._path.parent)] if package else None
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description=__doc__.split("\n", 1)[0],
                                     epilog="Example: python -m tools.mutation --only alarm.py")  # fmt: skip
    parser.add_argument("--only", default="", help="only mutants whose key holds this text")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "mutation.json", help="result (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON in place of words")
    asked = parser.parse_args(argv)
    accepted = accepted_survivors(SURVIVORS)
    nights = [(night, model_log(night)) for night in map(history, range(NIGHTS))]
    baseline = _baseline(nights)
    outcomes = []
    for outcome in _run_all(asked.only, baseline, nights, asked.jobs):
        outcomes.append(outcome)
        if not asked.json and sys.stderr.isatty():
            print(f"\r{len(outcomes)} mutants", end="", file=sys.stderr, flush=True)
    result = _result(outcomes, accepted, whole=not asked.only)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result) if asked.json else _in_words(result))
    return 1 if result["unexplained"] or result["no_longer"] else 0


def accepted_survivors(path: Path) -> dict[str, str]:
    """Reason by mutant; ValueError for one without a reason."""
    accepted: dict[str, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivors", []):
        reason = str(entry.get("reason", "")).strip()
        if not reason:
            raise ValueError(f"{path}: a reason is missing for {entry.get('mutants')}")
        accepted |= dict.fromkeys(entry["mutants"], reason)
    return accepted


# --- the cases -------------------------------------------------------------------------------------------------------


def cases(nights: Sequence[tuple[dict[str, Any], list[str]]]) -> Iterator[Case]:
    """Every fast check of the core. Imports the core: only to be called in a forked process."""
    read, run, as_result = _core("read_scenario"), _core("run_scenario"), _core("as_result")
    comparable = importlib.import_module("tests.sim.test_leave_bed_against_model").comparable

    def decided(document: dict[str, Any]) -> list[str]:
        scenario = read(document)
        log: list[str] = as_result(scenario, run(scenario))["log"]
        return log

    def example(path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert decided(document) == document["expect"]

    def night(document: dict[str, Any], expected: list[str]) -> None:
        assert comparable(decided(document)) == comparable(expected)

    for path in sorted(SCENARIOS.glob("*.json")):
        yield f"scenario {path.stem}", partial(example, path)
    for path in sorted(TESTS.glob("test_*.py")):
        if path.stem not in NOT_RUN:
            yield from _tests_of(importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)))
    for document, expected in nights:
        yield f"night {document['id']}", partial(night, document, expected)


def _core(name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module("gateway.cores.scenario"), name)  # type: ignore[no-any-return]


def _tests_of(module: ModuleType) -> Iterator[Case]:
    """The plain and the parametrised test functions of a module."""
    for name, function in vars(module).items():
        if not name.startswith("test_") or not callable(function):
            continue
        choices: list[list[dict[str, Any]]] = []
        for mark in getattr(function, "pytestmark", []):
            if mark.name == "parametrize":
                names = mark.args[0] if isinstance(mark.args[0], str) else ",".join(mark.args[0])
                choices.append([_arguments(names.split(","), values) for values in mark.args[1]])
        for number, chosen in enumerate(itertools.product(*choices)):
            arguments = {key: value for part in chosen for key, value in part.items()}
            yield f"{module.__name__.split('.')[-1]}::{name}[{number}]", partial(function, **arguments)


def _arguments(names: Sequence[str], values: Any) -> dict[str, Any]:
    values = getattr(values, "values", values) if type(values).__name__ == "ParameterSet" else values
    return dict(zip((name.strip() for name in names), (values,) if len(names) == 1 else values, strict=True))


# --- the unchanged core ----------------------------------------------------------------------------------------------


def _baseline(nights: Sequence[tuple[dict[str, Any], list[str]]]) -> Baseline:
    """Run every case once, traced, in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w", encoding="utf-8") as pipe:
            json.dump(_traced(nights), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    if not told:
        raise SystemExit("the unchanged core does not pass: see above")
    seconds, reached = json.loads(told)
    return Baseline(seconds, {m: {int(line): names for line, names in lines.items()} for m, lines in reached.items()})


def _traced(nights: Sequence[tuple[dict[str, Any], list[str]]]) -> tuple[dict[str, float], dict[str, Any]]:
    reached: dict[str, dict[int, list[str]]] = {path.name: {} for path in CORE.glob("*.py")}
    hit: set[tuple[str, int]] = set()
    inside = str(CORE) + os.sep

    def in_frame(frame: FrameType, event: str, _: Any) -> Any:
        hit.add((frame.f_code.co_filename, frame.f_lineno))
        return in_frame

    def on_call(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(inside):
            return None
        return in_frame(frame, event, None)

    def attribute(name: str) -> None:
        for file, line in hit:
            reached[Path(file).name].setdefault(line, []).append(name)
        hit.clear()

    sys.settrace(on_call)
    listed = list(cases(nights))
    attribute("import")
    seconds = {}
    for name, check in listed:
        sys.settrace(None)
        started = time.perf_counter()
        check()
        seconds[name] = time.perf_counter() - started
        sys.settrace(on_call)
        check()
        attribute(name)
    sys.settrace(None)
    return seconds, reached


# --- the mutants -----------------------------------------------------------------------------------------------------


def _run_all(
    only: str, baseline: Baseline, nights: Sequence[tuple[dict[str, Any], list[str]]], jobs: int
) -> Iterator[Outcome]:
    """Outcomes as they come, `jobs` at a time."""
    running: dict[int, tuple[str, Mutant, int, float]] = {}
    for path in sorted(CORE.glob("*.py")):
        tree, mutants = find_mutants(path)
        for mutant in mutants:
            if only not in mutant.key:
                continue
            if len(running) >= jobs:
                yield _wait(running)
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reader)
                mutant.apply()
                _try(path, compile(tree, str(path), "exec"), baseline.cases_for(path.name, mutant), baseline, nights,
                     writer)  # fmt: skip
            os.close(writer)
            running[child] = (path.name, mutant, reader, time.monotonic())
    while running:
        yield _wait(running)


def _wait(running: dict[int, tuple[str, Mutant, int, float]]) -> Outcome:
    child, status = os.wait()
    module, mutant, reader, started = running.pop(child)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        told = pipe.read()
    if os.WIFSIGNALED(status):
        told = "timeout" if os.WTERMSIG(status) == signal.SIGALRM else f"signal {os.WTERMSIG(status)}"
    return Outcome(module, mutant, told, time.monotonic() - started)


def _try(
    path: Path,
    code: CodeType,
    names: Sequence[str] | None,
    baseline: Baseline,
    nights: Sequence[tuple[dict[str, Any], list[str]]],
    writer: int,
) -> None:
    """In the forked process: run the cases until one fails; say which on the pipe; never returns."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    chosen = list(names or ())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    signal.setitimer(signal.ITIMER_REAL, SLOWEST_S + 3 * sum(baseline.seconds[name] for name in chosen))
    package = "gateway.cores.leave_bed"
    module = package if path.stem == "__init__" else f"{package}.{path.stem}"
    sys.meta_path.insert(0, _Changed(module, code, path))
    noticed = ""
    try:
        noticed = "import"
        checks = dict(cases(nights))
        for name in chosen:
            noticed = name
            checks[name]()
        noticed = ""
    except (Exception, pytest.fail.Exception):
        # Whatever a wrong core raises, it has been noticed.
        pass
    os.write(writer, noticed.encode())
    os._exit(0)


# --- the result ------------------------------------------------------------------------------------------------------


def _result(outcomes: Sequence[Outcome], accepted: Mapping[str, str], *, whole: bool) -> dict[str, Any]:
    survived = sorted((one for one in outcomes if not one.noticed_by), key=lambda one: (one.module, one.mutant.line))
    keys = {one.mutant.key for one in survived}
    return {
        "mutants": len(outcomes),
        "noticed": len(outcomes) - len(survived),
        "by_time_limit": sum(one.noticed_by == "timeout" for one in outcomes),
        "survived_with_reason": len(keys & accepted.keys()),
        "unexplained": [
            {"mutant": one.mutant.key, "line": one.mutant.line} for one in survived if one.mutant.key not in accepted
        ],
        "no_longer": sorted(accepted.keys() - keys) if whole else [],
        "survivors": {key: accepted[key] for key in sorted(keys & accepted.keys())},
        "noticed_by": {one.mutant.key: one.noticed_by for one in outcomes if one.noticed_by},
    }


def _in_words(result: Mapping[str, Any]) -> str:
    lines = [
        f"{result['mutants']} mutants: {result['noticed']} noticed ({result['by_time_limit']} by their time limit), "
        f"{result['survived_with_reason']} survive with a written reason, {len(result['unexplained'])} without"
    ]
    lines += [f"  no test notices, line {one['line']}: {one['mutant']}" for one in result["unexplained"]]
    lines += [f"  accepted in {SURVIVORS.name}, but no longer survives: {key}" for key in result["no_longer"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
