"""The watchdog is fed only when every task has reported since it was last fed: one stuck task restarts the belt."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WATCHDOG_MS = 8000  # RP2 can count 8388 at most


class Supervisor:
    """beat(task) from each task; `feed` is the watchdog's."""

    def __init__(self, tasks: int, feed: "Callable[[], None]") -> None:
        self._all = (1 << tasks) - 1
        self._reported = 0
        self._feed = feed

    def beat(self, task: int) -> None:
        """Task number `task` (0..tasks-1) has done its work once more."""
        self._reported |= 1 << task
        if self._reported == self._all:
            self._reported = 0
            self._feed()
