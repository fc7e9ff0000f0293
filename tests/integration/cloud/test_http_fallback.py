"""Without a broker the same batches go by HTTP POST, with the same acks, and nothing is taken from strangers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cloud_sync.clock import Clock
from cloud_sync.http_link import HttpAddress
from cloud_sync.outbox import LANE_ALARM, LANE_VITALS
from cloud_sync.receiver.http_uplink import gateway_token
from cloud_sync.uplink import Uplink, UplinkSettings
from gateway.commands import doctor
from protocol.batch import encode_item
from protocol.clock_scale import REAL_TIME
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.samples import alarm, minute
from tests.integration.cloud.parts import GATEWAY, Receiver, free_port, running

SECRET = "a secret of this test"
TOKEN = gateway_token(SECRET, GATEWAY)


def receiver_of(folder: Path, broker_url: str) -> Receiver:
    config = folder / "receiver.toml"
    config.write_text(f"""\
[receiver]
data = "data"
gateway_token = "{SECRET}"
[receiver.web]
open_access = true
""")
    return Receiver(folder / "data", broker_url, "--config", str(config))


def status_of(url: str, token: str, body: bytes) -> int:
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def test_with_the_broker_away_batches_arrive_once_by_http(tmp_path: Path) -> None:
    away = f"mqtt://127.0.0.1:{free_port()}"
    receiver = receiver_of(tmp_path, away)
    outbox = MemoryOutbox()
    with running(receiver):
        outbox.put(LANE_ALARM, encode_item(alarm()))
        for number in range(20):
            outbox.put(LANE_VITALS, encode_item(minute(number=number)))
        http = HttpAddress(receiver.address, TOKEN)
        settings = UplinkSettings(away, GATEWAY, flush_s=0.1, flush_real_s_min=0.05, http=http)
        uplink = Uplink(outbox, settings, Clock(REAL_TIME))
        task = asyncio.create_task(uplink.run())
        assert await uplink.flush(20)
        assert uplink.status().state == "ok"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        stats = receiver.get("api/stats")
    assert (stats["readings"], stats["alarms"], stats["duplicates"]) == (1200, 1, 0)


def test_posts_without_the_token_too_long_or_to_no_lane_are_refused(tmp_path: Path) -> None:
    receiver = receiver_of(tmp_path, f"mqtt://127.0.0.1:{free_port()}")
    with running(receiver):
        lane = f"{receiver.address}uplink/gw-01/vitals"
        for wrong in ("another token", SECRET, gateway_token(SECRET, "gw-02"), gateway_token("x", GATEWAY), ""):
            assert status_of(lane, wrong, b"x") == 401
        assert status_of(f"{receiver.address}uplink/gw-02/vitals", TOKEN, b"x") == 401  # another one's name
        assert status_of(f"{receiver.address}uplink/gw%2B/vitals", TOKEN, b"x") == 404
        assert status_of(lane, TOKEN, bytes(300_000)) == 413
        assert status_of(f"{receiver.address}uplink/gw-01/live", TOKEN, b"x") == 404
        assert status_of(lane, TOKEN, b"poison") == 200  # quarantined, and answered as unreadable
        assert receiver.get("api/stats")["quarantined"] == 1


def test_the_doctor_tells_whether_the_second_way_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver = receiver_of(tmp_path, f"mqtt://127.0.0.1:{free_port()}")
    config = tmp_path / "gateway.toml"

    def step(url: str, token: str) -> tuple[bool, str, str]:
        (tmp_path / "token").write_text(token)
        config.write_text(
            f'[gateway]\nid = "{GATEWAY}"\ndata_dir = "gateway"\n[uplink]\nurl = "mqtt://127.0.0.1:1"\n'
            f'http_url = "{url}"\nhttp_token_file = "token"\n[[beds]]\nlabel = "101-A"\n'
        )
        doctor.main(["uplink", "--config", str(config), "--json"])
        steps = json.loads(capsys.readouterr().out)["steps"]
        (found,) = [one for one in steps if one["name"] == "HTTP"]
        assert steps[-1]["name"] == "store"
        return found["ok"], found["found"], found["advice"]

    with running(receiver):
        address = receiver.address.rstrip("/")
        assert step(address, TOKEN)[:2] == (True, f"{address} takes us in")
        refused = step(address, SECRET)
        assert refused[:2] == (False, f"{address} refuses our token")
        assert "sleepbelt platform gateway-token" in refused[2]
        assert "it takes no batches" in step(f"{address}/elsewhere", TOKEN)[1]
        assert receiver.get("api/stats")["quarantined"] == 0
    assert "does not answer" in step(address, TOKEN)[1]


def test_an_address_that_is_no_url_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="https"):
        HttpAddress("receiver.example", TOKEN)
