"""Stands for mpremote, a folder for the board: FOLDER connect PORT (exec CODE | reset | fs cp A :B [+ fs cp A :B ...]).

Code runs in a real MicroPython whose absolute paths are moved into the folder. `connect list` prints what the folder's
`ports` says, `machine` in it what the board says of itself, `ring` how many partitions of that name an ESP32 has.
"""

import shutil
import subprocess
import sys
from pathlib import Path

board = Path(sys.argv[1])
assert sys.argv[2] == "connect"
arguments = sys.argv[4:]


def said(name: str, otherwise: str) -> str:
    path = board / name
    return path.read_text() if path.exists() else otherwise


if sys.argv[3] == "list":
    print(said("ports", "/dev/ttyACM0 e66 2e8a:0005 MicroPython Board in FS mode"))
    print("/dev/ttyS0 None 0000:0000 None None")
    sys.exit(0)
if (board / "unplugged").exists():
    sys.exit("mpremote: no device found")
if arguments[0] == "exec":
    moved = f"""
import builtins, os, sys
class Os:
    pass
for name in dir(os):
    setattr(Os, name, getattr(os, name))
root = {str(board)!r}
Os.mkdir = lambda path: os.mkdir(root + path)
Os.remove = lambda path: os.remove(root + path)
Os.rmdir = lambda path: os.rmdir(root + path)
Os.ilistdir = lambda path: os.ilistdir(root + path)
Os.statvfs = lambda path: (4096, 4096, 180)
platform, release, machine = {said("machine", "rp2 29 Raspberry Pi Pico W with RP2040").split(" ", 2)!r}
class Uname:
    pass
Uname.machine = machine
Os.uname = lambda: Uname
class Sys:
    implementation = Uname
Sys.platform = platform
Uname.version = (1, int(release), 0)
sys.modules["os"] = Os
sys.modules["sys"] = Sys
class Rp2:
    class Flash:
        def ioctl(self, operation, argument):
            return 212
sys.modules["rp2"] = Rp2
class Esp32:
    class Partition:
        TYPE_DATA = 1
        find = staticmethod(lambda kind, label: [label] * {said("ring", "1")})
sys.modules["esp32"] = Esp32
opened = open
exec({arguments[1]!r}, {{"open": lambda path, mode="r": opened(root + path, mode)}})
"""
    interpreter = Path(sys.executable).parent / "micropython"
    sys.exit(subprocess.run([str(interpreter), "-c", moved], check=False).returncode)
while arguments[:2] == ["fs", "cp"]:
    shutil.copyfile(arguments[2], board / arguments[3].removeprefix(":/"))
    assert arguments[4:5] in ([], ["+"])
    arguments = arguments[5:]
