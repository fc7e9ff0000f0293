"""watch: a whole gateway tells its supervisor how it is, and what it serves about itself stays on this machine."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from cloud_sync.service_notify import ServiceNotify
from gateway.cores.air import BeltAir
from gateway.cores.health import Verdict
from gateway.metrics import metric_routes
from gateway.watch import HEALTH_FILE, Watch
from tests.gateway.small_gateway import SpokenRadio, compressed_clock, configuration, running

PATIENCE_S = 20


@pytest.fixture(autouse=True)
def compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compressed_clock().items():
        monkeypatch.setenv(name, value)


async def said_until(heard: socket.socket, wanted: str) -> list[str]:
    said: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while not said or wanted not in said[-1]:
            said.append((await asyncio.get_running_loop().sock_recv(heard, 4096)).decode())
    return said


async def test_a_gateway_is_ready_pings_while_it_hears_and_says_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        async with running(configuration(tmp_path)) as talk:
            talk.open()
            await talk.until(lambda bed: bed["armed"], keep=lambda: talk.report("occupied", 500))
            assert "READY=1" in (await said_until(heard, "WATCHDOG=1"))[0]
            await said_until(heard, "hearing belts")
            stands = json.loads((tmp_path / HEALTH_FILE).read_text("utf-8"))
            async with httpx.AsyncClient() as client:
                health = (await client.get(f"{talk.gateway.page}api/health")).json()
        await said_until(heard, "STOPPING=1")
    assert stands["state"] in ("starting", "ok")
    assert stands["open_beds"] == []
    assert health["state"] == "ok"
    assert not (tmp_path / HEALTH_FILE).exists()


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    watch = Watch(1, "1.0", ServiceNotify({}), tmp_path / "none")
    watch.reading()
    watch.beat(SpokenRadio(), lambda: (), lambda: (), lambda: ())
    assert watch.verdict.state == "ok"


async def answers(routes: list[Route], host: str, *paths: str) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app=Starlette(routes=routes), client=(host, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return [await client.get(path) for path in paths]


@pytest.mark.parametrize(("host", "code"), [("127.0.0.1", 200), ("::1", 200), ("192.168.1.9", 403), ("nobody", 403)])
async def test_figures_are_told_to_this_machine_alone(host: str, code: int) -> None:
    routes = metric_routes(lambda: {"beacons": 3, "healthy": 1}, lambda: Verdict(True, "ok", (), "hearing belts"))
    found = await answers(routes, host, "/metrics", "/api/stats", "/api/health")
    assert [answer.status_code for answer in found] == [code] * 3


async def test_a_degraded_gateway_answers_503() -> None:
    routes = metric_routes(dict, lambda: Verdict(True, "degraded", ("radio_down",), "degraded: radio_down"))
    [answer] = await answers(routes, "127.0.0.1", "/api/health")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["radio_down"])


async def test_metrics_are_what_prometheus_reads() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    routes = metric_routes(lambda: {"beacons": 3, "healthy": 1}, lambda: Verdict(True, "ok", (), ""))
    [answer] = await answers(routes, "127.0.0.1", "/metrics")
    kinds = {family.name: family.type for family in text_string_to_metric_families(answer.text)}
    assert kinds == {"sleepbelt_beacons": "counter", "sleepbelt_healthy": "gauge"}


async def test_each_belt_has_its_strength_loss_and_age_among_the_metrics() -> None:
    air = {bytes(8): BeltAir(-61.5, 12.5, 0.4), bytes([1] * 8): BeltAir(None, None, None)}
    routes = metric_routes(dict, lambda: Verdict(True, "ok", (), ""), lambda: air)
    [answer] = await answers(routes, "127.0.0.1", "/metrics")
    assert 'sleepbelt_belt_rssi_dbm{belt="0000000000000000"} -61.5' in answer.text
    assert 'sleepbelt_belt_beacon_loss_percent{belt="0000000000000000"} 12.5' in answer.text
    assert "0101010101010101" not in answer.text
