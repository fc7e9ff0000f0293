"""The whole belt on a board that exists in memory: what it records, reports and advertises as time passes."""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from firmware_py.belt import fault
from firmware_py.belt.app import (
    FAULT_CONFIG_DAMAGED,
    FAULT_CRASHED,
    FAULT_FLASH,
    FAULT_HUNG,
    FAULT_SAMPLES_LOST,
    RESET_WATCHDOG,
    Belt,
)
from firmware_py.belt.radio import CENTRAL_CONNECT, CENTRAL_DISCONNECT, GATTS_WRITE
from firmware_py.belt.services import FLAG_NOTIFY, services
from gateway.aes import aes
from hil.synth import Synth, load
from protocol.wire import beacon, fragments, frames, gatt, session
from tests.firmware_py.belt.nor_flash import NorFlash

if TYPE_CHECKING:
    from firmware_py.belt.sampler import Sensor

SERIAL = bytes(range(8))
KEY = bytes(range(16))
TICKS_PERIOD = 1 << 30


class Rebooted(Exception):
    """The firmware asked for a reset."""


class Ble:
    """The stack: keeps the table, the last advertisement and what was notified."""

    def __init__(self) -> None:
        self.advertisement: dict[str, Any] = {}
        self.notified: list[bytes] = []
        self.written = b""
        self.handler: Callable[[int, tuple[Any, ...]], None] = lambda event, data: None
        self.hung_up: list[int] = []
        self.measurements: list[bytes] = []
        self.readable: dict[int, bytes] = {}
        self.services: list[tuple[int, ...]] = []

    def active(self, on: bool) -> None: ...
    def config(self, **values: Any) -> None: ...
    def gatts_set_buffer(self, handle: int, length: int) -> None: ...
    def gatts_write(self, handle: int, value: bytes) -> None:
        self.readable[handle] = value

    def irq(self, handler: Callable[[int, tuple[Any, ...]], None]) -> None:
        self.handler = handler

    def gatts_register_services(self, services: Any) -> Any:
        handles = iter(range(1, 100))
        self.services = [tuple(next(handles) for _ in rows) for _, rows in services]
        return tuple(self.services)

    def gatts_read(self, handle: int) -> bytes:
        return self.written

    def gatts_notify(self, connection: int, handle: int, value: bytes) -> None:
        if handle == 2:
            self.notified.append(value)
        else:
            self.measurements.append(value)

    def gap_advertise(self, interval_us: int, **values: Any) -> None:
        self.advertised_us = interval_us
        self.advertisement = values

    def gap_disconnect(self, connection: int) -> None:
        self.hung_up.append(connection)

    def write(self, value: bytes) -> None:
        self.written = value
        self.handler(GATTS_WRITE, (0, 1))


class BoardInMemory:
    """A board whose time passes when the firmware idles; also its own block sensor."""

    model = 0
    reset_cause = 1
    noted = -1
    rate_hz = 50
    bits = 10

    def __init__(self, directory: Path, ticks: int = 0, flash: NorFlash | None = None) -> None:
        if not (directory / "identity.json").exists():
            identity = {"serial": SERIAL.hex(), "claim_secret": KEY.hex()}
            (directory / "identity.json").write_text(json.dumps(identity))
        self.config_directory = self.slots_directory = str(directory)
        self.flash = flash or NorFlash(sectors=8)
        self.sensor = self
        self.load: Sensor | None = None
        self.ble = Ble()
        self.uuid = str
        self.now_ms = 0
        self.fed = 0
        self.note_kept = -1
        self.first_index = 0
        self.gap = 0
        self._next = 0
        self._ticks = ticks
        self._samples = Synth(load("short_exit"), rate_hz=self.rate_hz)

    def ticks_ms(self) -> int:
        return (self._ticks + self.now_ms) % TICKS_PERIOD

    def aes(self, key: bytes) -> Callable[[bytes], bytes]:
        return aes(key)

    def idle(self, ms: int) -> None:
        self.now_ms += ms

    def feed_watchdog(self) -> None:
        self.fed += 1

    def note(self, tasks: int) -> None:
        self.note_kept = tasks

    def battery_percent(self) -> int:
        return 0xFE

    def identify(self, seconds: int) -> None: ...

    def self_test(self) -> int:
        return 0

    def reset(self) -> None:
        raise Rebooted

    def start(self) -> None: ...

    def read_into(self, buf: array[int]) -> int:
        due = self.now_ms * self.rate_hz // 1000
        if due - self._next < len(buf):
            return 0
        self.first_index = self._next
        block = self._samples.block(self.first_index, len(buf))
        for i, count in enumerate(np.asarray(block).tolist()):
            buf[i] = count
        self._next += len(buf)
        return len(buf)


