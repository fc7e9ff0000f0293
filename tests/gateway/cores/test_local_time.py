from __future__ import annotations

import pytest

from gateway.cores.local_time import LocalTimeError, local_iso, parse_local, zone_of

BERLIN = zone_of("Europe/Berlin")
SECOND_0210_UTC_S = 1792890600  # 2026-10-25T02:10:00+01:00


def test_a_local_time_is_read_in_its_zone() -> None:
    assert parse_local("2026-11-23T21:30:00", zone_of("Asia/Shanghai")) == 1795440600


@pytest.mark.parametrize("text", ["2026-11-23T21:30", "2026-11-23 21:30:00", "2026-11-23T21:30:00.900"])
def test_seconds_may_be_left_out_and_fractions_are_dropped(text: str) -> None:
    assert parse_local(text, zone_of("Asia/Shanghai")) == 1795440600


def test_an_offset_the_zone_has_is_accepted() -> None:
    assert parse_local("2026-11-23T21:30:00+08:00", zone_of("Asia/Shanghai")) == 1795440600


def test_an_offset_the_zone_does_not_have_is_refused() -> None:
    with pytest.raises(LocalTimeError, match="does not have this offset"):
        parse_local("2026-11-23T21:30:00Z", zone_of("Asia/Shanghai"))


def test_a_time_that_a_clock_change_skips_is_refused() -> None:
    with pytest.raises(LocalTimeError, match="does not exist"):
        parse_local("2026-03-29T02:30:00", BERLIN)


def test_an_ambiguous_time_is_the_second_when_the_first_would_be_too_early() -> None:
    first = parse_local("2026-10-25T02:50:00", BERLIN)
    assert parse_local("2026-10-25T02:10:00", BERLIN, not_before_utc_s=first) == SECOND_0210_UTC_S


def test_an_ambiguous_time_is_printed_with_its_offset() -> None:
    assert local_iso(SECOND_0210_UTC_S, BERLIN) == "2026-10-25T02:10:00+01:00"
    assert local_iso(SECOND_0210_UTC_S - 3600, BERLIN) == "2026-10-25T02:10:00+02:00"


def test_every_other_time_is_printed_without() -> None:
    assert local_iso(SECOND_0210_UTC_S + 3600, BERLIN) == "2026-10-25T03:10:00"


@pytest.mark.parametrize(
    "text", ["", "noon", "2026-13-01T00:00:00", "2026-11-23T24:00:00", "2026-11-23", "9999-12-31T23:00:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(LocalTimeError):
        parse_local(text, BERLIN)


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "Asia", "Europe/Berlin\0"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(LocalTimeError, match="no time zone"):
        zone_of(name)
