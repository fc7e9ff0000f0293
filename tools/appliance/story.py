"""What the parts of the story are told with: steps that are timed and printed, and questions to the gateway inside."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tools.appliance.belts import Belts, night
from tools.appliance.machine import Machine, MachineError
from tools.appliance.packages import Packages

__all__ = ["Story", "expect"]

UNTIL_S = 300.0
# The page's way to answer an alarm, from inside, as the carer's browser does it.
ACKNOWLEDGE = """\
import http.cookiejar, re, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
base = "http://127.0.0.1:8080"
opener.open(base + "/").read()
token = re.search(r'name="csrf" content="([^"]+)"', opener.open(base + "/").read().decode())[1]
address = base + "/api/beds/" + sys.argv[1] + "/acknowledge"
request = urllib.request.Request(address, b"{}", {"X-CSRF-Token": token, "Origin": base})
print(opener.open(request).read().decode())
"""


def expect(is_so: bool, said: str) -> None:
    """MachineError with what was said instead."""
    if not is_so:
        raise MachineError(said)


@dataclass(frozen=True)
class Story:
    """One machine with its belts; `step` names what is done, times it, and remembers it for the record."""

    machine: Machine
    belts: Belts
    packages: Packages
    steps: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Whatever is put into the dictionary is printed with it."""
        seen: dict[str, Any] = {}
        began = time.monotonic()
        yield seen
        took_s = round(time.monotonic() - began, 1)
        self.steps.append({"step": name, "took_s": took_s, **seen})
        shown = "".join(f"; {key} {value}" for key, value in seen.items())
        print(f"{took_s:7.1f} s  {name}{shown}", flush=True)

    def until(self, condition: Callable[[], object], what: str, patience_s: float = UNTIL_S) -> None:
        """Ask again and again; an answer that cannot be had or read counts as not yet. MachineError if it never is."""
        until = time.monotonic() + patience_s * self.machine.patience
        said = ""
        while time.monotonic() < until:
            try:
                if condition():
                    return
            except (MachineError, ValueError, KeyError) as error:
                said = str(error)
            time.sleep(1.0)
        raise MachineError(f"not seen in {patience_s * self.machine.patience:g} s: {what} {said}")

    def begin(self, leaves: tuple[int, int] | None = None, bed: int = 1) -> None:
        """Belts on, machine on, until the gateway hears both; `leaves` as belts.night has it, from `bed`.

        On a busy host, where the boot takes longer, the resident leaves later.
        """
        if leaves is not None:
            leaves = round(leaves[0] * (2 + self.machine.patience) / 3), leaves[1]
        nights = [night(7000 + number, leaves if number == bed else None) for number in (1, 2)]
        with self.step("the machine boots; the gateway starts by itself and hears both belts") as seen:
            self.belts.start(nights)
            self.machine.start()
            self.hear()
            seen["status"] = self.shown("sleepbelt", "StatusText")

    def hear(self) -> None:
        """Until both belts are heard."""
        self.until(lambda: self.stats()["belts_heard"] == 2, "both belts heard", 600)

    def acknowledge(self, bed: int = 1) -> None:
        """The alarm of bed 201-1 or 201-2, on the wall board."""
        self.machine.write("/run/acknowledge.py", ACKNOWLEDGE)
        said = self.machine.run(f"python3 /run/acknowledge.py 201-{bed}")
        expect('"ok":true' in said.replace(" ", ""), f"not acknowledged: {said}")

    def alarm(self) -> None:
        """Until bed 201-1's alarm is there and the relay's process has opened the contact."""
        self.until(lambda: self.stats()["beds_alarming"] == 1, "an alarm")
        self.until(lambda: self.shown("sleepbelt-relay", "ActiveState") == "active" and self.relay(), "an open contact")

    def relay(self) -> str:
        """What the relay's process said last of a contact that it opened for a call."""
        command = "journalctl -b -u sleepbelt-relay --no-pager -o cat | grep 'open: call' | tail -1"
        return self.machine.run(command, check=False)

    def health(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        found: dict[str, Any] = json.loads(self.machine.run("cat /run/sleepbelt/health.json"))
        return found

    def stats(self) -> dict[str, Any]:
        """Its figures, asked from inside."""
        get = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/api/stats').read().decode())"
        found: dict[str, Any] = json.loads(self.machine.run(f'python3 -c "{get}"'))
        return found

    def findings(self, topic: str) -> list[dict[str, Any]]:
        """What the doctor finds of a topic."""
        said = json.loads(self.machine.run("sleepbelt doctor --json 2>/dev/null || true"))
        return [finding for finding in said["findings"] if finding["topic"] == topic]

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.machine.run(f"systemctl show {unit} --property={name} --value")

    def exposure(self, unit: str, at_most: float) -> str:
        """How exposed a unit is, as systemd computes it there; MachineError above the limit."""
        text = self.machine.run(f"systemd-analyze security --no-pager {unit} | tail -1")
        found = re.search(r"level for \S+: ([0-9.]+) ", text)
        expect(found is not None and float(found[1]) <= at_most, text)
        return "" if found is None else found[1]
