"""The belt's composition root: board, radio, sampler, records and link in one loop that never waits for any of them."""

import gc
import os
import struct

from protocol.wire import frames, gatt

from .beacon import Beacon
from .calibration import Calibration
from .config import Config
from .link import Link
from .load import Load
from .minute import Minute
from .pipeline import UNITS_BITS, Pipeline
from .radio import CENTRAL_CONNECT, CENTRAL_DISCONNECT, GATTS_WRITE, MTU_EXCHANGED, QUEUE_EVENTS, Radio
from .ring import FlashError, Ring
from .sampler import BLOCKS_PER_S, Sampler
from .services import battery_level, heart_rate_measurement
from .supervisor import Supervisor
from .update import Update
from .uptime import Uptime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .board import Board

VERSION = (0, 1, 0)
MANUFACTURER = b"sleepbelt"
FAULT_CONFIG_DAMAGED, FAULT_SENSOR, FAULT_RING_OVERRUN, FAULT_FLASH, FAULT_SAMPLES_LOST = 1, 2, 3, 4, 5
FAULT_CRASHED, FAULT_HUNG = 6, 7  # value: line of the crash; tasks (bits) that had reported before the hang
RESET_WATCHDOG = 3  # machine.WDT_RESET of every port that a belt runs on
TASK_RADIO, TASK_SAMPLES, TASK_SECOND = 0, 1, 2
TASKS = 3
NOTE_MEANT = 0xFF  # noted before a restart that is none of a hang
BLOCK_MS = 1000 // BLOCKS_PER_S
RESULT_MS = 2 * BLOCK_MS  # in which a RESULT has left before a restart
RAW_S_MAX = 3600
SESSION_ADVERTISE_MS = 1000
IDENTIFY_S_MAX = 60


