"""The belt's memory of the night: records in a ring of raw flash sectors, safe against a power cut at any write.

A slot is 64 bytes: seq, boot id, uptime, the last acknowledged seq, kind, body, CRC32 over all of it. Slots are
written once after an erase and in order; a torn slot fails its CRC and is passed over. `seq` rises by one for ever. The
gateway's ack travels in the next record written, so it costs no flash of its own; losing the newest ack in a power cut
only makes the gateway hear some records twice. A full ring overwrites its oldest sector and says so (`overrun`).
"""

import binascii
import struct

RING_BYTES = 128 * 1024  # what every board gives it: 32 h of minute records
SLOT_BYTES = 64
PAGE_BYTES = 256  # RP2 programs whole pages; bits written as 1 stay what they are
BODY_BYTES_MAX = 24
WRITE_ATTEMPTS = 4
ERASE_AHEAD_SLOTS = 16

_HEAD = "<IIQIBB"  # seq, boot_id, uptime_ms, acked_seq, kind, body length
_HEAD_BYTES = struct.calcsize(_HEAD)
_CRC_AT = SLOT_BYTES - 4
_BLANK = b"\xff" * SLOT_BYTES

# Operations of MicroPython's extended block device interface.
IOCTL_BLOCK_COUNT = 4
IOCTL_BLOCK_BYTES = 5
IOCTL_ERASE = 6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class BlockDevice(Protocol):
        """MicroPython's extended block device: erase by ioctl, program without erase by writeblocks with an offset."""

        def readblocks(self, block: int, buf: bytearray, offset: int) -> object: ...
        def writeblocks(self, block: int, buf: "bytes | bytearray", offset: int) -> object: ...
        def ioctl(self, operation: int, argument: int) -> "int | None": ...


class FlashError(OSError):
    """A slot would not hold what was written to it, in several places: the flash is worn out or gone."""