def _run(belt: Belt, board: BoardInMemory, seconds: int) -> None:
    end = board.now_ms + seconds * 1000
    while board.now_ms < end:
        belt.step()
    belt.step()


def _records(belt: Belt) -> list[tuple[int, int, bytes]]:
    """(kind, uptime_ms, body) of all records held."""
    found = [belt.ring.read(seq) for seq in range(1, belt.ring.record_seq + 1)]
    return [(record[2], record[1], record[3]) for record in found if record is not None]


def _beacon(board: BoardInMemory, above: int = 0) -> tuple[int, tuple[int, ...]]:
    payload = board.ble.advertisement["adv_data"]
    opened = beacon.unseal(aes(session.beacon_key(aes, KEY)), SERIAL, above, payload[7:])
    assert opened is not None
    return opened


@pytest.fixture
def board(tmp_path: Path) -> BoardInMemory:
    return BoardInMemory(tmp_path)


def test_a_boot_is_the_first_record(board: BoardInMemory) -> None:
    ((kind, _, body),) = _records(Belt(board))
    assert (kind, frames.decode_record(kind, body)) == (frames.RECORD_BOOT, (1, 0, 1, 0))


def test_damaged_settings_are_a_recorded_fault(tmp_path: Path, board: BoardInMemory) -> None:
    (tmp_path / "config.json").write_text("broken")
    kinds = [(kind, body[0]) for kind, _, body in _records(Belt(board))]
    assert (frames.RECORD_FAULT, FAULT_CONFIG_DAMAGED) in kinds


def test_a_belt_advertises_before_its_first_second_is_over(board: BoardInMemory) -> None:
    Belt(board)
    assert board.ble.advertisement["connectable"]
    assert _beacon(board)[1][0] == frames.UNCLEAR


def test_the_beacon_counter_advances_once_a_second(board: BoardInMemory) -> None:
    belt = Belt(board)
    before = _beacon(board)[0]
    _run(belt, board, 10)
    assert _beacon(board)[0] == before + 10


def test_every_sixty_seconds_make_a_minute_record(board: BoardInMemory) -> None:
    belt = Belt(board)
    _run(belt, board, 121)
    minutes = [(uptime_ms, body) for kind, uptime_ms, body in _records(belt) if kind == frames.RECORD_MINUTE]
    assert [uptime_ms for uptime_ms, _ in minutes] == [60_000, 120_000]
    for _, body in minutes:
        fields = frames.decode_record(frames.RECORD_MINUTE, body)
        assert fields is not None
        assert sum(fields[:3]) == 60


def test_an_exit_and_a_return_are_recorded_with_their_times(board: BoardInMemory) -> None:
    belt = Belt(board)
    _run(belt, board, 330)
    changes = [frames.decode_record(kind, body) for kind, _, body in _records(belt) if kind == frames.RECORD_OCCUPANCY]
    states = [fields[1] for fields in changes if fields is not None]
    assert states[-3:] == [frames.OCCUPIED, frames.EMPTY, frames.OCCUPIED]
    ((_, _, absence),) = [record for record in _records(belt) if record[0] == frames.RECORD_ABSENCE]
    ended_ms, duration_s = struct.unpack("<QI", absence)
    assert abs(duration_s - 120) <= 15
    assert abs(ended_ms - 270_000) <= 15_000


def _faults(belt: Belt) -> list[tuple[int, ...]]:
    found = [frames.decode_record(kind, body) for kind, _, body in _records(belt) if kind == frames.RECORD_FAULT]
    return [fault for fault in found if fault is not None]


def test_a_hang_is_a_recorded_fault_of_the_next_run(board: BoardInMemory) -> None:
    belt = Belt(board)
    board.read_into = lambda buf: 0  # type: ignore[method-assign]
    _run(belt, board, 1)
    again = BoardInMemory(Path(board.config_directory), flash=board.flash)
    again.reset_cause, again.noted = RESET_WATCHDOG, board.note_kept
    assert _faults(Belt(again)) == [(FAULT_HUNG, 0b001)]  # the radio's loop had reported, the samples had not


