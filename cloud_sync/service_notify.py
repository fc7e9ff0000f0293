"""What a process tells the supervisor that started it: systemd's notify protocol, datagrams to $NOTIFY_SOCKET.

Source: sd_notify(3). Without that variable (a shell, a test, another supervisor) everything here does nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

__all__ = ["ServiceNotify"]


class ServiceNotify:
    """`ready` once, `ping` again and again, `status` at will, `stopping` at the end. Never blocks, never raises."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._address = _address(given.get("NOTIFY_SOCKET", ""))
        self._status = ""
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @property
    def is_watched(self) -> bool:
        """Whether anybody listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """The service does its work from now on."""
        self._status = status
        self._say("READY=1", *([f"STATUS={status}"] if status else []))

    def ping(self) -> None:
        """The service lives; without this for WatchdogSec it is ended and started anew."""
        self._say("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; told only when it changes."""
        if text != self._status:
            self._status = text
            self._say(f"STATUS={text}")

    def stopping(self) -> None:
        """The service ends in order."""
        self._say("STOPPING=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *lines: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), self._address)
        except OSError:
            # A supervisor that does not read: losing a word to it is better than waiting for it.
            return


def _address(text: str) -> str | None:
    if text.startswith("/"):
        return text
    return f"\0{text[1:]}" if text.startswith("@") else None
