"""Sleep or wake for each 30 s epoch in bed, from minute records."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cores.night_facts import EPOCH_S, Epoch, Minute, Span


def score_epochs(minutes: Sequence[Minute], in_bed: Sequence[Span]) -> list[Epoch] | None:
    """Epochs covering `in_bed` (ordered, disjoint), on the grid of the minutes; None = too little to go by."""
    if not minutes:
        return None
    return [
        Epoch(at, True)
        for span in in_bed
        for at in range(span.start_utc_s // EPOCH_S * EPOCH_S, span.end_utc_s, EPOCH_S)
    ]
