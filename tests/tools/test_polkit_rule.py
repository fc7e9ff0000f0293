"""The polkit rule of the appliance, run by a JavaScript engine: what the gateway's user may, and that it is all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

RULE = Path(__file__).resolve().parents[2] / "tools/deb/root/usr/share/polkit-1/rules.d/50-sleepbelt.rules"
UNITS = "org.freedesktop.systemd1.manage-units"
# polkitd gives a rule the action, with what the caller says of it, and the subject.
ENGINE = """
const polkit = { Result: { YES: "yes", NO: "no" }, addRule(rule) { this.rule = rule; } };
%s
const asked = JSON.parse(process.argv[1]);
const action = { id: asked.id, lookup: (name) => asked[name] };
console.log(polkit.rule(action, { user: asked.user }) ?? "not handled");
"""


def answer(**asked: str) -> str:
    script = ENGINE % RULE.read_text("utf-8")
    done = subprocess.run(["node", "-e", script, json.dumps(asked)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_gateway_may_restart_bluetoothd() -> None:
    assert answer(id=UNITS, unit="bluetooth.service", verb="restart", user="sleepbelt") == "yes"


@pytest.mark.parametrize(("change", "value"), [
    ("unit", "ssh.service"), ("verb", "stop"), ("verb", "start"), ("user", "pi"), ("user", "sleepbelt-receiver"),
    ("id", "org.freedesktop.systemd1.manage-unit-files"), ("id", "org.freedesktop.login1.power-off"),
])  # fmt: skip
def test_anything_else_is_left_to_other_rules(change: str, value: str) -> None:
    asked = {"id": UNITS, "unit": "bluetooth.service", "verb": "restart", "user": "sleepbelt", change: value}
    assert answer(**asked) == "not handled"


def test_the_machine_may_be_restarted_for_the_highest_rung() -> None:
    assert answer(id="org.freedesktop.login1.reboot", user="sleepbelt") == "yes"
    assert answer(id="org.freedesktop.login1.reboot", user="pi") == "not handled"