def test_a_crash_is_a_recorded_fault_once(tmp_path: Path, board: BoardInMemory) -> None:
    fault.keep(str(tmp_path), RuntimeError('of a kind: File "app.py", line 217, in step'), 1_790_000_000_000)
    board.reset_cause, board.noted = RESET_WATCHDOG, 3
    assert _faults(Belt(board)) == [(FAULT_CRASHED, 217)]
    assert (tmp_path / "last_crash.txt").read_text().startswith("utc_ms 1790000000000\nRuntimeError")
    again = BoardInMemory(tmp_path)
    again.reset_cause = RESET_WATCHDOG
    assert _faults(Belt(again)) == []


def _flags(belt: Belt) -> int:
    decoded = frames.decode(belt.report())
    assert decoded is not None
    values = decoded[1]
    assert values is not None
    return int(values[-1])


def test_slots_that_hold_nothing_are_a_fault_each_time_there_are_more(board: BoardInMemory) -> None:
    belt = Belt(board)
    board.flash.dead = set(range(64, 3 * 64))  # the second and third slot
    _run(belt, board, 121)
    assert _faults(belt) == [(FAULT_FLASH, 2)]
    assert not _flags(belt) & frames.FLAG_RING_OVERRUN


def test_a_flash_that_takes_nothing_any_more_is_told_in_the_report(board: BoardInMemory) -> None:
    belt = Belt(board)
    board.flash.dead = set(range(len(board.flash.data)))
    _run(belt, board, 70)
    assert _flags(belt) & frames.FLAG_RING_OVERRUN
    board.flash.dead = set()
    _run(belt, board, 60)
    (told,) = _faults(belt)
    assert told[0] == FAULT_FLASH


def test_a_belt_whose_settings_cannot_be_written_starts_measures_and_tells(
    tmp_path: Path, board: BoardInMemory
) -> None:
    """A restart would find the same flash: it would go on for ever."""
    first = Belt(board)
    _run(first, board, 3)
    (tmp_path / "config.tmp").mkdir()
    again = BoardInMemory(tmp_path, flash=board.flash)
    belt = Belt(again)
    assert belt.boot_id > first.boot_id
    _run(belt, again, 61)
    assert frames.RECORD_MINUTE in [kind for kind, _, _ in _records(belt)]
    assert FAULT_FLASH in [fault[0] for fault in _faults(belt)]
    assert again.fed >= 60


@pytest.mark.parametrize(("lost", "faults"), [(49, []), (50, [(FAULT_SAMPLES_LOST, 50)])])
def test_a_second_of_samples_lost_in_a_minute_is_a_fault_once(
    board: BoardInMemory, lost: int, faults: list[tuple[int, int]]
) -> None:
    belt = Belt(board)
    _run(belt, board, 10)
    whole = board.read_into

    def after_a_gap(buf: array[int]) -> int:
        n = whole(buf)
        board.gap = lost if n else 0
        if n:
            board.read_into = whole_again  # type: ignore[method-assign]
        return n

    def whole_again(buf: array[int]) -> int:
        board.gap = 0
        return whole(buf)

    board.read_into = after_a_gap  # type: ignore[method-assign]
    _run(belt, board, 130)
    assert _faults(belt) == faults


def test_a_restart_on_order_is_no_fault(gateway: Gateway) -> None:
    gateway.handshake()
    gateway.send(frames.COMMAND, (3, frames.CMD_REBOOT, 0))
    with pytest.raises(Rebooted):
        _run(gateway.belt, gateway.board, 1)
    again = BoardInMemory(Path(gateway.board.config_directory))
    again.reset_cause, again.noted = RESET_WATCHDOG, gateway.board.note_kept
    assert _faults(Belt(again)) == []


def test_a_power_cut_is_no_fault(board: BoardInMemory) -> None:
    board.noted = 3
    assert _faults(Belt(board)) == []


def test_the_watchdog_is_fed_once_a_second(board: BoardInMemory) -> None:
    belt = Belt(board)
    _run(belt, board, 20)
    assert 19 <= board.fed <= 21


def test_the_watchdog_is_not_fed_when_the_sensor_stops(board: BoardInMemory) -> None:
    belt = Belt(board)
    _run(belt, board, 5)
    fed = board.fed
    board.read_into = lambda buf: 0  # type: ignore[method-assign]
    _run(belt, board, 10)
    assert board.fed <= fed + 1


