# mypy: ignore-errors
"""Runs on wasm32: heap that a whole belt has in use with a session open, and what its hot path allocates.

The belt lives on a board of the harness, which is not counted; a Pico's own board with its sensor is made beside it
and is counted.

Arguments: ROOT SAMPLES [all], int16 counts at 50 Hz, ten bits; all: with the largest drivers, LIS3DH and HX711.
Everything of the harness that is large lies in files. Prints `heap BYTES after SECONDS` once a minute, then `hot BYTES`
and `second BYTES`: allocated by the signal path and by the whole belt in the seconds that followed.
"""

import gc
import hashlib
import os
import sys

ARGV = globals().get("ARGV") or sys.argv
sys.path.insert(0, ARGV[1])

RATE_HZ = 50
SECTORS = 32
KEY = bytes(16)
SERIAL = bytes(8)
STATE = globals().get("STATE") or "/state"


class Os:
    """`os` with the one function that this port lacks."""

    mkdir, rename, remove, stat, listdir = os.mkdir, os.rename, os.remove, os.stat, os.listdir

    @staticmethod
    def urandom(n):
        return bytes(n)

    @staticmethod
    def uname():
        return Os

    machine = "Raspberry Pi Pico W with RP2040"


sys.modules["os"] = Os


def aes(key):
    """Any keyed function of a block will do where both ends use it: the wire only ever encrypts."""

    def encrypt(block):
        return hashlib.sha256(key + block).digest()[:16]

    return encrypt


class Flash:
    def __init__(self):
        with open(STATE + "/flash", "wb") as file:
            for _ in range(SECTORS * 16):
                file.write(b"\xff" * 256)
        self._file = open(STATE + "/flash", "r+b")

    def readblocks(self, block, buf, offset):
        self._file.seek(block * 4096 + offset)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, offset):
        at = block * 4096 + offset
        old = bytearray(len(buf))
        self.readblocks(block, old, offset)
        for i in range(len(buf)):
            old[i] &= buf[i]
        self._file.seek(at)
        self._file.write(old)

    def ioctl(self, operation, argument):
        return {4: SECTORS, 5: 4096}.get(operation, 0)


class Ble:
    written = b""
    heard = None
    hung_up = 0

    def active(self, on):
        pass

    def config(self, **values):
        pass

    def gatts_set_buffer(self, handle, length):
        pass

    def gatts_write(self, handle, value):
        pass

    def irq(self, handler):
        self.handler = handler

    def gatts_register_services(self, services):
        return ((1, 2, 3), (4, 5, 6, 7))

    def gatts_read(self, handle):
        return self.written

    def gatts_notify(self, connection, handle, value):
        if self.heard is not None:
            self.heard.append(bytes(value))

    def gap_advertise(self, interval_us, adv_data, resp_data, connectable):
        pass

    def gap_disconnect(self, connection):
        self.hung_up += 1

    def write(self, value):
        self.written = value
        self.handler(3, (0, 1))


class Board:
    model = 1
    reset_cause = 1
    rate_hz = RATE_HZ
    bits = 10
    first_index = 0
    gap = 0
    fed = 0
    identified = 0
    noted = -1
    config_directory = slots_directory = STATE

    def __init__(self, samples):
        self._samples = open(samples, "rb")
        self.flash = Flash()
        self.sensor = self
        self.load = None
        self.ble = Ble()
        self.uuid = str
        self.now_ms = 0

    def ticks_ms(self):
        return self.now_ms

    def aes(self, key):
        return aes(key)

    def idle(self, ms):
        self.now_ms += ms

    def feed_watchdog(self):
        self.fed += 1

    def note(self, tasks):
        pass

    def identify(self, seconds):
        self.identified += 1

    def battery_percent(self):
        return 0xFE

    def start(self):
        pass

    def read_into(self, buf):
        if self.now_ms * RATE_HZ // 1000 - self.first_index < len(buf):
            return 0
        if self._samples.readinto(buf) < 2 * len(buf):
            self._samples.seek(0)
            self._samples.readinto(buf)
        self.first_index += len(buf)
        return len(buf)


