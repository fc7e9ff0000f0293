"""The walk test asked step by step on a terminal, for who has a laptop at the gateway and a helper at the bed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from gateway.cores.walk_test import STEPS
from gateway.provision_words import points_text

__all__ = ["walk"]

LOOK_S = 0.5
Ask = Callable[[str, dict[str, Any]], dict[str, Any]]


def walk(ask: Ask, bed: str, t: Any) -> dict[str, Any]:
    """Lead through all steps; the finished test. What is asked goes to stderr, answers come from stdin."""
    test = ask("walk_start", {"bed": bed})
    while not test["finished"]:
        step = next(each for each in test["steps"] if each["step"] == test["step"])
        _tell(f"\n{t('provision.step', number=STEPS.index(step['step']) + 1)}: {t('walk_step.' + step['step'])}")
        if step["state"] == "failed":
            _tell(t.code("walk_reason", step["reason"]))
            again = _answer(f"{t('provision.repeat_step')} [y/n] ")
            test = ask("walk_go" if again else "walk_skip", {})
        elif step["state"] == "waiting":
            _answer(f"{t('provision.start_step')} [Enter] ")
            test = ask("walk_go", {})
        else:
            test = _running(ask, step, test, t)
    return test


def _running(ask: Ask, step: dict[str, Any], test: dict[str, Any], t: Any) -> dict[str, Any]:
    if step["step"] == "roll":
        _answer(f"{t('provision.rolled')} [Enter] ")
        return ask("walk_done", {})
    if step["step"] == "alarm":
        for channel in test["channels"]:
            heard = _answer(f"{t('provision.noticed', channel=t.code('alert_channel', channel))} [y/n] ")
            ask("walk_confirm", {"channel": channel, "heard": heard})
    if step["step"] == "acknowledge":
        _tell(t("provision.waiting_for", points=points_text(t, test["points"])))
        _answer(f"{t('provision.acknowledge_here')} [Enter] ")
        ask("walk_acknowledge", {})
    return _until_moved(ask, step["step"])


def _until_moved(ask: Ask, name: str) -> dict[str, Any]:
    while True:
        test: dict[str, Any] = ask("state", {})["walk"]
        step = next(each for each in test["steps"] if each["step"] == name)
        if test["finished"] or step["state"] != "running":
            return test
        time.sleep(LOOK_S)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _answer(question: str) -> bool:
    """Whether it was answered with yes, or just with Enter; the end of the input is an interruption."""
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise KeyboardInterrupt
    return line.strip().lower()[:1] in ("", "y", "j", "是")
