# mypy: ignore-errors
"""Runs on the unix port: configuration and update on littlefs over a NOR model, power cut at every flash operation.

Arguments: ROOT IMAGE KEY; the image holds application files `app` and `lib/part`, KEY (hex) signed it. After each cut
the file system is mounted anew and boot.py chooses. Prints `NAME CUTS` a scenario; a broken promise is an exception.
"""

import gc
import hashlib
import os
import sys
from binascii import unhexlify

import vfs

ARGV = globals().get("ARGV") or sys.argv
sys.path.insert(0, ARGV[1])

from firmware_py.belt.config import Config  # noqa: E402
from firmware_py.belt.update import Update  # noqa: E402
from firmware_py.boot.boot import choose  # noqa: E402
from protocol.wire import frames  # noqa: E402

# A file that a cut left open would be closed by the collector, on a file system that is gone: nothing is collected.
gc.disable()

BLOCK = 512
BLOCKS = 160
ROOT = "/flash"
OLD = b"old application"
DATA_BYTES = 500
VERSION = (0, 1, 0)

with open(ARGV[2], "rb") as opened:
    IMAGE = opened.read()
SHA256 = hashlib.sha256(IMAGE).digest()
KEY = ARGV[3]


class PowerCut(Exception):
    pass


class Nor:
    """Erase sets ones, programming clears bits; at `left` operations the power goes with half of the operation done."""

    def __init__(self, content=None):
        self.data = bytearray(content or b"\xff" * BLOCK * BLOCKS)
        self.left = -1
        self.is_off = False

    def _step(self):
        if self.is_off:
            raise PowerCut
        if self.left == 0:
            self.is_off = True
            return True
        self.left -= 1
        return False

    def readblocks(self, block, buf, offset=0):
        if self.is_off:
            raise PowerCut
        at = block * BLOCK + offset
        buf[:] = memoryview(self.data)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        cut = self._step()
        at = block * BLOCK + offset
        for i in range(len(buf) // 2 if cut else len(buf)):
            self.data[at + i] &= buf[i]
        if cut:
            raise PowerCut

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK
        if operation == 6:
            cut = self._step()
            n = BLOCK // 2 if cut else BLOCK
            self.data[argument * BLOCK : argument * BLOCK + n] = b"\xff" * n
            if cut:
                raise PowerCut
        return 0


def mounted(device):
    try:
        vfs.umount(ROOT)
    except OSError:
        pass
    vfs.mount(vfs.VfsLfs2(device, readsize=32, progsize=32, lookahead=32), ROOT)


def fresh():
    """The content of a flash with an identity, settings and the old application in slot a."""
    device = Nor()
    vfs.VfsLfs2.mkfs(device, readsize=32, progsize=32, lookahead=32)
    mounted(device)
    with open(ROOT + "/identity.json", "w") as file:
        file.write('{"serial": "%s", "claim_secret": "%s", "update_key": "%s"}' % ("00" * 8, "00" * 16, KEY))
    os.mkdir(ROOT + "/a")
    with open(ROOT + "/a/app", "wb") as file:
        file.write(OLD)
    os.mkdir(ROOT + "/b")
    with open(ROOT + "/b/stale", "wb") as file:
        file.write(b"of an update before")
    Config(ROOT).set(advertise_ms=111)
    return bytes(device.data)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def check_bootable(where):
    """The slot that boot.py chose holds an application whole."""
    if where == ROOT + "/a":
        assert content(where + "/app") == OLD
        return
    assert where == ROOT + "/b"
    assert sorted(os.listdir(where)) == ["app", "lib"]
    assert hashlib.sha256(content(where + "/app")).digest() == hashlib.sha256(b"new application" * 40).digest()
    assert content(where + "/lib/part") == b"part of it"


def cuts(name, start, act, check):
    """Run `act` with a cut before every flash operation there is, `check` after each restart."""
    cut = 0
    while True:
        device = Nor(start)
        mounted(device)
        told = {}
        device.left = cut
        try:
            act(told)
        except (OSError, PowerCut):
            pass
        whole = not device.is_off
        device.is_off, device.left = False, -1
        mounted(device)
        check(told, whole)
        if whole:
            print(name, cut)
            return bytes(device.data)
        cut += 1


def update():
    return Update(Config(ROOT), ROOT, 0, VERSION)


def transfer(told):
    going = update()
    status, at = going.handle(frames.UPDATE_BEGIN, (len(IMAGE), SHA256), b"")
    assert status == frames.STATUS_STARTED
    assert at >= told.get("acknowledged", 0), (at, told)
    told["acknowledged"] = at
    while at < len(IMAGE):
        status, at = going.handle(frames.UPDATE_DATA, (at,), IMAGE[at : at + DATA_BYTES])
        assert status == frames.STATUS_DONE
        told["acknowledged"] = at
    assert going.handle(frames.UPDATE_END, (), b"")[0] == frames.STATUS_STARTED
    status = frames.STATUS_STARTED
    while status == frames.STATUS_STARTED:
        status = going.work()
    if status != frames.STATUS_DONE:
        raise PowerCut  # the flash is off: what the belt would still say nobody hears
    told["installed"] = True


def after_transfer(told, whole):
    where = choose(ROOT)
    check_bootable(where)
    if told.get("installed"):
        assert where == ROOT + "/b"
    if where == ROOT + "/a":
        # What was acknowledged is still there, and the same update goes through from that point.
        transfer(told)
        where = choose(ROOT)
        check_bootable(where)
        assert where == ROOT + "/b"
    # Nobody confirms: the next start is the old application's.
    assert choose(ROOT) == ROOT + "/a"
    check_bootable(ROOT + "/a")


def set_config(told):
    Config(ROOT).set(advertise_ms=222)
    told["done"] = True


def after_config(told, whole):
    config = Config(ROOT)
    assert not config.damaged
    assert config.values["advertise_ms"] in ((222,) if told.get("done") else (111, 222))


def start_trial(told):
    told["slot"] = choose(ROOT)


def after_start(told, whole):
    where = choose(ROOT)
    check_bootable(where)
    # A start that was cut off may count as the one that a trial gets; a second start never finds it again.
    assert where == ROOT + "/a" or not whole
    check_bootable(choose(ROOT))


def confirm(told):
    update().confirm()
    told["done"] = True


def after_confirm(told, whole):
    where = choose(ROOT)
    check_bootable(where)
    if told.get("done"):
        assert where == ROOT + "/b"


start = fresh()
cuts("configuration", start, set_config, after_config)
cuts("update", start, transfer, after_transfer)

device = Nor(start)
mounted(device)
transfer({})
on_trial = bytes(device.data)
cuts("start", on_trial, start_trial, after_start)

device = Nor(on_trial)
mounted(device)
assert choose(ROOT) == ROOT + "/b"
started = bytes(device.data)
cuts("confirm", started, confirm, after_confirm)
cuts("revert", started, start_trial, after_start)
assert len(unhexlify(KEY)) == 64