def test_uptime_goes_on_through_the_wrap_of_the_ticks(tmp_path: Path) -> None:
    board = BoardInMemory(tmp_path, ticks=TICKS_PERIOD - 10_000)
    belt = Belt(board)
    _run(belt, board, 61)
    assert [uptime_ms for kind, uptime_ms, _ in _records(belt) if kind == frames.RECORD_MINUTE] == [60_000]


def test_records_and_boot_id_go_on_over_a_power_cut(tmp_path: Path) -> None:
    flash = NorFlash(sectors=8)
    board = BoardInMemory(tmp_path, flash=flash)
    first = Belt(board)
    _run(first, board, 61)
    again = Belt(BoardInMemory(tmp_path, flash=flash))
    assert again.boot_id == first.boot_id + 1
    assert again.ring.record_seq == first.ring.record_seq + 1


class Gateway:
    """Writes to the board's stack and opens what was notified."""

    def __init__(self, belt: Belt, board: BoardInMemory) -> None:
        self.belt, self.board = belt, board
        board.ble.handler(CENTRAL_CONNECT, (0, 1, b""))
        self._counter = 0
        self._fragment = 0
        self._up: Any = None
        self._down: Any = None

    def handshake(self) -> Gateway:
        self.plain(frames.HELLO_REQUEST, (bytes(8), bytes(16)))
        ((_, hello, _),) = self.heard()
        script = session.transcript(SERIAL, bytes(8), hello[1], bytes(16))
        up, down = session.session_keys(aes, KEY, script)
        self._up, self._down = aes(up), aes(down)
        self.plain(frames.HELLO_CONFIRM, (session.gateway_proof(aes, KEY, script),))
        return self

    def plain(self, kind: int, values: tuple[Any, ...]) -> None:
        self._write(session.plain_packet(frames.encode(kind, values)))

    def send(self, kind: int, values: tuple[Any, ...], tail: bytes = b"") -> None:
        self._counter += 1
        self._write(session.seal(self._down, self._counter, frames.encode(kind, values, tail)))

    def _write(self, packet: bytes) -> None:
        parts, self._fragment = fragments.split(packet, 20, self._fragment)
        for part in parts:
            self.board.ble.write(part)
        self.belt.step()

    def heard(self) -> list[tuple[int, Any, bytes]]:
        state: Any = fragments.IDLE
        found = []
        for fragment in self.board.ble.notified:
            state, packet = fragments.join(state, fragment)
            if packet is not None:
                plain = packet[0] == session.PLAIN
                found.append(frames.decode(packet[1:] if plain else session.unseal(self._up, 0, packet)[1]))
        self.board.ble.notified.clear()
        return found


@pytest.fixture
def gateway(board: BoardInMemory) -> Gateway:
    return Gateway(Belt(board), board)


def test_a_trial_is_confirmed_by_a_session_and_not_before(tmp_path: Path, board: BoardInMemory) -> None:
    trial = tmp_path / "trial"
    trial.write_text("b1")
    gateway = Gateway(Belt(board), board)
    _run(gateway.belt, gateway.board, 5)
    assert trial.exists()
    gateway.handshake()
    assert not trial.exists()


def test_a_connected_belt_goes_on_advertising_but_takes_no_second_central(gateway: Gateway) -> None:
    gateway.belt.step()
    assert not gateway.board.ble.advertisement["connectable"]


def test_a_belt_is_connectable_again_at_once_after_a_disconnect(gateway: Gateway) -> None:
    gateway.belt.step()
    gateway.board.ble.handler(CENTRAL_DISCONNECT, (0, 1, b""))
    gateway.belt.step()
    assert gateway.board.ble.advertisement["connectable"]


def test_a_report_is_sent_each_second(gateway: Gateway) -> None:
    gateway.handshake().heard()
    _run(gateway.belt, gateway.board, 10)
    uptimes = [values[6] for kind, values, _ in gateway.heard() if kind == frames.REPORT]
    assert len(uptimes) == 10
    assert [after - before for before, after in pairwise(uptimes)] == [1000] * 9


def test_a_longer_report_period_still_tells_a_change_at_once(tmp_path: Path, board: BoardInMemory) -> None:
    gateway = Gateway(Belt(board), board).handshake()
    gateway.send(frames.CONFIGURE, (1, frames.KEY_REPORT_PERIOD_MS, 60_000))
    gateway.heard()
    _run(gateway.belt, board, 60)
    reports = [values for kind, values, _ in gateway.heard() if kind == frames.REPORT]
    assert len(reports) <= 4
    assert any(values[0] == frames.OCCUPIED and values[2] <= 10 for values in reports)


