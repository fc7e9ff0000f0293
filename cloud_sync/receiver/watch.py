"""When a bed was not watched, and why: stretches from what gateways say, seconds by reason from stretches. Pure."""

from collections.abc import Iterable, Sequence

from cloud_sync.receiver.people import WatchSpan
from protocol.batch import LiveSnapshot

__all__ = ["WatchLog", "seconds_by_reason"]

JOIN_MS_MAX = 60_000  # snapshots further apart say nothing about the time between them
SPANS_WAITING_MAX = 10_000

Stretch = tuple[int, int]  # [from, to), UTC ms


class WatchLog:
    """Turns snapshots into stretches; `take` gives those known so far, running ones as far as they reach."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[str, int]] = {}  # bed -> (reason, "" if watched; when said)
        self._spans: list[WatchSpan] = []

    def hear(self, snapshot: LiveSnapshot) -> None:
        """A gateway describes its beds; a reason holds from one snapshot to the next one soon after it."""
        if not snapshot.trusted:
            return
        for bed in snapshot.beds:
            key = (snapshot.gateway, bed.bed)
            reason, since_ms = self._said.get(key, ("", 0))
            if reason and 0 < snapshot.utc_ms - since_ms <= JOIN_MS_MAX:
                self._extend(WatchSpan(*key, reason, since_ms, snapshot.utc_ms))
            self._said[key] = ("" if bed.watched else bed.why_unwatched or "unknown", snapshot.utc_ms)

    def _extend(self, span: WatchSpan) -> None:
        for index in range(len(self._spans) - 1, max(-1, len(self._spans) - 65), -1):
            old = self._spans[index]
            if (old.gateway, old.bed, old.reason, old.to_utc_ms) == (
                span.gateway, span.bed, span.reason, span.from_utc_ms,
            ):  # fmt: skip
                self._spans[index] = WatchSpan(old.gateway, old.bed, old.reason, old.from_utc_ms, span.to_utc_ms)
                return
        if len(self._spans) < SPANS_WAITING_MAX:
            self._spans.append(span)

    def take(self) -> Sequence[WatchSpan]:
        """The stretches since the last call."""
        spans, self._spans = self._spans, []
        return spans


def seconds_by_reason(
    told: Iterable[tuple[str, Stretch]], silent: Iterable[Stretch], period: Stretch
) -> dict[str, int]:
    """Seconds of `period` by reason: what gateways told comes first; else `no_record`, where nothing was received."""
    taken: list[Stretch] = []
    found: dict[str, int] = {}
    for reason, stretch in [*told, *(("no_record", stretch) for stretch in silent)]:
        start, end = max(stretch[0], period[0]), min(stretch[1], period[1])
        left_ms = sum(b - a for a, b in _without((start, end), taken)) if end > start else 0
        if left_ms:
            found[reason] = found.get(reason, 0) + left_ms
            taken = _union([*taken, (start, end)])
    return {reason: ms // 1000 for reason, ms in found.items() if ms >= 1000}


def _without(stretch: Stretch, taken: Sequence[Stretch]) -> list[Stretch]:
    rest = [stretch]
    for start, end in taken:
        rest = [piece for a, b in rest for piece in ((a, min(b, start)), (max(a, end), b)) if piece[1] > piece[0]]
    return rest


def _union(stretches: Iterable[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
