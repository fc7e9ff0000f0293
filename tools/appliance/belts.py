"""The belts of the appliance's test: emulated, with the real firmware, at the other end of the machine's adapter."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.cores.labels import BeltLabel, belt_label_text

__all__ = ["BELTS", "Belts", "make_belts", "night"]

ROOT = Path(__file__).resolve().parents[2]
BELTS = 2
MODEL = 0  # of the emulated belt
NIGHT = """\
title = "In bed after 15 s"
start = "22:00:00"
end = "23:50:00"
seed = {seed}
heart_profile = [["22:00", 63]]
respiration_profile = [["22:00", 14]]
hypnogram = [["22:00", "light"]]
[resident]
heart_rate_bpm = 63
hrv = 0.4
respiration_per_min = 14
gain = 1.0
movements_per_h = 5
turn_overs_per_h = 1
[[event]]
at = "22:00:15"
kind = "enter"
"""
LEAVES = """\
[[event]]
at = "22:{minute:02}:{second:02}"
kind = "exit"
for_s = {away_s}
edge_s = 8
"""


def night(seed: int, leaves: tuple[int, int] | None = None) -> str:
    """A night as TOML; `leaves`: (seconds after the belt's start, seconds away)."""
    text = NIGHT.format(seed=seed)
    if leaves is not None:
        text += LEAVES.format(minute=leaves[0] // 60, second=leaves[0] % 60, away_s=leaves[1])
    return text


def make_belts(state: Path, update_key: bytes) -> None:
    """What the factory writes into the belts: who they are, and the key that their firmware is signed with."""
    for number in range(1, BELTS + 1):
        folder = state / f"belt{number}"
        folder.mkdir(parents=True)
        identity = {"serial": (b"EMU" + secrets.token_bytes(3) + number.to_bytes(2, "big")).hex(),
                    "claim_secret": secrets.token_hex(16), "update_key": update_key.hex()}  # fmt: skip
        (folder / "identity.json").write_text(json.dumps(identity))


class Belts:
    """Those whose flash is in `state`; switched on with `start`."""

    def __init__(self, state: Path, socket: Path) -> None:
        self._state, self._socket = state, socket
        self._process: subprocess.Popen[str] | None = None

    def identities(self) -> list[dict[str, Any]]:
        """Serial, claim secret and update key of each, in hex."""
        files = [self._state / f"belt{number}" / "identity.json" for number in range(1, BELTS + 1)]
        return [json.loads(file.read_text()) for file in files]

    def labels(self) -> list[str]:
        """What the code on each belt says."""
        return [belt_label_text(BeltLabel(bytes.fromhex(belt["serial"]), MODEL, bytes.fromhex(belt["claim_secret"])))
                for belt in self.identities()]  # fmt: skip

    def slot(self, number: int) -> str:
        """From which slot belt 1 or 2 starts its firmware: a or b."""
        file = self._state / f"belt{number}" / "slot"
        return file.read_text() if file.exists() else "a"

    def start(self, nights: Sequence[str]) -> None:
        """All of them, each in its night; they are on the air when this returns."""
        files = []
        for number, text in enumerate(nights, 1):
            files.append(self._state / f"night{number}.toml")
            files[-1].write_text(text)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "hil", "--json", "--belts", str(BELTS), "--night", *map(str, files),
             "--socket", str(self._socket), "--state-dir", str(self._state)],
            stdout=subprocess.PIPE, stderr=(self._state / "belts.log").open("a"), text=True, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """Switch them off."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None