class Ring:
    """Append, read by seq, acknowledge; opening it scans the flash."""

    def __init__(self, flash: "BlockDevice") -> None:
        self._flash = flash
        self._sectors = int(flash.ioctl(IOCTL_BLOCK_COUNT, 0) or 0)
        self._slots = int(flash.ioctl(IOCTL_BLOCK_BYTES, 0) or 0) // SLOT_BYTES
        assert self._sectors >= 2 and self._slots * SLOT_BYTES % PAGE_BYTES == 0
        self._first = [0] * self._sectors  # seq of the first record in each sector, 0: none
        self._slot_buf = bytearray(SLOT_BYTES)
        self._page_buf = bytearray(PAGE_BYTES)
        self._sector = self._sectors - 1
        self._slot = self._slots
        self._erased = -1  # the sector that was erased ahead
        self.record_seq = 0  # of the newest record; 0: none yet
        self.acked_seq = 0
        self.last_boot_id = 0
        self.overrun = False  # an unacknowledged record was overwritten since boot
        self.bad_slots = 0
        self._scan()

    @property
    def capacity(self) -> int:
        """Records that are certainly held before the oldest are overwritten, or erased ahead of it."""
        return (self._sectors - 1) * self._slots - ERASE_AHEAD_SLOTS

    @property
    def first_held_seq(self) -> int:
        """Seq of the oldest record that can be read, acknowledged or not; record_seq + 1 if there is none."""
        oldest = self.record_seq + 1
        for first in self._first:
            if first and first < oldest:
                oldest = first
        return oldest

    @property
    def oldest_seq(self) -> int:
        """Seq of the oldest record held and not acknowledged; record_seq + 1 if there is none."""
        return max(self.first_held_seq, self.acked_seq + 1)

    def append(self, boot_id: int, uptime_ms: int, kind: int, body: bytes) -> int:
        """Write one record and return its seq; it is on flash when this returns. FlashError if flash refuses."""
        assert len(body) <= BODY_BYTES_MAX
        seq = self.record_seq + 1
        slot = bytearray(SLOT_BYTES)
        struct.pack_into(_HEAD, slot, 0, seq, boot_id, uptime_ms, self.acked_seq, kind, len(body))
        slot[_HEAD_BYTES : _HEAD_BYTES + len(body)] = body
        struct.pack_into("<I", slot, _CRC_AT, binascii.crc32(memoryview(slot)[:_CRC_AT]))
        for _ in range(WRITE_ATTEMPTS):
            if self._slot == self._slots:
                self._open_next_sector()
            at = self._slot
            self._slot += 1
            self._program(self._sector, at, slot)
            if self._load(self._sector, at) and self._slot_buf == slot:
                if not self._first[self._sector]:
                    self._first[self._sector] = seq
                self.record_seq = seq
                return seq
            self.bad_slots += 1
        raise FlashError("record not written")

    def read(self, seq: int) -> "tuple[int, int, int, bytes] | None":
        """(boot_id, uptime_ms, kind, body) of one record, None if it is not held (any more)."""
        sector = self._sector_of(seq)
        if sector < 0:
            return None
        # One slot a record unless slots were torn: the place is at or after its distance from the sector's first.
        for at in range(seq - self._first[sector], self._slots):
            if self._load(sector, at):
                found, boot_id, uptime_ms, _, kind, length = struct.unpack_from(_HEAD, self._slot_buf, 0)
                if found == seq:
                    return boot_id, uptime_ms, kind, bytes(self._slot_buf[_HEAD_BYTES : _HEAD_BYTES + length])
                if found > seq:
                    return None
        return None

    def ack(self, seq: int) -> None:
        """The gateway has committed every record up to seq; numbers that make no sense are ignored."""
        if self.acked_seq < seq <= self.record_seq:
            self.acked_seq = seq

    @property
    def must_prepare(self) -> bool:
        """The next sector is needed soon: erase it now whether the bed is empty or not."""
        return self._slots - self._slot <= ERASE_AHEAD_SLOTS // 4

    def prepare(self) -> None:
        """Erase the next sector while nothing hurries (RP2 stops all interrupts for an erase), if it will be needed."""
        following = (self._sector + 1) % self._sectors
        if self._slots - self._slot <= ERASE_AHEAD_SLOTS and self._erased != following:
            self._erase(following)
            self._erased = following

    @property
    def sectors(self) -> int:
        """How many there are."""
        return self._sectors

    def wipe(self, sector: int) -> int:
        """Erase one sector for good and look: how many of its slots still hold anything. When a belt changes hands."""
        self._first[sector] = 0
        self._flash.ioctl(IOCTL_ERASE, sector)
        self._slot, self._erased = self._slots, -1
        left = 0
        for at in range(self._slots):
            self._load(sector, at)
            if self._slot_buf != _BLANK:
                left += 1
        return left

    def _sector_of(self, seq: int) -> int:
        best = -1
        if 0 < seq <= self.record_seq:
            for sector in range(self._sectors):
                first = self._first[sector]
                if first and first <= seq and (best < 0 or first > self._first[best]):
                    best = sector
        return best

    def _open_next_sector(self) -> None:
        following = (self._sector + 1) % self._sectors
        if self._erased != following:
            self._erase(following)
        self._erased = -1
        self._sector = following
        self._slot = 0

    def _erase(self, sector: int) -> None:
        if self._first[sector]:
            ends = self._first[(sector + 1) % self._sectors] or self.record_seq + 1
            if ends - 1 > self.acked_seq:
                self.overrun = True
            self._first[sector] = 0
        self._flash.ioctl(IOCTL_ERASE, sector)

    def _program(self, sector: int, at: int, slot: bytearray) -> None:
        page = self._page_buf
        for i in range(PAGE_BYTES):
            page[i] = 0xFF
        start = at * SLOT_BYTES % PAGE_BYTES
        page[start : start + SLOT_BYTES] = slot
        self._flash.writeblocks(sector, page, at * SLOT_BYTES - start)

    def _load(self, sector: int, at: int) -> bool:
        """Read a slot into the slot buffer; True if it holds a whole record."""
        buf = self._slot_buf
        self._flash.readblocks(sector, buf, at * SLOT_BYTES)
        (crc,) = struct.unpack_from("<I", buf, _CRC_AT)
        return bool(buf != _BLANK and crc == binascii.crc32(memoryview(buf)[:_CRC_AT]))

    def _scan(self) -> None:
        head = -1
        for sector in range(self._sectors):
            for at in range(self._slots):
                if self._load(sector, at):
                    self._first[sector] = struct.unpack_from("<I", self._slot_buf, 0)[0]
                    if head < 0 or self._first[sector] > self._first[head]:
                        head = sector
                    break
                if self._slot_buf == _BLANK and at >= WRITE_ATTEMPTS:
                    break  # blank from the start; a worn slot may look blank too
        if head < 0:
            return
        self._sector = head
        self._slot = 0
        for at in range(self._slots):
            if self._load(head, at):
                seq, boot_id, _, acked, _, _ = struct.unpack_from(_HEAD, self._slot_buf, 0)
                self.record_seq = max(self.record_seq, seq)
                self.acked_seq = max(self.acked_seq, acked)
                self.last_boot_id = boot_id
            if self._slot_buf != _BLANK:
                self._slot = at + 1  # written or torn: either way not to be programmed again
