# mypy: ignore-errors
"""Runs on the unix port: a whole board from its interpreter's start on, the modules that only boards have emulated.

Arguments: ROOT SLOT BOARD SAMPLES. SLOT is a compiled application slot, BOARD pico-w, pico-2-w or esp32-s3, SAMPLES
int16 counts of ten bits at 100 Hz: 0 to 3.3 V at the ADC's pin. Clock, timer, watchdog, ADC, scratch registers, RTC
memory, flash and partition follow the ports' sources; what a port refuses is an exception here too. The file system is
the real littlefs, the firmware what boot.py finds on it. Prints one line a run: `RUN FED KIND:VALUE,...` with how often
the watchdog was fed and the records that the run wrote.
"""

import gc
import os
import sys
from array import array

import vfs

ARGV = globals().get("ARGV") or sys.argv
ROOT, SLOT, BOARD = ARGV[1:4]
TICKS_PERIOD = 1 << 30
SECTOR = 4096
PORT = "esp32" if BOARD.startswith("esp32") else "rp2"
MACHINES = {
    "pico-w": "Raspberry Pi Pico W with RP2040", "pico-2-w": "Raspberry Pi Pico 2 W with RP2350",
    "esp32-s3": "Generic ESP32S3 module with ESP32S3",
}  # fmt: skip
SCRATCH0 = {"pico-w": 0x4005800C, "pico-2-w": 0x400D800C}
FULL_SCALE_MV = {0: 950, 3: 3100}  # of an ESP32-S3, by attenuation
SAMPLE_HZ = 100


class Restart(BaseException):
    """The board starts anew; args[0] is the reset cause."""


class Stop(BaseException):
    """This run has lasted long enough."""


