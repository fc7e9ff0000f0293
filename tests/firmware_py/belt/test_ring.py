"""The record ring: nothing written is lost to a power cut, sequence numbers never come twice."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.belt.ring import IOCTL_ERASE, RING_BYTES, FlashError, Ring
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


class Operation:
    """One program or erase of a life, with the flash before it and what had been promised by then."""

    def __init__(self, life: Life, sector: int, at: int, data: bytes | None) -> None:
        self.before = bytes(life.flash.data)
        self.start, self.data = sector * SECTOR_BYTES + at, data
        self.finished, self.acked = len(life.bodies), life.acked

    def torn(self) -> Iterator[bytearray]:
        """The flash as each way of failing in this operation leaves it."""
        if self.data is None:
            for first, last in ((0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (2, 4), (3, 4)):
                content = bytearray(self.before)
                quarter = SECTOR_BYTES // 4
                content[self.start + first * quarter : self.start + last * quarter] = b"\xff" * (last - first) * quarter
                yield content
            return
        changing = [i for i, byte in enumerate(self.data) if byte != 0xFF]
        for done in {0, 1, len(changing) // 2, len(changing) - 1, len(changing)}:
            for order in (changing, changing[::-1]):
                content = bytearray(self.before)
                for i in order[:done]:
                    content[self.start + i] &= self.data[i]
                yield content


class Life(NorFlash):
    """A ring through its laps: appends, acks and erases ahead; every flash operation of it is kept."""

    def __init__(self, sectors: int) -> None:
        super().__init__(sectors)
        self.flash = self
        self.bodies: list[bytes] = []
        self.acked = 0
        self.operations: list[Operation] = []

    def writeblocks(self, block: int, buf: bytes | bytearray, offset: int) -> None:
        self.operations.append(Operation(self, block, offset, bytes(buf)))
        super().writeblocks(block, buf, offset)

    def ioctl(self, operation: int, argument: int) -> int | None:
        if operation == IOCTL_ERASE:
            self.operations.append(Operation(self, argument, 0, None))
        return super().ioctl(operation, argument)

    def live(self, laps: int) -> Ring:
        noise = Random(4)
        ring = Ring(self)
        while len(self.bodies) < laps * self.sectors * SLOTS:
            body = noise.randbytes(noise.randrange(25))
            assert ring.append(3, 1000 * len(self.bodies), 1, body) == len(self.bodies) + 1
            self.bodies.append(body)
            # Now and then the gateway is away, never for longer than the ring holds.
            if noise.random() < 0.05 or len(self.bodies) - self.acked > ring.capacity - SLOTS:
                ring.ack(len(self.bodies))
                self.acked = len(self.bodies)
            if noise.random() < 0.1:
                ring.prepare()
        return ring


def test_a_power_cut_at_every_flash_operation_of_three_laps_loses_nothing_that_was_not_acknowledged() -> None:
    life = Life(sectors=3)
    ring = life.live(laps=3)
    assert not ring.overrun
    cuts = 0
    for operation in life.operations:
        for content in operation.torn():
            cuts += 1
            flash = NorFlash(3)
            flash.data = content
            again = Ring(flash)
            assert operation.finished <= again.record_seq <= operation.finished + 1
            assert again.acked_seq <= operation.acked
            for seq in range(operation.acked + 1, operation.finished + 1):
                assert again.read(seq) == (3, 1000 * (seq - 1), 1, life.bodies[seq - 1])
            following = again.append(4, 0, 2, b"after")
            assert following == again.record_seq > operation.finished
            assert again.read(following) == (4, 0, 2, b"after")
    erases = sum(operation.data is None for operation in life.operations)
    assert (len(life.operations) - erases, erases) == (3 * 3 * SLOTS, 10)  # the last erase was ahead
    assert cuts >= 5000
