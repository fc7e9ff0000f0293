"""provision_air: what belts said is remembered as far as a survey reaches, in memory that does not grow."""

from __future__ import annotations

import tracemalloc

from gateway.provision_air import AIR_MAX, Voices
from gateway.provision_ops import SURVEY_S_MAX
from gateway.radio import BeaconHeard, Heard
from protocol.messages import beacon_from
from protocol.wire import frames
from tests.gateway.cores.belt_talk import report

BELT = bytes(8)
FIRST_MS = 8_640_000_000
FIRST_COUNTER = 4_000_000_000


def speak(voices: Voices, seconds: range, rssi_dbm: int | None = -61, flags: int = 0) -> None:
    """A report and a beacon in each of these seconds."""
    for second in seconds:
        at_ms = FIRST_MS + 1000 * second
        content = beacon_from((frames.OCCUPIED, 0, 0, 100, 0, 60, 28, 12, 12, 90, 7, 0, 3, flags))
        voices.heard(Heard(BELT, at_ms, report(second, "occupied", second)))
        voices.heard(BeaconHeard(BELT, at_ms, FIRST_COUNTER + second, content, rssi_dbm))


def test_the_longest_survey_finds_every_second() -> None:
    voices = Voices()
    speak(voices, range(3 * SURVEY_S_MAX))
    from_ms, now_ms = (FIRST_MS + 1000 * (n * SURVEY_S_MAX - 1) for n in (2, 3))
    found = voices.surveyed(BELT, from_ms, now_ms)
    assert (found.heard_share, found.rssi_dbm_median, found.verdict) == (1.0, -61.0, "good")


def test_what_was_not_heard_lowers_the_share() -> None:
    voices = Voices()
    speak(voices, range(0, 120, 2))
    assert 0.49 <= voices.surveyed(BELT, FIRST_MS - 1000, FIRST_MS + 119_000).heard_share <= 0.51


def test_a_belt_that_was_bound_a_moment_ago_is_surveyed_since_then() -> None:
    voices = Voices()
    speak(voices, range(100, 120))
    found = voices.surveyed(BELT, FIRST_MS + 59_000, FIRST_MS + 119_000)
    assert (round(found.seconds), found.heard_share, found.verdict) == (20, 1.0, "good")
    # Two seconds show nothing, and one that fell silent after it was bound is lossy.
    assert voices.surveyed(BELT, FIRST_MS + 41_000, FIRST_MS + 101_000).seconds == 10
    assert voices.surveyed(BELT, FIRST_MS + 99_000, FIRST_MS + 159_000).verdict == "lossy"


def test_beacons_of_unknown_strength_count_as_heard() -> None:
    voices = Voices()
    speak(voices, range(60), rssi_dbm=None)
    found = voices.surveyed(BELT, FIRST_MS - 1000, FIRST_MS + 59_000)
    assert (found.heard_share, found.rssi_dbm_median) == (1.0, None)


def test_the_newest_word_stands_whole() -> None:
    voices = Voices()
    speak(voices, range(AIR_MAX))
    said = voices.newest(BELT)
    assert said is not None
    assert (said.kind, said.number, said.occupancy) == ("beacon", FIRST_COUNTER + AIR_MAX - 1, "occupied")
    assert voices.newest(b"another!") is None


def test_a_belt_that_is_pressed_reacts() -> None:
    voices = Voices()
    speak(voices, range(40))
    assert voices.reacting([BELT], FIRST_MS + 40_000) == []
    speak(voices, range(40, 42), flags=frames.FLAG_MOVING)
    assert voices.reacting([BELT], FIRST_MS + 39_500) == [BELT]


def test_memory_is_taken_once_and_never_grows() -> None:
    voices = Voices()
    speak(voices, range(2))
    tracemalloc.start()
    speak(voices, range(2, 3 * AIR_MAX))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 2_000