class Nor:
    """Erase sets ones, programming clears bits."""

    def __init__(self, data, start, length):
        self._data, self._start, self._length = data, start, length

    def readblocks(self, block, buf, offset=0):
        at = self._start + block * SECTOR + offset
        buf[:] = memoryview(self._data)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            for i in range(len(buf) // SECTOR):
                self.ioctl(6, block + i)
            offset = 0
        elif PORT == "rp2" and (offset % 256 or len(buf) % 256):
            raise ValueError("RP2 programs whole pages")
        at = self._start + block * SECTOR + offset
        for i in range(len(buf)):
            self._data[at + i] &= buf[i]

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._length // SECTOR
        if operation == 5:
            return SECTOR
        if operation == 6:
            at = self._start + argument * SECTOR
            assert at + SECTOR <= self._start + self._length
            self._data[at : at + SECTOR] = b"\xff" * SECTOR
        return 0


STORAGE_BYTES = SECTOR * (212 if PORT == "rp2" else 256)
STORAGE = bytearray(b"\xff" * STORAGE_BYTES)
RING = bytearray(b"\xff" * SECTOR * 32)  # an ESP32's partition


class World:
    """What lasts over restarts, and what the present run has."""

    rtc = b""
    cause = 1
    partition = True
    now_ms = 0
    ticks_start = TICKS_PERIOD - 40_000
    until_ms = 0
    timer = None
    stuck_at_ms = -1
    is_broken = False
    watchdog_ms = -1
    fed = 0
    led = 0
    samples = array("h")


World.registers = {}


def advance(ms):
    for _ in range(ms):
        World.now_ms += 1
        timer = World.timer
        if timer and World.now_ms % timer.period_ms == 0 and not 0 <= World.stuck_at_ms <= World.now_ms:
            timer.callback(timer)
        if 0 <= World.watchdog_ms < World.now_ms:
            raise Restart(3)
        if World.now_ms >= World.until_ms:
            raise Stop


class Time:
    @staticmethod
    def ticks_ms():
        return (World.ticks_start + World.now_ms) % TICKS_PERIOD

    @staticmethod
    def ticks_add(a, b):
        return (a + b) % TICKS_PERIOD

    @staticmethod
    def ticks_diff(a, b):
        return (a - b + TICKS_PERIOD // 2) % TICKS_PERIOD - TICKS_PERIOD // 2

    @staticmethod
    def sleep_ms(ms):
        advance(max(1, ms))


class Pin:
    IN, OUT = 0, 1

    def __init__(self, number, mode=None):
        if number == "LED" and PORT == "esp32":
            raise ValueError("invalid pin")
        self.number = number

    def value(self, level=None):
        return 1  # nothing pulls the load cells' data line low

    def on(self):
        World.led = 1

    def off(self):
        World.led = 0


class Adc:
    ATTN_0DB, ATTN_11DB = 0, 3

    def __init__(self, pin, **options):
        if PORT == "rp2" and options:
            raise TypeError("extra keyword arguments given")
        if pin.number not in ((26, 27, 28) if PORT == "rp2" else range(1, 11)):
            raise ValueError("invalid pin")
        self._full_mv = FULL_SCALE_MV[options.get("atten", 0)] if PORT == "esp32" else 3300

    def read_u16(self):
        if World.is_broken:
            raise OSError(5)
        samples = World.samples
        mv = samples[World.now_ms * SAMPLE_HZ // 1000 % len(samples)] * 3300 // 1023
        raw = min(4095, mv * 4095 // self._full_mv)
        return raw << 4 | raw >> 8


if PORT == "rp2":
    del Adc.ATTN_0DB, Adc.ATTN_11DB


class Timer:
    PERIODIC = 1

    def __init__(self, number, mode, freq, callback):
        if (number == -1) != (PORT == "rp2"):
            raise ValueError("rp2 has soft timers only, a soft one of an ESP32 is too slow")
        assert mode == self.PERIODIC
        self.period_ms, self.callback = 1000 // freq, callback
        World.timer = self


class Watchdog:
    def __init__(self, timeout):
        if PORT == "rp2" and timeout > 8388:
            raise ValueError("timeout exceeds 8388")
        self._timeout_ms = timeout
        World.watchdog_ms = World.now_ms + timeout

    def feed(self):
        World.fed += 1
        World.watchdog_ms = World.now_ms + self._timeout_ms


class I2c:
    """A bus with nothing on it."""

    def __init__(self, number, sda, scl, freq):
        pass

    def writeto_mem(self, address, register, data):
        raise OSError(5 if PORT == "rp2" else 19)

    def readfrom_mem_into(self, address, register, buf):
        raise OSError(5 if PORT == "rp2" else 19)


class Memory:
    def __getitem__(self, address):
        return World.registers.get(address, 0)

    def __setitem__(self, address, value):
        assert 0 <= value < 1 << 32
        World.registers[address] = value


class Rtc:
    def memory(self, content=None):
        if content is None:
            return World.rtc
        World.rtc = bytes(content)
        return None


class Machine:
    Pin, ADC, Timer, WDT, I2C, RTC = Pin, Adc, Timer, Watchdog, I2c, Rtc
    mem32 = Memory()

    @staticmethod
    def reset_cause():
        return World.cause

    @staticmethod
    def reset():
        raise Restart(3 if PORT == "rp2" else 2)

    @staticmethod
    def disable_irq():
        return 0

    @staticmethod
    def enable_irq(state):
        pass


class Rp2:
    class Flash(Nor):
        def __init__(self, start=0, len=-1):
            super().__init__(STORAGE, start, STORAGE_BYTES - start if len < 0 else len)


class Esp32:
    class Partition:
        TYPE_DATA = 1

        @staticmethod
        def find(kind, label):
            return [Nor(RING, 0, len(RING))] if label == "ring" and World.partition else []


class Ble:
    def active(self, on):
        pass

    def config(self, **values):
        pass

    def irq(self, handler):
        pass

    def gatts_set_buffer(self, handle, length):
        pass

    def gatts_write(self, handle, value):
        pass

    def gatts_register_services(self, services):
        return ((1, 2, 3), (4, 5, 6, 7))

    def gap_advertise(self, interval_us, **values):
        pass


class Bluetooth:
    BLE = Ble
    UUID = str


class Uname:
    machine = MACHINES[BOARD]


class Os:
    mkdir, rename, remove, stat, listdir = os.mkdir, os.rename, os.remove, os.stat, os.listdir

    @staticmethod
    def urandom(n):
        return bytes(n)

    @staticmethod
    def uname():
        return Uname


class Sys:
    platform = PORT
    path = sys.path
    modules = sys.modules
    print_exception = sys.print_exception


def read_host(path, mode="r"):
    with open(path, mode) as file:
        return file.read()


def mount_storage():
    """What the interpreter's own _boot.py does."""
    vfs.mount(vfs.VfsLfs2(Nor(STORAGE, 0, len(STORAGE)), progsize=256), "/")


def copied(folder, to):
    """(target path, content) of everything below a host's folder."""
    found = []
    for entry in os.ilistdir(folder):
        source, target = folder + "/" + entry[0], to + "/" + entry[0]
        if entry[1] == 0x4000:
            found.append((target, None))
            found += copied(source, target)
        else:
            found.append((target, read_host(source, "rb")))
    return found


def prepare(files, outer, setup):
    """A board as `firmware flash` leaves it."""
    vfs.umount("/")
    if PORT == "rp2":
        vfs.VfsLfs2.mkfs(Nor(STORAGE, 0, len(STORAGE)), progsize=256)
        mount_storage()
        exec(setup, {"OUTER": outer, "open": open})
    else:
        vfs.VfsLfs2.mkfs(Nor(STORAGE, 0, len(STORAGE)), progsize=256)
        mount_storage()
    for path, content in files:
        if content is None:
            os.mkdir(path)
        else:
            with open(path, "wb") as file:
                file.write(content)


def start(cause, seconds):
    """One run of the board; Restart's cause, or 0 if it ran for all of the time."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("firmware_py", "protocol"):
            del sys.modules[name]
    gc.collect()
    sys.path[:] = [".frozen"]
    World.cause, World.timer, World.watchdog_ms, World.fed, World.led = cause, None, -1, 0, 0
    World.until_ms = World.now_ms + 1000 * seconds
    vfs.umount("/")
    mount_storage()
    try:
        for path in ("/boot.py", "/main.py"):
            with open(path) as file:
                text = file.read()
            exec(text, {"__name__": "__main__", "open": open})
    except Restart as restart:
        return restart.args[0]
    except Stop:
        return 0
    except OSError:
        if World.is_broken:
            return 3  # the interpreter's prompt: nobody feeds the watchdog
        raise
    raise AssertionError("the application ended")


def told(since):
    """The records that were written after `since`, as KIND:VALUES, and the newest seq."""
    sys.path[:] = ["/a"]
    from firmware_py.belt.ring import Ring
    from protocol.wire import frames

    flash = Nor(STORAGE, len(STORAGE) - 32 * SECTOR, 32 * SECTOR) if PORT == "rp2" else Nor(RING, 0, len(RING))
    ring = Ring(flash)
    found = []
    for seq in range(since + 1, ring.record_seq + 1):
        kind, body = ring.read(seq)[2:]
        values = frames.decode_record(kind, body)
        found.append("%d:%s" % (kind, "/".join([str(value) for value in values[:3]])))
    return ring.record_seq, found


def run(name, cause, seconds):
    ended = start(cause, seconds)
    World.seq, found = told(World.seq)
    print(name, ended, World.fed, ",".join(found))
    return ended


def own_board():
    """The board's own parts, without a belt on top."""
    World.until_ms = World.now_ms + 100_000
    World.watchdog_ms = -1
    from firmware_py.belt.board import open_board

    board = open_board()
    board.identify(2)
    assert World.led == 1
    for _ in range(150):
        board.idle(1000)  # 20 ms at most
    assert World.led == 0
    board.note(0xA5)
    kept = World.registers.get(SCRATCH0[BOARD], 0) & 0xFF if PORT == "rp2" else World.rtc[-1]
    assert kept == 0xA5
    assert board.aes(bytes(16))(bytes(16))[:4] == b"\x66\xe9\x4b\xd4"  # FIPS 197's key and block of zeros
    assert board.load is None
    tested = board.self_test()
    with open("/config/load.txt", "w") as file:
        file.write("hx711")
    with_load = open_board().self_test()
    print("own", board.model, tested, with_load, board.flash.ioctl(4, 0), board.battery_percent())


def main():
    content = read_host(ARGV[4], "rb")
    World.samples = array("h", [0] * (len(content) // 2))
    memoryview(World.samples)[:] = array("h", content)
    boot = ROOT + "/firmware_py/boot/"
    files = [("/a", None), ("/config", None)]
    files += copied(SLOT, "/a")
    files += [("/" + name, read_host(boot + name, "rb")) for name in ("boot.py", "main.py")]
    identity = b'{"serial": "%s", "claim_secret": "%s"}' % (b"00" * 8, b"00" * 16)
    files.append(("/config/identity.json", identity))
    outer, setup = read_host(boot + "outer.py"), read_host(ROOT + "/firmware_py/tooling/rp2_setup.py")
    for name, module in (
        ("machine", Machine), ("rp2", Rp2), ("esp32", Esp32), ("bluetooth", Bluetooth), ("os", Os), ("sys", Sys),
        ("time", Time),
    ):  # fmt: skip
        sys.modules[name] = module
    prepare(files, outer, setup)
    World.seq = 0
    run("first", 1, 70)
    World.stuck_at_ms = World.now_ms + 20_000  # the sampling timer dies
    cause = run("hang", 1, 60)
    World.stuck_at_ms = -1
    run("after", cause, 5)
    World.registers, World.rtc = {}, b""
    run("power", 1, 5)
    World.is_broken = True
    cause = run("crash", 1, 5)
    World.is_broken = False
    run("told", cause, 5)
    with open("/config/sensor.txt", "w") as file:
        file.write("lis3dh")
    run("silent", 1, 20)
    os.remove("/config/sensor.txt")
    own_board()


main()