def test_a_record_is_sent_as_it_is_written(gateway: Gateway) -> None:
    gateway.handshake().heard()
    _run(gateway.belt, gateway.board, 61)
    minutes = [values for kind, values, _ in gateway.heard() if kind == frames.RECORD and values[3] == 1]
    assert [values[2] for values in minutes] == [60_000]


def test_a_stranger_who_only_holds_the_connection_is_thrown_out(gateway: Gateway) -> None:
    _run(gateway.belt, gateway.board, 40)
    assert gateway.board.ble.hung_up == [0]


def test_a_gateway_with_a_session_is_not_thrown_out(gateway: Gateway) -> None:
    gateway.handshake()
    _run(gateway.belt, gateway.board, 40)
    assert gateway.board.ble.hung_up == []


def test_the_beacon_is_rarer_while_a_session_tells_the_same(gateway: Gateway) -> None:
    belt, board = gateway.belt, gateway.board
    _run(belt, board, 2)
    assert board.ble.advertised_us == 250_000  # a stranger's connection is no session
    gateway.handshake()
    _run(belt, board, 2)
    assert board.ble.advertised_us == 1_000_000
    gateway.send(frames.CONFIGURE, (4, frames.KEY_ADVERTISE_MS, 2000))
    _run(belt, board, 2)
    assert board.ble.advertised_us == 2_000_000
    board.ble.handler(CENTRAL_DISCONNECT, (0, 1, b""))
    gateway.belt.config.keep(advertise_ms=100)
    belt.step()
    assert board.ble.advertised_us == 100_000


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        (frames.KEY_ADVERTISE_MS, 100, frames.STATUS_DONE),
        (frames.KEY_ADVERTISE_MS, 1, frames.STATUS_OUT_OF_RANGE),
        (frames.KEY_COMPANY_ID, 0x10000, frames.STATUS_OUT_OF_RANGE),
        (99, 1, frames.STATUS_UNKNOWN),
    ],
)
def test_settings_are_checked(gateway: Gateway, key: int, value: int, status: int) -> None:
    gateway.handshake().heard()
    gateway.send(frames.CONFIGURE, (4, key, value))
    assert gateway.heard()[-1][1] == (4, status, value)


def test_a_setting_that_flash_does_not_take_has_failed_and_is_as_before(tmp_path: Path, gateway: Gateway) -> None:
    gateway.handshake().heard()
    (tmp_path / "config.tmp").mkdir()
    gateway.send(frames.CONFIGURE, (4, frames.KEY_ADVERTISE_MS, 100))
    assert gateway.heard()[-1][1] == (4, frames.STATUS_FAILED, 100)
    assert gateway.belt.config.values["advertise_ms"] == 250


def test_raw_capture_streams_the_samples_as_read(gateway: Gateway) -> None:
    gateway.handshake().heard()
    gateway.send(frames.COMMAND, (4, frames.CMD_RAW, 2))
    _run(gateway.belt, gateway.board, 4)
    raw = [(values[1], tail) for kind, values, tail in gateway.heard() if kind == frames.RAW]
    samples = np.frombuffer(b"".join(tail for _, tail in raw), "<i2")
    first = raw[0][0]
    assert 95 <= samples.size <= 105
    assert samples.tolist() == Synth(load("short_exit"), rate_hz=50).block(first, samples.size).tolist()


def test_a_belt_knows_the_time_that_its_gateway_told_it(gateway: Gateway) -> None:
    assert gateway.belt.utc_ms == 0
    gateway.handshake().send(frames.TIME, (1_790_000_000_000, 20))
    _run(gateway.belt, gateway.board, 5)
    assert 5_000 <= gateway.belt.utc_ms - 1_790_000_000_000 <= 5_300


def test_a_reboot_is_answered_before_it_happens(gateway: Gateway) -> None:
    gateway.handshake().heard()
    gateway.send(frames.COMMAND, (4, frames.CMD_REBOOT, 0))
    assert gateway.heard()[-1][0] == frames.RESULT
    with pytest.raises(Rebooted):
        _run(gateway.belt, gateway.board, 2)