class Belt:
    """One belt on one board; run() does not return."""

    def __init__(self, board: "Board") -> None:
        self._board = board
        self._uptime = Uptime(board.ticks_ms)
        self.config = Config(board.config_directory)
        self.ring = Ring(board.flash)
        self.boot_id = self.config.begin_boot(self.ring.last_boot_id)
        self._pipeline = Pipeline(bits=UNITS_BITS)
        self._sampler = Sampler(board.sensor, self._pipeline)
        self._minute = Minute()
        info = struct.pack(gatt.INFO_FORMAT, frames.VERSION, board.model, self.config.serial)
        shown = (MANUFACTURER, b"%d" % board.model, gatt.name_of(self.config.serial)[3:], b"%d.%d.%d" % VERSION)
        self._exposed = bool(self.config.values["expose_standard"])
        battery = battery_level(board.battery_percent())
        self._radio = Radio(board.ble, board.uuid, self.config.serial, info, shown, self._exposed, battery)
        self.link = Link(self.config, self.ring, self._radio, self, board.aes, os.urandom)
        self._beacon = Beacon(self.config, board.aes)
        self._update = Update(self.config, board.slots_directory, board.model, VERSION)
        self._update_request = 0
        self._load = Load(board.load, self.config)
        self._calibration = Calibration(self.config, self._pipeline, self._load)
        self._supervisor = Supervisor(TASKS, board.feed_watchdog, board.note)
        self._connected_ms = 0
        self._next_block_ms = BLOCK_MS
        self._seconds = 0  # reports so far: the axis of the pipeline's finished absences
        self._finished_ended_s = -1
        self._occupancy = frames.UNCLEAR
        self._faulty = False
        self._overrun_told = False
        self._refused = 0  # records that flash would not hold
        self._flash_told = 0  # bad slots and refused records that a fault record has told
        self._lost_told = 0  # samples lost, the same
        self._report_due_ms = 0
        self._raw_until_ms = 0
        self._reboot_due_ms = 0
        # A belt out of service keeps nothing of anybody; a wipe that the power cut short is done anew.
        self._wipe_request = -1
        self._wipe_sector = 0 if self.config.values["decommissioned"] else self.ring.sectors
        self._wipe_left = 0
        self._utc_offset_ms = 0  # UTC minus uptime, told by the gateway; 0: not told
        self._report = self._first_report()
        self._record(frames.RECORD_BOOT, (board.reset_cause,) + VERSION)
        if board.reset_cause == RESET_WATCHDOG:
            self._record_last_fault()
        if self.config.damaged:
            self._record(frames.RECORD_FAULT, (FAULT_CONFIG_DAMAGED, 0))
        self._advertise()

    def run(self) -> None:
        """Serve until the power goes."""
        while True:
            self.step()

    def step(self) -> None:
        """One round of the loop: radio, samples, what they led to, then idle until there is something to do."""
        now_ms = self._uptime.ms()
        self._radio_events(now_ms)
        self._supervisor.beat(TASK_RADIO)
        self._load.poll()
        while self._sampler.read():
            self._supervisor.beat(TASK_SAMPLES)
            second = self._sampler.process()
            if self._raw_until_ms > now_ms:
                self._send_raw(now_ms)
            if second:
                self._second(second)
                self._supervisor.beat(TASK_SECOND)
        self.link.poll()
        if self.link.is_open:
            self._update.confirm()
        self._work_on_update(now_ms)
        if self._wipe_sector < self.ring.sectors:
            self._wipe()
        if self._reboot_due_ms and now_ms >= self._reboot_due_ms:
            self._restart()
        if now_ms >= self._next_block_ms:
            self._next_block_ms = now_ms - now_ms % BLOCK_MS + BLOCK_MS
        self._board.idle(self._next_block_ms - now_ms)

    # What the link asks of the belt (link.Service).

    def hello(self) -> "tuple[int, ...]":
        """The fields of HELLO after the proof."""
        head = (self._board.model, self.boot_id, self._uptime.ms(), self._update.features)
        return head + VERSION + (self.ring.record_seq, self.ring.oldest_seq, int(self.config.claimed))

    def absences(self) -> bytes:
        """ABSENCES frame of the last finished absences, as long ago as they are now."""
        entries = [(self._seconds - ended, lasted) for ended, lasted in self._pipeline.finished]
        return bytes(frames.encode_absences(self.boot_id, self._uptime.ms(), entries))

    def report(self) -> bytes:
        """REPORT frame of the last second."""
        return bytes(frames.encode(frames.REPORT, self._report))

    def time(self, utc_ms: int, uncertainty_ms: int) -> None:
        """Remember what UTC is, for the note of a crash; nothing on the wire depends on it."""
        self._utc_offset_ms = utc_ms - self._uptime.ms()

    @property
    def utc_ms(self) -> int:
        """Milliseconds since 1970, 0 while no gateway has told it."""
        return self._uptime.ms() + self._utc_offset_ms if self._utc_offset_ms else 0

    def configure(self, key: int, value: int) -> "tuple[int, int]":
        """(status, value) of one setting; FAILED where flash does not take it."""
        if key == frames.KEY_REPORT_PERIOD_MS and 1000 <= value <= 60_000:
            kept = self.config.keep(report_period_ms=value)
        elif key == frames.KEY_ADVERTISE_MS and 20 <= value <= 10_240:
            kept = self.config.keep(advertise_ms=value)
        elif key == frames.KEY_EXPOSE_STANDARD and value in (0, 1):
            kept = self.config.keep(expose_standard=bool(value))
        elif key == frames.KEY_COMPANY_ID and 0 <= value <= 0xFFFF:
            kept = self.config.keep(company_id=value)
        else:
            known = frames.KEY_REPORT_PERIOD_MS <= key <= frames.KEY_COMPANY_ID
            return (frames.STATUS_OUT_OF_RANGE if known else frames.STATUS_UNKNOWN), value
        return frames.STATUS_DONE if kept else frames.STATUS_FAILED, value

    def command(self, request_id: int, command: int, argument: int) -> "tuple[int, int]":
        """(status, value) of one command."""
        if command == frames.CMD_IDENTIFY:
            seconds = min(max(argument, 1), IDENTIFY_S_MAX)
            self._board.identify(seconds)
            return frames.STATUS_STARTED, seconds
        if command in (frames.CMD_CALIBRATE_EMPTY, frames.CMD_CALIBRATE_OCCUPIED):
            return self._calibration.start(request_id, command == frames.CMD_CALIBRATE_OCCUPIED)
        if command == frames.CMD_SELF_TEST:
            return frames.STATUS_DONE, self._board.self_test()
        if command == frames.CMD_RAW:
            seconds = min(max(argument, 0), RAW_S_MAX)
            self._raw_until_ms = self._uptime.ms() + seconds * 1000
            return frames.STATUS_STARTED, seconds
        if command == frames.CMD_REBOOT:
            self._reboot_due_ms = self._uptime.ms() + RESULT_MS
            return frames.STATUS_STARTED, 0
        if command in (frames.CMD_DECOMMISSION, frames.CMD_WIPE_RECORDS):
            if command == frames.CMD_DECOMMISSION:
                self.config.set(decommissioned=True, key="", gateway="")
            self._wipe_request, self._wipe_sector, self._wipe_left = request_id, 0, 0
            return frames.STATUS_STARTED, self.ring.sectors
        if command == frames.CMD_EXPOSE_STANDARD:
            return self.configure(frames.KEY_EXPOSE_STANDARD, argument)
        return frames.STATUS_UNKNOWN, argument

    def update(self, kind: int, values: "tuple[Any, ...]", tail: bytes) -> "tuple[int, int]":
        """(status, value) of one step of a firmware update; refused while an absence is open.

        Whether an alarm is open the gateway knows, and asks only if none is.
        """
        if self._occupancy == frames.EMPTY:
            return frames.STATUS_REFUSED, 0
        self._update_request = values[0]
        return self._update.handle(kind, values[1:], tail)

    def _work_on_update(self, now_ms: int) -> None:
        """One slice of an installation; the restart into what was installed, or out of a trial nobody confirmed."""
        if self._occupancy == frames.EMPTY:
            return  # an absence is told without a pause
        status = self._update.work()
        if status >= 0 and status != frames.STATUS_STARTED:
            self.link.result(self._update_request, (status, 0))
            if status == frames.STATUS_DONE:
                self._reboot_due_ms = now_ms + RESULT_MS
        if self._update.trial_failed(now_ms):
            self._restart()

    def _restart(self) -> None:
        self._board.note(NOTE_MEANT)  # on RP2 this too is a reset by the watchdog
        self._board.reset()

    def _wipe(self) -> None:
        """One sector of the records; at the end the gateway hears how many slots could not be wiped."""
        self._wipe_left += self.ring.wipe(self._wipe_sector)
        self._wipe_sector += 1
        if self._wipe_sector == self.ring.sectors and self._wipe_request >= 0:
            status = frames.STATUS_FAILED if self._wipe_left else frames.STATUS_DONE
            self.link.result(self._wipe_request, (status, self._wipe_left))
            self._wipe_request = -1
            # At once, so that the numbers of a belt that stays in service go on if the power goes now.
            self._record(frames.RECORD_OCCUPANCY, (self._occupancy, self._occupancy) + self._report[1:4])

    # Each second.

    def _second(self, second: "Sequence[int]") -> None:
        self._seconds += 1
        self._load.second()
        self._pipeline.occupancy.weight = self._load.weight  # for the next second: weight does not come and go in one
        occupancy = second[0]
        uptime_ms = self._uptime.ms()
        changed = occupancy != self._occupancy
        self._record_changes(second, uptime_ms, changed)
        minute_seq = 0
        if self._minute.add(second):
            minute_seq = self._append(frames.RECORD_MINUTE, self._minute.body(), uptime_ms)
            self._record_losses()
            if occupancy == frames.EMPTY or self.ring.must_prepare:
                self.ring.prepare()
        calibrated = self._calibration.second(occupancy)
        if calibrated is not None:
            self.link.result(calibrated[0], calibrated[1:])
        self._report = self._make_report(second, uptime_ms)
        if changed or uptime_ms >= self._report_due_ms:
            self._report_due_ms = uptime_ms - uptime_ms % 1000 + self.config.values["report_period_ms"]
            self.link.send(self.report())
        if minute_seq:
            self.link.send_record(minute_seq)
        self._radio.heart_rate(heart_rate_measurement(self._report))
        self._advertise()
        if minute_seq:
            self._beacon.prepare()

    def _record_changes(self, second: "Sequence[int]", uptime_ms: int, changed: bool) -> None:
        pipeline = self._pipeline
        if changed:
            body = (self._occupancy, second[0], second[1], pipeline.state_age_s, pipeline.exit_count & 0xFFFF)
            self._occupancy = second[0]
            self._record(frames.RECORD_OCCUPANCY, body)
        if pipeline.finished and pipeline.finished[-1][0] != self._finished_ended_s:
            ended_s, duration_s = pipeline.finished[-1]
            self._finished_ended_s = ended_s
            ended_ms = max(0, uptime_ms - (self._seconds - ended_s) * 1000)
            self._record(frames.RECORD_ABSENCE, (ended_ms, duration_s))
        if second[9]:
            self._record(frames.RECORD_TURN_OVER, (second[8],))
        faulty = bool(second[11] & frames.FLAG_SENSOR_FAULT)
        if faulty != self._faulty:
            self._faulty = faulty
            self._record(frames.RECORD_FAULT, (FAULT_SENSOR, int(faulty)))
        if self.ring.overrun and not self._overrun_told:
            self._overrun_told = True
            self._record(frames.RECORD_FAULT, (FAULT_RING_OVERRUN, self.ring.oldest_seq))

    def _record_losses(self) -> None:
        """Once a minute: what flash would not hold (all since boot), and samples if they come to a second or more."""
        bad = self.ring.bad_slots + self._refused + self.config.refused
        if bad > self._flash_told:
            self._flash_told = bad
            self._record(frames.RECORD_FAULT, (FAULT_FLASH, bad))
        lost = self._sampler.samples_lost - self._lost_told
        if lost >= self._board.sensor.rate_hz:
            self._record(frames.RECORD_FAULT, (FAULT_SAMPLES_LOST, lost))
        self._lost_told += lost

    def _record_last_fault(self) -> None:
        from . import fault  # seldom needed: it need not lie in memory

        line = fault.take(self._board.config_directory)
        if line >= 0:
            self._record(frames.RECORD_FAULT, (FAULT_CRASHED, line))
        elif 0 <= self._board.noted < NOTE_MEANT:
            self._record(frames.RECORD_FAULT, (FAULT_HUNG, self._board.noted))

    def _record(self, kind: int, values: "tuple[int, ...]") -> None:
        seq = self._append(kind, frames.encode_record(kind, values), self._uptime.ms())
        if seq:
            self.link.send_record(seq)

    def _append(self, kind: int, body: bytes, uptime_ms: int) -> int:
        """Seq of the record on flash; 0 if flash refused it: the live path goes on without."""
        if self.config.values["decommissioned"]:
            return 0
        try:
            return self.ring.append(self.boot_id, uptime_ms, kind, body)
        except FlashError:
            self._refused += 1
            return 0

    def _make_report(self, second: "Sequence[int]", uptime_ms: int) -> "tuple[int, ...]":
        occupancy, reason, heart, heart_q, heart_why, breath, breath_q, breath_why, movement, _, _, flags = second
        pipeline = self._pipeline
        if self.ring.overrun or self._refused:
            flags |= frames.FLAG_RING_OVERRUN
        if self._calibration.is_done:
            flags |= frames.FLAG_CALIBRATED
        return (
            occupancy, reason, pipeline.state_age_s, pipeline.exit_count & 0xFFFF, self.ring.record_seq, self.boot_id,
            uptime_ms, frames.ABSENT_16 if heart < 0 else heart, heart_q, heart_why,
            frames.ABSENT_16 if breath < 0 else breath, breath_q, breath_why, movement,
            pipeline.turn_over_count & 0xFFFF, self._board.battery_percent(), flags,
        )

    def _first_report(self) -> "tuple[int, ...]":
        """Before the first second is over: nothing known."""
        none = (frames.ABSENT_16, 0, frames.REASON_NO_SIGNAL)
        head = (frames.UNCLEAR, frames.REASON_NO_SIGNAL, 0, 0, self.ring.record_seq, self.boot_id, self._uptime.ms())
        return head + none + none + (0, 0, self._board.battery_percent(), 0)

    def _send_raw(self, now_ms: int) -> None:
        tail = bytes(memoryview(self._sampler.raw)[: self._sampler.raw_count])
        head = (now_ms, self._board.sensor.first_index & 0xFFFFFFFF, self._board.sensor.gap & 0xFFFF)
        self.link.send(frames.encode(frames.RAW, head, tail))

    # Radio.

    def _radio_events(self, now_ms: int) -> None:
        radio = self._radio
        for _ in range(QUEUE_EVENTS):  # no more than fits the queue: a flood must not keep the loop from its samples
            event = radio.events.get()
            if event is None:
                break
            kind, number, value = event
            if kind == CENTRAL_CONNECT:
                self._connected_ms = now_ms
                self.link.disconnected()
                radio.connected(number)
                self._advertise()
            elif kind == MTU_EXCHANGED:
                radio.mtu(number)
            elif number == radio.connection:
                self._radio_event(kind, value)
        if radio.connection >= 0 and (self.link.wants_disconnect or self._overstays(now_ms)):
            self.link.wants_disconnect = False
            self._connected_ms = now_ms
            radio.disconnect()

    def _radio_event(self, kind: int, value: bytes) -> None:
        """What the one central did."""
        if kind == GATTS_WRITE:
            if self.link.wants_disconnect:
                self._radio.events.dropped += 1
            else:
                self.link.received(value)
        elif kind == CENTRAL_DISCONNECT:
            self._radio.disconnected()
            self.link.disconnected()
            self._advertise()

    def _overstays(self, now_ms: int) -> bool:
        """One slot for centrals: a stranger must not hold it, unless any stock app is welcome."""
        if self.link.is_open or self._exposed:
            return False
        return bool(now_ms - self._connected_ms > self.config.values["handshake_timeout_ms"])

    def _advertise(self) -> None:
        # Whoever has a session hears the belt through it: the beacon is then for others, and radio and hosts rest.
        interval_ms = self.config.values["advertise_ms"]
        if self.link.is_open and interval_ms < SESSION_ADVERTISE_MS:
            interval_ms = SESSION_ADVERTISE_MS
        self._radio.advertise(self._beacon.payload(self._report), interval_ms)


def run() -> None:
    """Entry of main.py: make the board and serve."""
    from .board import open_board

    gc.collect()  # the large buffers come next: give them one piece of memory
    board = open_board()
    belt = None
    try:
        belt = Belt(board)
        belt.run()
    except Exception as error:
        # The one place that sees everything: written down, then the interpreter ends and the watchdog starts it anew.
        from . import fault

        fault.keep(board.config_directory, error, belt.utc_ms if belt else 0)
        raise
