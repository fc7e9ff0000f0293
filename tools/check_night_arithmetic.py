"""Compare the night report's sleep figures with the package hypnofunk (MIT) over random nights.

    make oracle        in an environment of its own, pinned in requirements/oracle.lock

hypnofunk brings pandas and matplotlib, so it is no dependency of the tests; test_night_brute_force.py compares with a
second implementation of our own. Nights here lie in bed throughout and end asleep, and sleep begins
with ten epochs in a row: outside that the two definitions differ (hypnofunk counts the first sleep epoch as onset and
the wake before the rise as WASO).
"""

from __future__ import annotations

import argparse
import random
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.cores.night import build_report
from gateway.cores.night_facts import Epoch, NightFacts, Presence
from gateway.cores.night_rest import considered_span


def random_stages(rng: random.Random) -> list[bool]:
    """Asleep or not per epoch, 4 to 10 hours."""
    stages = [False] * rng.randrange(120) + [True] * 10
    while len(stages) < rng.randrange(480, 1200):
        stages += [bool(rng.randrange(3))] * rng.choice((1, 3, 9, 10, 40))
    return [*stages, True]


def main() -> int:
    from hypnofunk.core import hypnoman  # type: ignore[import-not-found]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nights", type=int, default=1000)
    nights = parser.parse_args().nights
    rng = random.Random(1)
    day = date(2026, 11, 24)
    start = considered_span(NightFacts("Asia/Shanghai", day, ())).start_utc_s + 10 * 3600
    for number in range(nights):
        stages = random_stages(rng)
        presence = Presence(start, start + 30 * len(stages))
        epochs = tuple(Epoch(start + 30 * i, asleep) for i, asleep in enumerate(stages))
        report = build_report(NightFacts("Asia/Shanghai", day, (presence,), epochs=epochs))
        assert report is not None
        other = hypnoman(["N2" if asleep else "W" for asleep in stages], trim_wake=False).iloc[0]
        ours = (report.total_sleep_s, report.sleep_onset_latency_s, report.wake_after_sleep_onset_s)
        theirs = tuple(round(60 * float(other[name])) for name in ("TST", "SOL", "WASO"))
        efficiency = float(other["Sleep_efficiency"])
        # Half of the last decimal, and a little: an exact half may round either way.
        if ours != theirs or abs((report.sleep_efficiency_percent or 0.0) - efficiency) > 0.0501:
            print(f"night {number}: ours {ours} {report.sleep_efficiency_percent}, hypnofunk {theirs} {efficiency}")
            return 1
    print(f"{nights} random nights: TST, SOL, WASO and sleep efficiency agree with hypnofunk")
    return 0


if __name__ == "__main__":
    sys.exit(main())
