"""A gateway whose disk may not be written for a while: `python -m tests.gateway.room_on_bad_disk FOLDER`, JSON out.

What the kernel does to a file system with errors, to this process alone: no write to an open file succeeds (no file may
grow beyond nothing), nothing in the folder may be made or removed (it is somebody else's and closed).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import urllib.request
from pathlib import Path
from typing import Any

from gateway.store_files import StoreFiles
from tests.gateway.cores.belt_talk import minute
from tests.gateway.small_gateway import Talk, compressed_clock, configuration, running

NOBODY = 65_534


class Disk:
    """The data folder's disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._is_root = os.geteuid() == 0

    def turn_read_only(self) -> None:
        for path in self._paths():
            path.chmod(0o555 if path.is_dir() else 0o444)
        if self._is_root:
            os.seteuid(NOBODY)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limits[1]))

    def turn_writable(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
        if self._is_root:
            os.seteuid(0)
        for path in self._paths():
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _paths(self) -> list[Path]:
        return [self._folder, *(path for path in self._folder.iterdir() if not path.is_socket())]


class Lines(logging.Handler):
    """The log's lines."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def buzzer_sound(talk: Talk) -> str:
    (buzzer,) = [c for c in talk.gateway._alerting.alerter.channels if c.name == "buzzer"]
    return str(buzzer.deliveries[-1].signal.sound) if buzzer.deliveries else ""


def page(talk: Talk, path: str) -> str:
    with urllib.request.urlopen(talk.gateway.page.rstrip("/") + path, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


async def play(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = {}
    log = Lines()
    logging.getLogger().addHandler(log)
    logging.getLogger().setLevel(logging.INFO)
    config = configuration(folder)
    disk = Disk(config.gateway.data_dir)
    async with running(config) as talk:
        talk.open()
        await talk.until(lambda bed: bed["armed"], keep=lambda: talk.report("occupied", 500))
        talk.hear(minute(1, talk.uptime_s))
        while 1 not in talk.radio.acked():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.to_thread(page, talk, "/metrics")  # what it imports may be closed to nobody
        disk.turn_read_only()
        talk.hear(minute(2, talk.uptime_s + 60))
        talk.report("occupied", 500, uptime_ms=(talk.uptime_s + 61) * 1000)
        talk.uptime_s += 61
        await talk.until(lambda bed: bed["alarm"]["state"] == "unacknowledged", keep=lambda: talk.report("empty", 6))
        await talk.until(lambda _: buzzer_sound(talk) == "medium")
        said["alarmed on a read-only disk"] = True
        await asyncio.sleep(1.5)
        said["acked meanwhile"] = talk.radio.acked()
        said["failing"] = talk.gateway.summary()["store_failing"]
        said["metrics"] = "sleepbelt_store_failing 1.0" in await asyncio.to_thread(page, talk, "/metrics")
        said["notices"] = [notice["code"] for notice in talk.gateway.port.snapshot()["notices"]]
        disk.turn_writable()
        async with asyncio.timeout(20):
            while 2 not in talk.radio.acked():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        said["failing afterwards"] = talk.gateway.summary()["store_failing"]
        said["readings"] = talk.gateway.summary()["readings_received"]
    lines = ("the store cannot write", "the store writes again")
    said["log"] = [sum(text in line for line in log.said) for text in lines]
    files = StoreFiles(config.gateway.data_dir)
    said["repairs"] = len(files.repairs)
    said["alarms stored"] = sum(row.event == "alarm_raise" for row in files.events("A", 0, 2**50))
    said["stored"] = talk.gateway.summary()["readings_stored"]
    files.close()
    return said


if __name__ == "__main__":
    os.environ.update(compressed_clock())
    print(json.dumps(asyncio.run(play(Path(sys.argv[1])))))
