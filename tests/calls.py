"""How many function calls some work makes: a cost that no other load on the machine changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["counted_calls"]


@contextmanager
def counted_calls() -> Iterator[Callable[[], int]]:
    """Counts the calls of Python functions, and resumptions of coroutines, on this thread while it is open."""
    calls = 0

    def called(_: FrameType, what: str, __: Any) -> None:
        nonlocal calls
        calls += what == "call"

    sys.setprofile(called)
    try:
        yield lambda: calls
    finally:
        sys.setprofile(None)
