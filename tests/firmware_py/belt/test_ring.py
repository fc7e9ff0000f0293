"""The record ring: nothing written is lost to a power cut, sequence numbers never come twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.belt.ring import RING_BYTES, FlashError, Ring
from tests.firmware_py.belt.nor_flash import SECTOR_BYTES, NorFlash, PowerCutError

SLOTS = SECTOR_BYTES // 64


def _fill(ring: Ring, count: int) -> None:
    for i in range(count):
        ring.append(7, 1000 * i, 1, bytes([i % 256] * 24))


def test_a_record_is_read_as_it_was_written() -> None:
    ring = Ring(NorFlash())
    seq = ring.append(3, 1 << 40, 2, b"body")
    assert ring.read(seq) == (3, 1 << 40, 2, b"body")


def test_records_and_sequence_survive_a_restart() -> None:
    flash = NorFlash()
    _fill(Ring(flash), 100)
    ring = Ring(flash)
    assert ring.record_seq == 100
    assert ring.read(100) == (7, 99_000, 1, bytes([99] * 24))
    assert ring.append(8, 0, 1, b"") == 101


def test_the_ring_remembers_the_last_boot() -> None:
    flash = NorFlash()
    Ring(flash).append(41, 0, 1, b"")
    assert Ring(flash).last_boot_id == 41


def test_an_empty_ring_has_nothing_to_offer() -> None:
    ring = Ring(NorFlash())
    assert (ring.record_seq, ring.oldest_seq, ring.read(1)) == (0, 1, None)


def test_a_full_ring_drops_its_oldest_sector_and_says_so() -> None:
    ring = Ring(NorFlash(sectors=3))
    _fill(ring, 3 * SLOTS)
    assert not ring.overrun
    _fill(ring, 1)
    assert ring.overrun
    assert ring.first_held_seq == SLOTS + 1
    assert ring.read(SLOTS) is None
    assert ring.read(SLOTS + 1) is not None


def test_acknowledged_records_are_overwritten_without_complaint() -> None:
    ring = Ring(NorFlash(sectors=3))
    _fill(ring, 3 * SLOTS)
    ring.ack(SLOTS)
    _fill(ring, 1)
    assert not ring.overrun


def test_an_ack_moves_what_is_offered_and_survives_with_the_next_record() -> None:
    flash = NorFlash()
    ring = Ring(flash)
    _fill(ring, 10)
    ring.ack(6)
    assert ring.oldest_seq == 7
    _fill(ring, 1)
    assert Ring(flash).oldest_seq == 7


@pytest.mark.parametrize("seq", [0, 11, 0xFFFFFFFF])
def test_an_ack_of_what_was_never_written_is_ignored(seq: int) -> None:
    ring = Ring(NorFlash())
    _fill(ring, 10)
    ring.ack(seq)
    assert ring.oldest_seq == 1


@pytest.mark.parametrize("before", [0, 3, SLOTS - 1, SLOTS, 2 * SLOTS, 3 * SLOTS])
def test_a_power_cut_at_any_step_loses_no_finished_record(before: int) -> None:
    steps = 0
    while True:
        flash = NorFlash(sectors=3)
        ring = Ring(flash)
        _fill(ring, before)
        held = ring.first_held_seq
        flash.steps_left = steps
        try:
            ring.append(9, 5, 2, b"\x00" * 24)
        except PowerCutError:
            done = False
        else:
            done = True
        flash.steps_left = None
        again = Ring(flash)
        # A cut while the oldest sector is erased for room may take records of that sector only.
        lost_to_room = SLOTS if before == 3 * SLOTS else 0
        for seq in range(held + lost_to_room, before + 1):
            assert again.read(seq) == (7, 1000 * (seq - 1), 1, bytes([(seq - 1) % 256] * 24)), (steps, seq)
        assert again.record_seq in ((before + 1,) if done else (before, before + 1))
        following = again.record_seq + 1
        assert again.append(9, 6, 2, b"after") == following
        assert Ring(flash).read(following) == (9, 6, 2, b"after")
        if done:
            return
        steps += 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_repeated_power_cuts_never_repeat_a_sequence_number(cuts: list[int]) -> None:
    flash = NorFlash(sectors=2)
    finished: list[int] = []
    for cut in cuts:
        flash.steps_left = cut
        try:
            ring = Ring(flash)
            while True:
                finished.append(ring.append(1, len(finished), 1, b"x"))
        except PowerCutError:
            pass
    assert finished == sorted(set(finished))


def test_erasing_ahead_saves_the_erase_from_the_next_append() -> None:
    flash = NorFlash(sectors=3)
    ring = Ring(flash)
    _fill(ring, SLOTS)
    ring.prepare()
    flash.steps_left = 64  # enough for one record, not for an erase and a record
    _fill(ring, 1)
    assert ring.record_seq == SLOTS + 1


def test_a_worn_slot_is_passed_over() -> None:
    flash = NorFlash()
    ring = Ring(flash)
    flash.dead = set(range(64, 128))  # the second slot
    _fill(ring, 3)
    assert ring.bad_slots == 1
    assert [ring.read(seq) is not None for seq in (1, 2, 3)] == [True, True, True]
    assert Ring(flash).record_seq == 3


def test_a_dead_flash_is_an_error_that_names_itself() -> None:
    flash = NorFlash()
    flash.dead = set(range(len(flash.data)))
    with pytest.raises(FlashError):
        Ring(flash).append(1, 1, 1, b"")


def test_the_boards_hold_twelve_hours_of_minutes_and_as_many_events() -> None:
    assert Ring(NorFlash(sectors=RING_BYTES // SECTOR_BYTES)).capacity >= 2 * 12 * 60
