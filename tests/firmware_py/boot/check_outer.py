# mypy: ignore-errors
"""Runs on the unix port: sets a Pico's storage up as `firmware flash` does and starts it with outer.py. Argument: ROOT.

The interpreter's own _boot.py mounts the whole storage or formats it; a block beyond the first two that it touches, or
a byte of the ring, is an exception.
"""

import sys

import vfs

ARGV = globals().get("ARGV") or sys.argv
BLOCKS = 212
RING_BLOCKS = 32
DATA = bytearray(b"\xff" * 4096 * BLOCKS)


class Flash:
    def __init__(self, start=0, len=4096 * BLOCKS):
        self._start = start
        self._len = len

    def readblocks(self, block, buf, offset=0):
        at = self._start + block * 4096 + offset
        buf[:] = memoryview(DATA)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        at = self._start + block * 4096 + offset
        for i in range(len(buf)):
            DATA[at + i] &= buf[i]

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._len // 4096
        if operation == 5:
            return 4096
        if operation == 6:
            at = self._start + argument * 4096
            DATA[at : at + 4096] = b"\xff" * 4096
        return 0


class Rp2:
    pass


Rp2.Flash = Flash
sys.modules["rp2"] = Rp2


class Vfs:
    """The port's `vfs` with the host's files left in place."""

    VfsLfs2 = vfs.VfsLfs2
    root = None

    @staticmethod
    def umount(where):
        Vfs.root = None

    @staticmethod
    def mount(system, where):
        Vfs.root = system


sys.modules["vfs"] = Vfs


def interpreter_boot():
    """What rp2's _boot.py does."""
    flash = Flash()
    try:
        system = vfs.VfsLfs2(flash, progsize=256)
    except OSError:
        vfs.VfsLfs2.mkfs(flash, progsize=256)
        system = vfs.VfsLfs2(flash, progsize=256)
    Vfs.mount(system, "/")


with open(ARGV[1] + "/firmware_py/boot/outer.py") as file:
    OUTER = file.read()
with open(ARGV[1] + "/firmware_py/tooling/rp2_setup.py") as file:
    SETUP = file.read()


def opened(path, mode="r"):
    return Vfs.root.open(path, mode)


interpreter_boot()
exec(SETUP, {"OUTER": OUTER, "open": opened})
with Vfs.root.open("/boot.py", "w") as file:
    file.write("started.append(1)")
ring = 4096 * (BLOCKS - RING_BLOCKS)
DATA[ring : ring + 4096] = b"r" * 4096
outer = bytes(DATA[:8192])
started = []
for i in range(50):
    interpreter_boot()
    exec(OUTER, {"open": opened, "started": started})
    with Vfs.root.open("/file%d" % (i % 7), "w") as file:
        file.write("x" * 20_000)
assert len(started) == 50
assert bytes(DATA[:8192]) == outer
assert bytes(DATA[ring : ring + 4096]) == b"r" * 4096
print("started", len(started))
