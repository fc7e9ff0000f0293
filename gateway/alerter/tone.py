"""The alarm tone through the machine's sound system: bursts by priority, each played by its own short process.

A player that hangs is killed after its burst's time; a change of the alarm kills it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from gateway.alerter.signal import Signal
from gateway.cores.tone import PATTERNS, burst_wav

__all__ = ["TonePlayer"]

STARTED_S = 0.3
GRACE_S = 3.0
KILLED_S = 1.0
ERROR_CHARS = 200


class TonePlayer:
    """`command` plays a WAV file from its standard input; `on_trouble` is told of bursts that fail, "" when mended."""

    def __init__(self, command: Sequence[str], volume_percent: int = 100) -> None:
        self._command = list(command)
        self._volume_percent = volume_percent
        self._sound = ""
        self._playing: asyncio.Task[None] | None = None
        self._trouble = ""
        self.on_trouble: Callable[[str], None] = lambda error: None

    async def show(self, signal: Signal) -> None:
        """Sound as the signal says, until the next; OSError if the player does not start."""
        if signal.sound == self._sound and (not signal.sound or self._alive()):
            return
        await self._stop()
        if signal.sound:
            self._playing = asyncio.create_task(self._repeat(signal.sound))
            await asyncio.wait({self._playing}, timeout=STARTED_S)
            if self._playing.done():
                self._playing.result()
        self._sound = signal.sound

    async def test(self) -> None:
        """One burst of the lowest priority; OSError if the player fails."""
        await self._burst("low")

    def close(self) -> None:
        """Silence."""
        if self._playing is not None:
            self._playing.cancel()

    def _alive(self) -> bool:
        return self._playing is not None and not self._playing.done()

    async def _stop(self) -> None:
        self._sound = ""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait({self._playing}, timeout=KILLED_S)
            self._playing = None

    async def _repeat(self, priority: str) -> None:
        """Burst after burst; the first must work, a later one that fails is told and tried again at its next time."""
        await self._burst(priority)
        while True:
            await asyncio.sleep(PATTERNS[priority].pause_s)
            try:
                await self._burst(priority)
                error = ""
            except OSError as failure:
                error = str(failure)
            if error != self._trouble:
                self._trouble = error
                self.on_trouble(error)

    async def _burst(self, priority: str) -> None:
        name = self._command[0]
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=nowhere, stderr=pipe)
        except OSError as error:
            raise OSError(f"{name}: {error.strerror}; install it (aplay: alsa-utils) or set alerter.tone") from error
        try:
            async with asyncio.timeout(PATTERNS[priority].burst_s + GRACE_S):
                _, said = await process.communicate(burst_wav(priority, self._volume_percent))
        except TimeoutError:
            raise OSError(f"{name} did not end") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                # Bounded: a player stuck in its driver cannot be waited for.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KILLED_S):
                        await process.wait()
        if process.returncode:
            text = said.decode("utf-8", "replace").strip()[:ERROR_CHARS]
            raise OSError(f"{name}: exit code {process.returncode}: {text}")
