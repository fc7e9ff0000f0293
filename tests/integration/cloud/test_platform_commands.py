"""The way down: a carer acknowledges on the platform, a lead changes a bed; only the belt is played."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from cloud_sync.clock import Clock
from cloud_sync.mqtt import connect, parse_broker_url
from cloud_sync.pages.pins import hash_pin
from cloud_sync.pages.settings import Account, WebSettings
from cloud_sync.receiver.app import Ready, serve
from cloud_sync.receiver.commander import NOT_DELIVERED, Commander, open_command_key
from cloud_sync.receiver.settings import COMMAND_KEY, ReceiverSettings
from protocol.command import ACKNOWLEDGE, DONE, REPLAYED, Command, decode_answer, encode_command
from tests.gateway.small_gateway import Talk, compressed_clock, configuration, running
from tests.gateway.test_app import alarmed
from tests.integration.cloud.parts import Broker, free_port

PIN = "4827"
ACCOUNTS = tuple(Account(role, role, hash_pin(PIN)) for role in ("carer", "lead", "technician", "display"))


@pytest.fixture(autouse=True)
def compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compressed_clock().items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def platform(folder: Path, broker: Broker) -> AsyncIterator[Ready]:
    residents = folder / "residents.toml"
    residents.write_text('[[resident]]\nname = "Lin Mei"\ngateway = "gw-01"\nbed = "A"\nid = "r1"\n', "utf-8")
    web = WebSettings(host="127.0.0.1", port=free_port(), language="en", accounts=ACCOUNTS)
    settings = ReceiverSettings(folder / "platform", broker.url, residents=residents, web=web)
    stop, told = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, told.set_result, stop))
    await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield told.result()
    finally:
        stop.set()
        await task


@asynccontextmanager
async def signed_in(ready: Ready, role: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=ready.http, timeout=10) as client:
        answer = await client.post("/login", data={"account": role, "pin": PIN, "csrf": await csrf(client, "/login")})
        assert answer.status_code == 303
        yield client


async def csrf(client: httpx.AsyncClient, path: str) -> str:
    found = re.search(r'name="csrf" (?:value|content)="([0-9a-f]+)"', (await client.get(path)).text)
    assert found is not None
    return found[1]


async def shown_alarm(client: httpx.AsyncClient) -> str:
    """The id of the open alarm, once the residents' page has its button."""
    async with asyncio.timeout(20):
        while True:
            found = re.search(r'name="alarm" value="([0-9a-f]+)"', (await client.get("/residents")).text)
            if found is not None:
                return found[1]
            await asyncio.sleep(0.1)


@asynccontextmanager
async def room(folder: Path, broker: Broker, key: str, *, alarm: bool = True, keys: str = "") -> AsyncIterator[Talk]:
    """`keys`: the folder of the keys whose updates of belts are taken."""
    uplink = f'[uplink]\nurl = "{broker.url}"\nplatform_key = "{key}"\n'
    config = configuration(folder, more=uplink)
    config = replace(config, gateway=replace(config.gateway, update_keys=folder / (keys or "none")))
    async with running(config) as talk:
        if alarm:
            await alarmed(talk)
        yield talk


async def test_an_acknowledgement_on_the_platform_silences_the_room_within_two_seconds(tmp_path: Path) -> None:
    broker = Broker()
    broker.start()
    async with (
        platform(tmp_path, broker) as ready,
        room(tmp_path, broker, ready.platform_key) as talk,
        signed_in(ready, "carer") as client,
    ):
        form = {"csrf": await csrf(client, "/residents"), "back": "/residents", "alarm": await shown_alarm(client)}
        answer = await client.post("/acknowledge", data=form)
        # "done" is told only of an answer that came within commander.ANSWER_S.
        assert answer.headers["location"] == "/residents?told=done"
        assert talk.gateway.port.snapshot()["beds"][0]["alarm"]["state"] == "acknowledged"
        page = (await client.get("/residents?told=done")).text
        assert "The gateway has confirmed it" in page
        # The same alarm once more: it is answered, and the page says that there is nothing left to do.
        again = await client.post("/acknowledge", data=form)
        assert again.headers["location"] in ("/residents?told=ack_ignored", "/residents?told=other_alarm")
    broker.stop()


async def test_without_the_gateway_the_platform_says_not_delivered(tmp_path: Path) -> None:
    broker = Broker()
    broker.start()
    async with platform(tmp_path, broker) as ready:
        async with room(tmp_path, broker, ready.platform_key), signed_in(ready, "carer") as client:
            alarm = await shown_alarm(client)
        async with signed_in(ready, "carer") as client:
            form = {"csrf": await csrf(client, "/alarms"), "back": "/alarms", "alarm": alarm}
            answer = await client.post("/acknowledge", data=form)
            assert answer.headers["location"] == "/alarms?told=not_delivered"
            assert "Not delivered" in (await client.get("/alarms?told=not_delivered")).text
    broker.stop()


