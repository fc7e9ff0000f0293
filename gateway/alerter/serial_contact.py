"""A relay on the control lines of a serial port, for machines without GPIO: a USB adapter's DTR and RTS hold the coil.

The kernel lets both lines fall when the port is closed, also when the process that held it is killed (HUPCL), and an
adapter that is pulled out holds nothing: so the contact fails open, as on a pin.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import stat
import termios

__all__ = ["SerialContact", "check_serial_port"]

LINES = termios.TIOCM_DTR | termios.TIOCM_RTS


def check_serial_port(path: str) -> str | None:
    """What is wrong with `path` as a serial port, None if it is one."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISCHR(mode):
        return f"{path} is no serial port"
    return None


class SerialContact:
    """The contact of relay_process.py on a serial port; OSError names a port that cannot hold one."""

    def __init__(self, path: str) -> None:
        if (wrong := check_serial_port(path)) is not None:
            raise OSError(wrong)
        self._path = path
        try:
            self._port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise OSError(f"{path}: {error.strerror}") from error
        try:
            settings = termios.tcgetattr(self._port)
            settings[2] |= termios.HUPCL | termios.CLOCAL
            termios.tcsetattr(self._port, termios.TCSANOW, settings)
            fcntl.ioctl(self._port, termios.TIOCEXCL)
            self.hold(False)
        except (OSError, termios.error) as error:
            os.close(self._port)
            raise OSError(f"{path} has no control lines that could hold a relay ({error})") from error

    def hold(self, energised: bool) -> None:
        """Raise or drop both lines."""
        request = termios.TIOCMBIS if energised else termios.TIOCMBIC
        fcntl.ioctl(self._port, request, array.array("i", [LINES]))

    def pulse(self) -> None:
        """No pin for an external timer here; the lines' own fall is what a timer may watch."""

    @property
    def energised(self) -> bool:
        """What the lines show, read back."""
        lines = array.array("i", [0])
        fcntl.ioctl(self._port, termios.TIOCMGET, lines, True)
        return lines[0] & LINES == LINES

    def close(self) -> None:
        """Drop the lines and give the port back; an adapter that was pulled out has dropped them already."""
        with contextlib.suppress(OSError):
            self.hold(False)
        os.close(self._port)
