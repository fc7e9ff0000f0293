"""The watchdog is fed only when every task has reported since it was last fed: one stuck task restarts the belt."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WATCHDOG_MS = 8000  # RP2 can count 8388 at most


class Supervisor:
    """beat(task) from each task; `feed` is the watchdog's.

    note: called with the tasks (bits) that have reported since the watchdog was fed: what a hang leaves behind.
    """

    def __init__(self, tasks: int, feed: "Callable[[], None]", note: "Callable[[int], None]") -> None:
        self._all = (1 << tasks) - 1
        self._reported = 0
        self._feed = feed
        self._note = note

    def beat(self, task: int) -> None:
        """Task number `task` (0..tasks-1) has done its work once more."""
        reported = self._reported | 1 << task
        if reported == self._reported:
            return
        if reported == self._all:
            reported = 0
            self._feed()
        self._reported = reported
        self._note(reported)
