"""tone player: one process a burst, killed at a change, told when it fails."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.alerter.signal import QUIET, Signal
from gateway.alerter.tone import TonePlayer
from gateway.cores.tone import burst_wav

HIGH = Signal("high", "high", False, ("A",))
MEDIUM = Signal("medium", "medium", False, ("A",))


def program(text: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys, time\n{text}", *arguments]


def keeps(folder: Path) -> list[str]:
    """A player that plays into files, one for each burst."""
    return program("open(os.path.join(sys.argv[1], str(time.time_ns())), 'wb').write(sys.stdin.buffer.read())",
                   str(folder))  # fmt: skip


@asynccontextmanager
async def closing(player: TonePlayer) -> AsyncIterator[TonePlayer]:
    try:
        yield player
    finally:
        await player.show(QUIET)
        player.close()


async def until(wanted: Callable[[], bool]) -> None:
    for _ in range(1000):
        if wanted():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


def hangs(pid_file: Path) -> list[str]:
    """A player that writes down which process it is, and plays for ever."""
    return program("open(sys.argv[1], 'w').write(str(os.getpid()))\ntime.sleep(60)", str(pid_file))


def place(pid_file: Path) -> Path:
    """The player's place in /proc; of no process, as long as it has not started."""
    return Path("/proc") / (pid_file.read_text() if pid_file.exists() else "none")


async def started(pid_file: Path) -> Path:
    await until(lambda: place(pid_file).name.isdigit())
    return place(pid_file)


async def test_a_burst_of_the_alarms_priority_is_played(tmp_path: Path) -> None:
    async with closing(TonePlayer(keeps(tmp_path))) as player:
        await player.show(HIGH)
        await until(lambda: [file.read_bytes() for file in tmp_path.iterdir()] == [burst_wav("high")])


async def test_a_change_kills_the_burst_that_plays(tmp_path: Path) -> None:
    async with closing(TonePlayer(hangs(tmp_path / "pid"))) as player:
        await player.show(HIGH)
        process = await started(tmp_path / "pid")
        await player.show(QUIET)
        assert not process.exists()


async def test_the_same_sound_for_another_bed_goes_on(tmp_path: Path) -> None:
    async with closing(TonePlayer(hangs(tmp_path / "pid"))) as player:
        await player.show(MEDIUM)
        process = await started(tmp_path / "pid")
        await player.show(Signal("medium", "medium", False, ("A", "B")))
        assert process.exists()


async def test_a_player_that_fails_says_why() -> None:
    async with closing(TonePlayer(program("sys.exit('no such device')"))) as player:
        with pytest.raises(OSError, match="exit code 1: no such device"):
            await player.test()


async def test_a_player_that_is_not_installed_is_named() -> None:
    async with closing(TonePlayer(["no-such-player"])) as player:
        with pytest.raises(OSError, match="no-such-player: No such file or directory; install it"):
            await player.show(HIGH)


async def test_quiet_without_a_sound_before_starts_nothing() -> None:
    async with closing(TonePlayer(["no-such-player"])) as player:
        await player.show(QUIET)
