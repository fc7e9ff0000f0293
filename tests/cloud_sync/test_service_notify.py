"""service_notify: what systemd hears on its socket, and that nobody waits for it."""

from __future__ import annotations

import socket
from pathlib import Path

from cloud_sync.service_notify import ServiceNotify


def listener(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(path)
    listening.settimeout(5)
    return listening


def test_ready_ping_status_and_stopping_are_said_in_systemds_words(tmp_path: Path) -> None:
    with listener(str(tmp_path / "notify")) as heard:
        notify = ServiceNotify({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notify.ready("hearing belts")
        notify.ping()
        notify.status("hearing belts")
        notify.status("degraded:\nradio_down")
        notify.stopping()
        notify.close()
        said = [heard.recv(4096).decode() for _ in range(4)]
    assert said == ["READY=1\nSTATUS=hearing belts", "WATCHDOG=1", "STATUS=degraded: radio_down", "STOPPING=1"]


def test_an_abstract_socket_is_reached_too() -> None:
    with listener("\0sleepbelt-notify-test") as heard:
        notify = ServiceNotify({"NOTIFY_SOCKET": "@sleepbelt-notify-test"})
        notify.ping()
        notify.close()
        assert heard.recv(100) == b"WATCHDOG=1"


def test_without_a_supervisor_nothing_happens() -> None:
    notify = ServiceNotify({})
    notify.ready()
    notify.ping()
    assert not notify.is_watched


def test_a_supervisor_that_is_gone_or_does_not_read_stops_nobody(tmp_path: Path) -> None:
    gone = ServiceNotify({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    gone.ping()
    with listener(str(tmp_path / "deaf")):
        deaf = ServiceNotify({"NOTIFY_SOCKET": str(tmp_path / "deaf")})
        for _ in range(5_000):
            deaf.ping()
        deaf.close()
    gone.close()