async def test_a_gateway_that_trusts_another_key_does_nothing(tmp_path: Path) -> None:
    broker = Broker()
    broker.start()
    other = open_command_key(tmp_path / "other.key").public_key().public_bytes_raw().hex()
    async with platform(tmp_path, broker) as ready, room(tmp_path, broker, other) as talk:
        async with signed_in(ready, "carer") as client:
            form = {"csrf": await csrf(client, "/residents"), "back": "/residents", "alarm": await shown_alarm(client)}
            assert (await client.post("/acknowledge", data=form)).headers["location"].endswith("told=not_delivered")
        assert talk.gateway.port.snapshot()["beds"][0]["alarm"]["state"] == "unacknowledged"
    broker.stop()


async def test_a_lead_changes_a_beds_settings_and_the_gateway_confirms_them(tmp_path: Path) -> None:
    broker = Broker()
    broker.start()
    async with platform(tmp_path, broker) as ready, room(tmp_path, broker, ready.platform_key, alarm=False) as talk:
        await talk.until(lambda bed: True)
        async with signed_in(ready, "lead") as client:
            page = await connected_page(client)
            texts = dict(re.findall(r'<input [^>]*name="(\w+)"[^>]*type="time"[^>]*value="([^"]*)"', page))
            form = {**texts, "csrf": await csrf(client, "/beds/gw-01/A"), "seen": "0", "profile": "high-fall-risk",
                    "hours": "profile", "allowed": "7.5", "why": "restless this week"}  # fmt: skip
            answer = await client.post("/beds/gw-01/A", data=form)
            assert answer.headers["location"] == "/beds/gw-01/A?saved=1"
            plan = talk.gateway.management.plan("A")
            assert plan is not None
            assert plan.saved is not None
            assert (plan.saved.profile, plan.saved.allowed_s, plan.row.who if plan.row else "") == (
                "high-fall-risk", 450, "lead")  # fmt: skip
            assert "version 1 is in force" in (await client.get("/beds/gw-01/A?saved=1")).text
            bad = await client.post("/beds/gw-01/A", data={**form, "seen": "1", "allowed": "-3"})
            assert bad.status_code == 422
            assert "A number of minutes from 0 to 1440." in bad.text
            late = await client.post("/beds/gw-01/A", data={**form, "seen": "0"})
            assert late.status_code == 409
            assert "Somebody else has saved" in late.text
            assert (await client.get("/beds/gw-01/B")).status_code == 404
        async with signed_in(ready, "carer") as client:
            assert (await client.get("/beds/gw-01/A")).status_code == 403
    broker.stop()


async def connected_page(client: httpx.AsyncClient) -> str:
    async with asyncio.timeout(20):
        while True:
            answer = await client.get("/beds/gw-01/A")
            if answer.status_code == 200:
                return answer.text
            await asyncio.sleep(0.1)


async def test_a_recorded_command_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    broker = Broker()
    broker.start()
    key = open_command_key(tmp_path / COMMAND_KEY)
    clock = Clock()
    commander = Commander(parse_broker_url(broker.url), key, clock)
    task = asyncio.create_task(commander.run())
    try:
        async with room(tmp_path, broker, commander.public_key) as talk:
            asked = {"alarm_id": talk.gateway.room.beds["A"].alarm_id}
            codes = [(await commander.ask("gw-01", ACKNOWLEDGE, "A", "carer", asked)).code]
            while codes[-1] == NOT_DELIVERED:
                await talk.gateway.clock.sleep(2.0)
                codes.append((await commander.ask("gw-01", ACKNOWLEDGE, "A", "carer", asked)).code)
            assert codes[-1] == DONE
        recorded = encode_command(Command("gw-01", 5, clock.utc_ms(), ACKNOWLEDGE, "A", "carer", asked), key.sign)
        async with (
            room(tmp_path, broker, commander.public_key, alarm=False),
            connect(parse_broker_url(broker.url), "thief") as link,
        ):
            await link.subscribe("sb/v1/gw-01/answer")
            heard = asyncio.ensure_future(anext(link.messages()))
            async with asyncio.timeout(20):
                while not heard.done():
                    link.send("sb/v1/gw-01/command", recorded, lambda reason: None)
                    await asyncio.wait({heard}, timeout=1)
            assert decode_answer(heard.result()[1]).code == REPLAYED
    finally:
        task.cancel()
        broker.stop()
