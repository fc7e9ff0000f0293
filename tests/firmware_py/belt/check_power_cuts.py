# mypy: ignore-errors
"""Runs on the unix port: configuration and update on littlefs over a NOR model, power cut at every flash operation.

Arguments: ROOT IMAGE KEY FORGED; the image holds application files `app` and `lib/part`, KEY (hex) signed it, FORGED
another key. Each operation is cut before it has begun, halfway and just before it is answered. Then the file system is
mounted anew and boot.py chooses. Prints `NAME CUTS` a scenario; a broken promise is an exception.
"""

import gc
import hashlib
import os
import sys
from binascii import unhexlify

import vfs

ARGV = globals().get("ARGV") or sys.argv
sys.path.insert(0, ARGV[1])

from firmware_py.belt import install  # noqa: E402
from firmware_py.belt.config import Config  # noqa: E402
from firmware_py.belt.p256 import verify  # noqa: E402
from firmware_py.belt.update import Update  # noqa: E402
from firmware_py.boot.boot import choose  # noqa: E402
from protocol.wire import frames  # noqa: E402

_verified = {}


def verify_once(key, digest, signature):
    """The real answer, computed once for each question: one makes 2 MB of garbage, and nothing is collected here."""
    asked = bytes(key) + bytes(digest) + bytes(signature)
    if asked not in _verified:
        _verified[asked] = verify(key, digest, signature)
    return _verified[asked]


install.verify = verify_once

# A file that a cut left open would be closed by the collector, on a file system that is gone: nothing is collected.
gc.disable()

BLOCK = 512
BLOCKS = 64
ROOT = "/flash"
OLD = b"old application"
DATA_BYTES = 500
VERSION = (0, 1, 0)

with open(ARGV[2], "rb") as opened:
    IMAGE = opened.read()
SHA256 = hashlib.sha256(IMAGE).digest()
KEY = ARGV[3]
with open(ARGV[4], "rb") as opened:
    FORGED = opened.read()
NEW = b"new application" * 40
TORN = (0, 1, 2)  # halves of an operation that are done when the power goes


class PowerCut(Exception):
    pass


class Nor:
    """Erase sets ones, programming clears bits; after `left` operations and `torn` halves of one the power goes."""

    def __init__(self, content=None):
        self.data = bytearray(content or b"\xff" * BLOCK * BLOCKS)
        self.left = -1
        self.torn = 1
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
        for i in range(len(buf) * self.torn // 2 if cut else len(buf)):
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
            n = BLOCK * self.torn // 2 if cut else BLOCK
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
    assert content(where + "/app") == NEW
    assert content(where + "/lib/part") == b"part of it"


def cuts(name, start, act, check):
    """Run `act` with every cut of every flash operation there is, `check` after each restart; the flash without one."""
    cut = 0
    while True:
        device = Nor(start)
        mounted(device)
        told = {}
        device.left = cut // len(TORN)
        device.torn = TORN[cut % len(TORN)]
        try:
            act(told)
        except (OSError, PowerCut):
            pass
        whole = not device.is_off
        device_now[0] = device
        device.is_off, device.left = False, -1
        mounted(device)
        check(told, whole)
        if whole:
            print(name, cut)
            return bytes(device.data)
        cut += 1


device_now = [None]
lot = [1]


def drawn(below):
    lot[0] = (lot[0] * 1103515245 + 12345) & 0x3FFFFFFF
    return (lot[0] >> 8) % below


def update():
    return Update(Config(ROOT), ROOT, 0, VERSION)


def heard(status, expected):
    """Of a belt whose power is gone nobody hears anything."""
    if device_now[0].is_off:
        raise PowerCut
    assert status == expected, status


def transfer(told, image=IMAGE):
    going = update()
    status, at = going.handle(frames.UPDATE_BEGIN, (len(image), hashlib.sha256(image).digest()), b"")
    heard(status, frames.STATUS_STARTED)
    assert at >= told.get("acknowledged", 0), (at, told)
    told["acknowledged"] = at
    while at < len(image):
        status, at = going.handle(frames.UPDATE_DATA, (at,), image[at : at + DATA_BYTES])
        heard(status, frames.STATUS_DONE)
        told["acknowledged"] = at
    status = going.handle(frames.UPDATE_END, (), b"")[0]
    heard(status, frames.STATUS_STARTED)
    while status == frames.STATUS_STARTED:
        status = going.work()
    if status not in (frames.STATUS_DONE, frames.STATUS_REFUSED):
        raise PowerCut  # the flash is off: what the belt would still say nobody hears
    told["installed"] = status == frames.STATUS_DONE
    told["refused"] = status == frames.STATUS_REFUSED


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


def after_second_cut(told, whole):
    """The power goes once more while the interrupted update is taken up again, at an operation drawn by lot."""
    if choose(ROOT) == ROOT + "/a":
        after_first = bytes(device_now[0].data)
        device = device_now[0] = Nor(after_first)
        mounted(device)
        device.left, device.torn = drawn(60), drawn(3)
        again = dict(told)
        try:
            transfer(again)
        except (OSError, PowerCut):
            pass
        device.is_off, device.left = False, -1
        mounted(device)
        after_transfer(again, False)


def forge(told):
    transfer(told, FORGED)


def after_forgery(told, whole):
    assert not told.get("installed")
    assert choose(ROOT) == ROOT + "/a"
    check_bootable(ROOT + "/a")


def after_next(told, whole):
    """Slot b is the confirmed one and stays whole; the next update goes into a."""
    where = choose(ROOT)
    if where == ROOT + "/a":
        assert content(where + "/app") == NEW
    else:
        assert where == ROOT + "/b" and not told.get("installed")
        check_bootable(where)
        transfer(told)
        assert choose(ROOT) == ROOT + "/a"
        assert content(ROOT + "/a/app") == NEW
    assert choose(ROOT) == ROOT + "/b"
    check_bootable(ROOT + "/b")


def set_config(told):
    """A start, a reservation of beacon counters, a claim."""
    config = Config(ROOT)
    told["boot"] = config.begin_boot(0)
    config.set(beacon_reserved=4096)
    told["reserved"] = 4096
    config.set(key="ff" * 16, gateway="aa" * 8)
    told["key"] = b"\xff" * 16


def after_config(told, whole):
    config = Config(ROOT)
    assert not config.damaged
    assert config.values["advertise_ms"] == 111
    assert config.values["beacon_reserved"] in ((4096,) if "reserved" in told else (0, 4096))
    assert config.key in ((told["key"],) if "key" in told else (bytes(16), b"\xff" * 16))
    assert config.begin_boot(0) > told.get("boot", 0)


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
cuts("update-twice", start, transfer, after_second_cut)
cuts("forged", start, forge, after_forgery)

device = device_now[0] = Nor(start)
mounted(device)
transfer({})
on_trial = bytes(device.data)
cuts("start", on_trial, start_trial, after_start)

device = Nor(on_trial)
mounted(device)
assert choose(ROOT) == ROOT + "/b"
started = bytes(device.data)
confirmed = cuts("confirm", started, confirm, after_confirm)
cuts("next-update", confirmed, transfer, after_next)
cuts("revert", started, start_trial, after_start)
assert len(unhexlify(KEY)) == 64
