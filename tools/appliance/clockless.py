"""A board without a clock and without a network: alarms keep their time, records get theirs once the clock is set."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from tools.appliance.story import Story, expect

__all__ = ["tell"]

ALLOWED_MS = 60_000
SLACK_MS = 20_000
NEAR_MS = 120_000
DAY_MS = 86_400_000
# A time server of the home's network, at last: it knows what this machine's host says (RFC 5905, figure 8).
TIME_SERVER = """\
import socket, struct, sys, time
ahead = float(sys.argv[1]) - time.monotonic()
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 123))
while True:
    asked, peer = server.recvfrom(512)
    seconds = time.monotonic() + ahead + 2208988800
    now = struct.pack("!II", int(seconds), int(seconds % 1 * 2**32))
    head = struct.pack("!BBbbII4s", 0x24, 1, 4, -20, 0, 0, b"GPS\\0")
    server.sendto(head + now + asked[40:48] + now + now, peer)
"""
# The gateway holds its files alone: they are looked into by a copy, as `sleepbelt night` does it.
COPY = """\
import json, sqlite3, sys
from pathlib import Path
from gateway.store_copy import events_copy, store_copy
FOLDER = Path("/var/lib/sleepbelt")
"""
NEWEST = COPY + """\
what = "SELECT elapsed_ms, utc_ms, trusted FROM events WHERE bed = '201-1' AND event = ? ORDER BY id DESC LIMIT 1"
with events_copy(FOLDER) as db:
    print(json.dumps(db.execute(what, (sys.argv[1],)).fetchone()))
"""
STARTS = COPY + """\
with store_copy(FOLDER, None) as copy:
    files = map(sqlite3.connect, copy.glob("vitals-*.db"))
    print(json.dumps([row[0] for file in files for row in file.execute("SELECT start_utc_ms FROM chunks")]))
"""
PYTHON = "/opt/sleepbelt/bin/python"
TIMESYNCD = "[Time]\nNTP=127.0.0.1\nFallbackNTP=\n"


def tell(story: Story) -> None:
    """A boot in 1970, an alarm, and the clock set in the middle of it."""
    story.machine.clock = "1970-01-01T00:00:00"
    story.machine.forget_time()
    story.begin(leaves=(110, 400))
    machine = story.machine
    with story.step("it starts in another year; nobody can tell the time: the gateway does not believe it") as seen:
        seen["clock"] = machine.run("date -u +%FT%TZ")
        expect(abs(_utc_ms(story) - time.time() * 1000) > 3_600_000, "its clock is right by itself")
        expect(machine.run("test -e /run/systemd/timesync/synchronized; echo $?") == "1", "timesyncd has synchronised")
        expect(story.stats()["clock_trusted"] == 0, "the gateway believes the clock")
        (finding, *_) = story.findings("time")
        expect(finding["level"] == "fail" and finding["advice"] != "", str(finding))
        seen["doctor"] = finding["found"]
    with story.step("the alarm fires all the same, by elapsed time") as seen:
        story.alarm()
        story.until(lambda: _event(story, "alarm_raise"), "the alarm on the disk")
        left, raised = _event(story, "exit"), _event(story, "alarm_raise")
        after_ms = raised["elapsed_ms"] - left["elapsed_ms"]
        seen["exit to alarm"] = f"{after_ms / 1000:.1f} s"
        expect(not raised["trusted"], "its time is said to be right")
        expect(ALLOWED_MS - SLACK_MS <= after_ms <= ALLOWED_MS + SLACK_MS, str((left, raised)))
    story.until(lambda: _minutes(story)["wrong"] > 0, "minutes of readings with a wrong time")
    with story.step("the network's time server answers: decades pass, the alarm stands, raised once") as seen:
        raised_before = story.stats()["alarms_raised"]
        machine.write("/run/time_server.py", TIME_SERVER)
        machine.write("/etc/systemd/timesyncd.conf.d/test.conf", TIMESYNCD)
        machine.run(f"systemd-run --quiet --unit=time-server python3 /run/time_server.py {time.time():.3f}")
        machine.run("systemctl restart systemd-timesyncd")
        story.until(lambda: story.stats()["clock_trusted"] == 1, "a clock that is believed")
        seen["clock"] = machine.run("date -u +%FT%TZ")
        expect(abs(_utc_ms(story) - time.time() * 1000) < NEAR_MS, f"the clock is at {seen['clock']}")
        stats = story.stats()
        expect((stats["beds_alarming"], stats["alarms_raised"]) == (1, raised_before), str(stats))
    with story.step("what was recorded before has its true time now") as seen:
        story.until(lambda: _event(story, "alarm_raise")["trusted"], "the alarm's true time")
        event = _event(story, "alarm_raise")
        expect(0 < time.time() * 1000 - event["utc_ms"] < 1_800_000 * machine.patience, str(event))
        seen["alarm"] = time.strftime("%FT%TZ", time.gmtime(event["utc_ms"] / 1000))
        story.until(lambda: _minutes(story)["wrong"] == 0, "minutes of readings at their true time")
        seen["minutes of readings"] = _minutes(story)["right"]
        seen["audit"] = machine.run("sleepbelt audit --store /var/lib/sleepbelt --verify | head -1")
        expect(seen["audit"].startswith("good"), seen["audit"])


def _utc_ms(story: Story) -> int:
    return int(story.machine.run("date +%s")) * 1000


def _event(story: Story, kind: str) -> dict[str, Any]:
    """The newest line of the log of bed 201-1 of a kind, as it is on the disk; KeyError if there is none."""
    said = story.machine.run(f"{PYTHON} -c {shlex.quote(NEWEST)} {kind}")
    found: list[Any] | None = json.loads(said)
    if found is None:
        raise KeyError(kind)
    return dict(zip(("elapsed_ms", "utc_ms", "trusted"), found, strict=True))


def _minutes(story: Story) -> dict[str, int]:
    """How many chunks of readings have a start that is right to a day, and how many one that is not."""
    starts = json.loads(story.machine.run(f"{PYTHON} -c {shlex.quote(STARTS)}"))
    wrong = sum(abs(start - time.time() * 1000) > DAY_MS for start in starts)
    return {"right": len(starts) - wrong, "wrong": wrong}
