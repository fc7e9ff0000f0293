"""What technicians do from the platform: answer a walk test's alarm, start the firmware staged for belts."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from gateway.app import Gateway
from gateway.belt_rollout import BUNDLE_FILE, FEATURE_UPDATE
from gateway.commands.update import main
from gateway.cores.walk_test import ANSWER_MS
from protocol.wire import frames
from tests.gateway.small_gateway import Talk, compressed_clock
from tests.integration.chromium import opened, picture, quiet, serious
from tests.integration.cloud.parts import Broker
from tests.integration.cloud.test_platform_commands import PIN, csrf, platform, room, signed_in

pytestmark = pytest.mark.asyncio(loop_scope="module")  # as the browser

FIRMWARE = "/gateways/gw-01/belts"


@pytest.fixture(autouse=True)
def compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compressed_clock().items():
        monkeypatch.setenv(name, value)


async def to_acknowledging(talk: Talk) -> None:
    """A walk test of bed A as far as its last steps: what a body would have to do is left out."""

    async def ask(operation: str, **arguments: Any) -> dict[str, Any]:
        return await talk.gateway.operations.call(operation, arguments, "tina")

    talk.open()
    test = await ask("walk_start", bed="A")
    while test["step"] != "acknowledge":
        step = next(each for each in test["steps"] if each["step"] == test["step"])
        if step["state"] == "failed":
            test = await ask("walk_skip")
        elif step["state"] == "waiting":
            test = await ask("walk_go")
        elif step["step"] == "roll":
            test = await ask("walk_done")
        elif step["step"] == "alarm" and not step["evidence"]["not_heard"]:
            for channel in test["channels"]:
                test = await ask("walk_confirm", channel=channel, heard=False)
        else:
            talk.report("occupied", 0)
            await talk.gateway.clock.sleep(1.0)
            test = (await ask("state"))["walk"]
    await ask("walk_go")


async def shown_test(client: httpx.AsyncClient) -> str:
    """The id of the test alarm, once the page of devices has its button."""
    async with asyncio.timeout(20):
        while True:
            found = re.search(r'name="test" value="([0-9a-f]+)"', (await client.get("/devices")).text)
            if found is not None:
                return found[1]
            await asyncio.sleep(0.1)


async def acknowledging(gateway: Gateway) -> dict[str, Any]:
    """That step as it stands."""
    walk = (await gateway.operations.call("state", {}, "tina"))["walk"]
    step: dict[str, Any] = next(step for step in walk["steps"] if step["step"] == "acknowledge")
    return step


async def audited(gateway: Gateway) -> list[tuple[str, str, str, str]]:
    """(kind, who, bed, detail) of the audit, once it is committed."""
    await gateway.clock.sleep(20.0)
    return [(row.kind, row.who, row.bed, row.detail) for _, row in await gateway.management.audit(50)]


async def test_the_platform_is_a_point_of_the_walk_test_and_its_signed_answer_counts_with_its_time(
    tmp_path: Path,
) -> None:
    broker = Broker()
    broker.start()
    async with (
        platform(tmp_path, broker) as ready,
        room(tmp_path, broker, ready.platform_key, alarm=False) as talk,
        signed_in(ready, "technician") as client,
    ):
        await to_acknowledging(talk)
        gateway = talk.gateway
        asked = {"csrf": await csrf(client, "/devices"), "test": await shown_test(client)}
        answer = await client.post("/acknowledge-test", data=asked)
        assert answer.headers["location"] == "/devices?told=done"
        assert "The gateway has confirmed it" in (await client.get("/devices?told=done")).text
        step = await acknowledging(gateway)
        assert step["state"] == "running"  # the page is still to press, and nothing any more here
        assert gateway.operations.test_alarm == ("", "")
        assert 0 <= step["evidence"]["way_ms"]["platform"] <= step["evidence"]["latency_ms"]["platform"] <= 2000
        # The alarm that was answered is over: what names it again answers nothing.
        again = await client.post("/acknowledge-test", data=asked)
        assert again.headers["location"] == "/devices?told=other_alarm"
        await gateway.operations.call("walk_acknowledge", {}, "tina")
        step = await acknowledging(gateway)
        assert (step["state"], set(step["evidence"]["latency_ms"])) == ("passed", {"page", "platform"})
        assert gateway.room.counters["alarms_raised"] == 0
        assert ("test_acknowledged", "technician", "A", "platform") in await audited(gateway)
        async with signed_in(ready, "display") as screen:
            refused = await screen.post("/acknowledge-test", data={**asked, "csrf": await csrf(screen, "/wall")})
            assert refused.status_code == 403
    broker.stop()


async def test_a_platform_that_may_not_command_is_no_point_and_one_that_does_not_answer_fails_the_step(
    tmp_path: Path,
) -> None:
    broker = Broker()
    broker.start()
    async with room(tmp_path, broker, "00" * 32, alarm=False) as talk:
        await to_acknowledging(talk)
        await talk.gateway.operations.call("walk_acknowledge", {}, "tina")
        await talk.gateway.clock.sleep(ANSWER_MS / 1000 + 5)
        step = await acknowledging(talk.gateway)
        assert (step["reason"], step["evidence"]["missing"]) == ("no_answer", ["platform"])
        assert talk.gateway.operations.test_alarm == ("", "")
    broker.stop()


def staged(folder: Path) -> None:
    """A signed bundle where the gateway of `room` looks for it."""
    built = folder / "built"
    built.mkdir()
    (built / "1.img").write_bytes(b"pico" * 200)
    (built / "manifest.json").write_text(json.dumps(
        {"version": "0.3.0", "boards": {"pico": {"model": 1, "image": "1.img"}}}))  # fmt: skip
    assert main(["keygen", "--out", str(folder / "made")]) == 0
    (folder / "keys").mkdir()
    shutil.copy(folder / "made/public.pem", folder / "keys/site.pem")
    assert main(["sign", str(built), "--key", str(folder / "made/private.pem")]) == 0
    (folder / "data").mkdir(exist_ok=True)
    shutil.copy(built / "belts.update", folder / "data" / BUNDLE_FILE)


async def goes_on(talk: Talk) -> None:
    """The belt of an empty bed."""
    while True:
        talk.report("empty", 60)
        await talk.gateway.clock.sleep(1.0)


async def firmware_page(client: httpx.AsyncClient) -> str:
    async with asyncio.timeout(20):
        while True:
            answer = await client.get(FIRMWARE)
            if answer.status_code == 200:
                return answer.text
            await asyncio.sleep(0.1)


async def test_a_technician_starts_the_staged_firmware_and_no_belt_begins_while_an_alarm_is_open(
    tmp_path: Path,
) -> None:
    staged(tmp_path)
    broker = Broker()
    broker.start()
    async with platform(tmp_path, broker) as ready:
        # A gateway that trusts nobody's updates says so, and nothing has begun.
        async with (
            room(tmp_path, broker, ready.platform_key, alarm=False) as talk,
            signed_in(ready, "technician") as client,
        ):
            assert "Update the belts" in await firmware_page(client)
            answer = await client.post(FIRMWARE, data={"csrf": await csrf(client, FIRMWARE), "do": "start"})
            assert answer.status_code == 409
            assert "cannot be used" in answer.text
            assert talk.gateway.rollout.status()["target"] == ""
        async with (
            room(tmp_path, broker, ready.platform_key, keys="keys") as talk,
            signed_in(ready, "technician") as client,
        ):
            await firmware_page(client)
            token = await csrf(client, FIRMWARE)
            talk.open(features=FEATURE_UPDATE)
            speaking = asyncio.create_task(goes_on(talk))
            answer = await client.post(FIRMWARE, data={"csrf": token, "do": "start"})
            assert answer.headers["location"] == f"{FIRMWARE}?told=start"
            page = (await client.get(f"{FIRMWARE}?told=start")).text
            assert "The gateway has confirmed: the update has begun." in page
            assert "Update to 0.3.0" in page
            assert "waits: an alarm is open in the room" in page
            assert ("belt_update_started", "technician", "", "0.3.0") in await audited(talk.gateway)
            assert frames.UPDATE_BEGIN not in [kind for kind, _ in talk.radio.sent]
            speaking.cancel()
            answer = await client.post(FIRMWARE, data={"csrf": token, "do": "stop"})
            assert answer.headers["location"] == f"{FIRMWARE}?told=stop"
            assert talk.gateway.rollout.status()["target"] == ""
            assert (await client.post(FIRMWARE, data={"csrf": token, "do": "all"})).status_code == 400
            assert (await client.get("/gateways/gw-02/belts")).status_code == 404
            assert (await client.post(FIRMWARE, data={"csrf": "0" * 64, "do": "start"})).status_code == 403
        # Without the gateway: not delivered, and never "begun".
        async with signed_in(ready, "technician") as client:
            answer = await client.post(FIRMWARE, data={"csrf": token, "do": "start"})
            assert answer.status_code == 403  # the token of another session
            answer = await client.post(FIRMWARE, data={"csrf": await csrf(client, "/devices"), "do": "start"})
            assert (answer.status_code, "Not delivered" in answer.text) == (504, True)
        for role in ("carer", "lead", "display"):
            async with signed_in(ready, role) as client:
                assert (await client.get(FIRMWARE)).status_code == 403
                front = "/wall" if role == "display" else "/devices"
                answer = await client.post(FIRMWARE, data={"csrf": await csrf(client, front), "do": "start"})
                assert answer.status_code == 403
    broker.stop()


@pytest.mark.parametrize(("language", "confirmed", "begun"), [
    ("en", "The gateway has confirmed it", "the update has begun"),
    ("zh", "网关已回复", "升级已开始"),
])  # fmt: skip
async def test_on_a_phone_the_test_alarm_is_answered_and_the_firmware_started(
    browser: Browser, tmp_path: Path, language: str, confirmed: str, begun: str
) -> None:
    staged(tmp_path)
    broker = Broker()
    broker.start()
    async with (
        platform(tmp_path, broker) as ready,
        room(tmp_path, broker, ready.platform_key, alarm=False, keys="keys") as talk,
        signed_in(ready, "technician") as client,
    ):
        await to_acknowledging(talk)
        await shown_test(client)
        page = await opened(browser, f"{ready.http.rstrip('/')}/login", language, 360, 740)
        await page.select_option("[name=account]", "technician")
        await page.fill("[name=pin]", PIN)
        await page.click("main form button[type=submit]")
        await page.wait_for_url("**/devices")
        await checked(page, f"platform-test-alarm-{language}")
        await page.click('button[name="test"]')
        await expect(page.locator(".told.good")).to_contain_text(confirmed)
        assert "platform" in (await acknowledging(talk.gateway))["evidence"]["latency_ms"]
        async with asyncio.timeout(20):  # until the gateway's next picture has come
            while await page.locator('button[name="test"]').count():
                await page.reload()
        await page.click('a[href="/gateways/gw-01/belts"]')
        await page.click('button[name="do"][value="start"]')
        await expect(page.locator(".note.good")).to_contain_text(begun)
        assert talk.gateway.rollout.status()["target"] == "0.3.0"
        await checked(page, f"platform-belt-firmware-{language}")
        await page.click('button[name="do"][value="stop"]')
        await expect(page.locator(".note.good")).to_be_visible()
        quiet(page)
        await page.context.close()
    broker.stop()


async def checked(page: Page, name: str) -> None:
    """Nothing serious for axe, nothing wider than the phone."""
    assert await serious(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await picture(page, name, whole=True)