def test_a_belt_out_of_service_wipes_what_it_recorded_and_records_no_more(gateway: Gateway) -> None:
    belt = gateway.belt
    _run(belt, gateway.board, 130)
    gateway.handshake()
    assert belt.ring.record_seq > 2
    gateway.send(frames.COMMAND, (9, frames.CMD_DECOMMISSION, 0))
    _run(belt, gateway.board, 2)
    results = [frame[1] for frame in gateway.heard() if frame[0] == frames.RESULT]
    assert [(values[0], values[1]) for values in results] == [(9, frames.STATUS_STARTED), (9, frames.STATUS_DONE)]
    assert results[1][2] == 0
    assert _records(belt) == []
    _run(belt, gateway.board, 130)
    assert _records(belt) == []


def test_a_belt_that_changes_hands_wipes_its_records_and_counts_on_from_their_number(
    gateway: Gateway, board: BoardInMemory
) -> None:
    belt = gateway.belt
    _run(belt, gateway.board, 130)
    gateway.handshake()
    before = belt.ring.record_seq
    gateway.send(frames.COMMAND, (9, frames.CMD_WIPE_RECORDS, 0))
    _run(belt, gateway.board, 2)
    results = [frame[1] for frame in gateway.heard() if frame[0] == frames.RESULT]
    assert results == [(9, frames.STATUS_STARTED, belt.ring.sectors), (9, frames.STATUS_DONE, 0)]
    assert belt.ring.first_held_seq == before + 1
    assert [kind for kind, *_ in _records(belt)] == [frames.RECORD_OCCUPANCY]
    again = Belt(board)
    assert again.ring.record_seq == before + 2  # the power went at once: its boot is the next record


def test_a_wipe_that_the_power_cut_short_is_done_at_the_next_start(tmp_path: Path) -> None:
    flash = NorFlash(sectors=8)
    belt = Belt(BoardInMemory(tmp_path, flash=flash))
    belt.config.set(decommissioned=True)
    board = BoardInMemory(tmp_path, flash=flash)
    belt = Belt(board)
    _run(belt, board, 2)
    assert _records(belt) == []
    assert Belt(BoardInMemory(tmp_path, flash=flash)).ring.record_seq == 0


def test_a_stranger_reads_the_device_information_only(board: BoardInMemory) -> None:
    Belt(board)
    shown = [b"\x10\x00" + SERIAL, b"sleepbelt", b"0", b"0001020304050607", b"0.1.0"]
    assert list(board.ble.readable.values()) == shown
    assert len(board.ble.services) == 2


def test_the_standard_heart_rate_is_exposed_from_the_start_after_the_order(board: BoardInMemory) -> None:
    belt = Belt(board)
    gateway = Gateway(belt, board).handshake()
    gateway.send(frames.COMMAND, (1, frames.CMD_EXPOSE_STANDARD, 1))
    _run(belt, board, 60)
    assert board.ble.measurements == []
    again = Belt(board)
    board.ble.handler(CENTRAL_CONNECT, (0, 1, b""))
    _run(again, board, 60)
    assert board.ble.hung_up == []
    assert board.ble.readable[board.ble.services[3][0]] == bytes([100])  # Battery: mains is full
    flags, rate_bpm = board.ble.measurements[-1]
    assert flags == 0x06
    assert abs(rate_bpm - 62) <= 3


@pytest.mark.parametrize("expose", [False, True])
def test_the_attribute_table_fits_the_smallest_stack(expose: bool) -> None:
    stack_own = ((0x1800, ((0x2A00, 0, False),)), (0x1801, ((0x2A05, 0, True),)))
    # MicroPython registers every characteristic as dynamic: no value takes room in the table.
    table = [(uuid, [(c, 0, bool(flags & FLAG_NOTIFY)) for c, flags in rows]) for uuid, rows in services(expose)]
    assert gatt.table_bytes([*stack_own, *table]) <= gatt.ATTRIBUTE_TABLE_BYTES_MAX


def test_finished_absences_are_told_to_a_new_session_with_their_age(board: BoardInMemory) -> None:
    belt = Belt(board)
    _run(belt, board, 330)
    gateway = Gateway(belt, board).handshake()
    told = [frames.decode_absences(tail) for kind, _, tail in gateway.heard() if kind == frames.ABSENCES]
    (((ended_ago_s, duration_s),),) = told
    assert abs(ended_ago_s - 60) <= 15
    assert abs(duration_s - 120) <= 15
