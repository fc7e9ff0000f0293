"""The belt's side of the socket to hil/belt_host.py: virtual time, samples and radio events come from there.

Each message is `length u16, type u8, payload` (hil/channel.py has the table). The belt runs until it has reached the
time it was granted, says so (IDLE), and reads until the next grant (RUN); events are delivered in between.
"""

import gc
import os
import struct
import sys
from array import array

RUN, CONNECT, DISCONNECT, WRITE, MTU, SENT, MEASURE = 0x52, 0x43, 0x44, 0x57, 0x4D, 0x53, 0x51
IDLE, ADVERTISE, SERVICES, VALUE, NOTIFY, HANG_UP, RESET, IDENTIFY, HEAP = (
    0x49, 0x41, 0x47, 0x56, 0x4E, 0x58, 0x45, 0x4C, 0x48,
)
RESET_WATCHDOG, RESET_SOFT = 3, 5
FIFO_SAMPLES_MAX = 1024


class Emulator:
    def __init__(self):
        self._channel = open(int(os.getenv("SLEEPBELT_EMULATION_FD")), "r+b")
        self.rate_hz = int(os.getenv("SLEEPBELT_RATE_HZ") or "50")
        self.bits = int(os.getenv("SLEEPBELT_BITS") or "10")
        self.ticks_start = int(os.getenv("SLEEPBELT_TICKS_START") or "0")
        self.now_ms = 0
        self._granted_ms = 0
        self._chunks = []
        self._chunk_first = 0  # index of the first sample of the first chunk
        self.sample_index = 0
        self.on_event = None  # callable(type, payload): the bluetooth shim
        self.watchdog_ms = 0
        self._fed_ms = 0
        self._woken = False
        self.note = -1
        self.note_path = (os.getenv("SLEEPBELT_STATE_DIR") or ".") + "/rtc.bin"

    def send(self, kind, payload=b""):
        self._channel.write(struct.pack("<HB", len(payload), kind) + payload)

    def idle(self, ms, wakes):
        """Let virtual time pass; with `wakes`, end early when the radio has delivered something."""
        target = self.now_ms + ms
        self._woken = False
        while self.now_ms < target and not (wakes and self._woken):
            if self._granted_ms > self.now_ms:
                self.now_ms = min(target, self._granted_ms)
            else:
                self._exchange()
        if self.watchdog_ms and self.now_ms - self._fed_ms > self.watchdog_ms:
            self.reset(RESET_WATCHDOG)

    def feed(self):
        self._fed_ms = self.now_ms

    def reset(self, cause):
        if self.note >= 0:
            with open(self.note_path, "wb") as file:
                file.write(bytes((self.note,)))
        self.send(RESET, bytes((cause,)))
        sys.exit(3)

    def start_samples(self):
        self.sample_index = self.now_ms * self.rate_hz // 1000

    def take_samples(self, buf):
        """(first index, lost before it, count): a whole block into buf, or nothing."""
        due = self.now_ms * self.rate_hz // 1000
        lost = max(0, due - self.sample_index - FIFO_SAMPLES_MAX)
        first = self.sample_index + lost
        wanted = len(buf)
        if due - first < wanted:
            return first, lost, 0
        self.sample_index = first + wanted
        filled = 0
        while filled < wanted:
            chunk = self._chunks[0]
            at = first + filled - self._chunk_first
            if at >= len(chunk):
                self._chunk_first += len(chunk)
                self._chunks.pop(0)
                continue
            n = min(wanted - filled, len(chunk) - at)
            for i in range(n):
                buf[filled + i] = chunk[at + i]
            filled += n
        return first, lost, wanted

    def _exchange(self):
        self.send(IDLE, struct.pack("<Q", self.now_ms))
        while True:
            head = self._channel.read(3)
            if not head or len(head) < 3:
                sys.exit(0)  # the host is gone
            length, kind = struct.unpack("<HB", head)
            payload = self._channel.read(length) if length else b""
            if kind == RUN:
                self._granted_ms, first = struct.unpack_from("<QQ", payload, 0)
                if len(payload) > 16:
                    if not self._chunks:
                        self._chunk_first = first
                    self._chunks.append(array("h", payload[16:]))
                return
            if kind == MEASURE:
                gc.collect()
                self.send(HEAP, struct.pack("<I", gc.mem_alloc()))
            elif self.on_event:
                self._woken = True
                self.on_event(kind, payload)


emulator = Emulator()