class Emulated:
    """What a Pico's modules have, as far as its board is made from it."""

    PERIODIC = 1
    IN = OUT = 0
    def __init__(self, *arguments, **options):
        pass

    def ioctl(self, operation, argument):
        return 212

    def read_u16(self):
        return 0x8000

    def value(self, level=None):
        return 1

    def writeto_mem(self, address, register, data):
        pass

    def readfrom_mem_into(self, address, register, buf):
        pass

    disable_irq = enable_irq = None

    @staticmethod
    def reset_cause():
        return 1


Emulated.mem32 = {0x4005800C: 0}
for name in ("Pin", "ADC", "Timer", "WDT", "I2C", "Flash", "BLE", "UUID"):
    setattr(Emulated, name, Emulated)


def packets(board, packet):
    """Write a packet as fragments; the packets that the belt answers with."""
    from protocol.wire import fragments

    board.ble.heard = []
    for part in fragments.split(packet, 20, 0)[0]:
        board.ble.write(part)
    run["belt"].step()
    state = fragments.IDLE
    found = []
    for fragment in board.ble.heard:
        state, whole = fragments.join(state, fragment)
        if whole is not None:
            found.append(whole)
    board.ble.heard = None
    return found


def open_session(board):
    from protocol.wire import frames, session

    board.ble.handler(1, (0, 1, b""))
    hello = packets(board, session.plain_packet(frames.encode(3, (bytes(8), bytes(16)))))[0]
    belt_nonce = frames.decode(hello[1:])[1][1]
    script = session.transcript(SERIAL, bytes(8), belt_nonce, bytes(16))
    proof = session.gateway_proof(aes, KEY, script)
    packets(board, session.plain_packet(frames.encode(4, (proof,))))
    assert run["belt"].link.is_open
    return aes(session.session_keys(aes, KEY, script)[1])


def live(seconds):
    board = run["board"]
    until = board.now_ms + 1000 * seconds
    while board.now_ms < until:
        run["belt"].step()


def hot_path():
    """Most bytes that one second of push() and advance() has allocated, of ten."""
    from array import array

    from firmware_py.belt.pipeline import Pipeline

    pipeline = Pipeline(bits=14)
    block = array("h", [500] * 50)
    used = gc.mem_alloc
    most = 0
    for i in range(10):
        for k in range(50):
            block[k] = 500 + (k * 7 + i) % 50
        before = used()
        pipeline.push(block, 50, 0)
        pipeline.advance()
        grown = used() - before
        if grown > most:
            most = grown
    return most


def begin():
    try:
        os.mkdir(STATE)
    except OSError:
        pass
    with open(STATE + "/identity.json", "w") as file:
        file.write('{"serial": "%s", "claim_secret": "%s"}' % ("00" * 8, "00" * 16))
    run["board"] = Board(ARGV[2])


def make_real_board():
    """The board that a belt has besides: its modules, sensor and timer ring."""
    for name in ("machine", "rp2", "bluetooth", "cryptolib"):
        sys.modules[name] = Emulated
    if ARGV[3:] == ["all"]:
        os.mkdir("/config")
        for name, text in (("sensor", "lis3dh"), ("load", "hx711")):
            with open("/config/" + name + ".txt", "w") as file:
                file.write(text)
    from firmware_py.belt.board_pico import PicoBoard

    run["real"] = PicoBoard()
    assert bool(run["real"].load) == (ARGV[3:] == ["all"])
    run["real"].sensor.start()


def make():
    from firmware_py.belt.app import Belt

    run["belt"] = Belt(run["board"])


def measured():
    print("heap", gc.mem_alloc() - run["harness"], "after", run["board"].now_ms // 1000)


def finish():
    before = gc.mem_alloc()
    live(1)
    second = gc.mem_alloc() - before
    print("hot", hot_path())
    print("second", second)


run = {"steps": 0}


def step():
    """Called by tools/wasm/run.mjs with a collection before each call; False at the end."""
    at = run["steps"]
    run["steps"] += 1
    if at == 0:
        begin()
    elif at == 1:
        run["harness"] = gc.mem_alloc()
        make_real_board()
        make()
    elif at == 2:
        open_session(run["board"])
    elif at <= 5 * 60:
        if at % 60 == 0:
            measured()
        live(1)
    elif at == 5 * 60 + 1:
        __import__("firmware_py.belt.install")  # what an update loads
    else:
        measured()
        finish()
        return False
    return True
