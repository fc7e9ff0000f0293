"""Bumble's host without its defect: a cancelled HCI command leaves its answer to be taken for that of the next one."""

from __future__ import annotations

import asyncio
from typing import Any

from bumble.host import Host

__all__ = ["SteadyHost"]

ANSWER_TIMEOUT_S = 10.0  # of a controller that has locked up; a later answer is then nobody's


class SteadyHost(Host):
    """Whoever waits for a command may be cancelled; the command itself is finished all the same.

    Bumble 0.0.236 frees its one place for a command when the waiting task is cancelled. The answer, still under way,
    then ends the next command with a wrong result, and the answer to that one frees the place a second time: two
    commands at once, and `assert self.pending_command is None` ends whoever sent the second.
    """

    async def _send_command(self, command: Any, response_timeout: float | None = None) -> Any:
        sent = asyncio.ensure_future(super()._send_command(command, response_timeout or ANSWER_TIMEOUT_S))
        # Retrieved here, in case nobody waits any more.
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(sent)
