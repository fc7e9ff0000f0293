"""The technician's page over HTTP: who may use it, pictures and taps, words for what is wrong, no resident's data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from cloud_sync.pages.pins import hash_pin
from gateway.backup import restore
from tests.gateway.provisioned import Site, configured, label_of, new_belt, provisioning
from tests.gateway.qr_pictures import nothing, picture
from tests.gateway.spoken_belt import SpokenBelt
from tests.gateway.web.managed_gateway import PIN, Browser, csrf_of

HASH = hash_pin(PIN)
ROLES = ", ".join(
    f'{{ name = "{role}", role = "{role}", pin = "{HASH}" }}' for role in ("carer", "technician", "admin"))


class Technician(Browser):
    """Scans and taps."""

    async def prepare(self) -> None:
        self.csrf = csrf_of((await self.get("/provision")).text)

    async def tap(self, operation: str, **arguments: object) -> httpx.Response:
        return await self.client.post(
            f"/api/provision/{operation}", json=arguments, headers={"X-CSRF-Token": self.csrf})

    async def snap(self, content: bytes, bed: str = "") -> httpx.Response:
        return await self.client.post(
            "/api/provision/picture", params={"bed": bed}, content=content, headers={"X-CSRF-Token": self.csrf})


@asynccontextmanager
async def technician(
    folder: Path, *belts: SpokenBelt, account: str = "technician"
) -> AsyncIterator[tuple[Technician, Site]]:
    config = configured(folder, more=f"accounts = [{ROLES}]\n")
    async with provisioning(config, *belts) as site, httpx.AsyncClient(
        base_url=site.gateway.page, timeout=60
    ) as client:
        visitor = Technician(client)
        assert (await visitor.sign_in(account)).status_code == 303
        yield visitor, site


async def test_bed_belt_tap_by_pictures_makes_a_bed_live(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with technician(tmp_path, belt) as (tina, site):
        await tina.prepare()
        bed = (await tina.snap(picture("BED1:gw-01:101-1"))).json()["result"]["bed"]
        scanned = (await tina.snap(picture(label), bed)).json()["result"]
        assert (scanned["belt"], scanned["bound"]) == (belt.serial.hex(), False)
        parts = (await tina.client.get("/api/provision/parts", params={"bed": bed, "belt": scanned["belt"]})).json()
        assert "Bind to bed 101-1" in parts["current"]
        assert (await tina.tap("bind", belt=scanned["belt"], bed=bed)).json()["ok"]
        await site.live("101-1")
        parts = (await tina.client.get("/api/provision/parts", params={"bed": bed})).json()
        assert 'data-live="1"' in parts["current"]


async def test_only_technicians_and_admins_install_and_only_with_the_pages_token(tmp_path: Path) -> None:
    async with technician(tmp_path, account="carer") as (carer, _):
        assert (await carer.get("/provision")).status_code == 403
        carer.csrf = csrf_of((await carer.get("/")).text)
        assert (await carer.tap("state")).status_code == 403
        await carer.post("/logout", "/")
        assert (await carer.tap("state")).status_code == 401
        assert (await carer.get("/provision")).headers["location"] == "/login?back=/provision"
    (tmp_path / "again").mkdir()
    async with technician(tmp_path / "again") as (tina, _):
        await tina.prepare()
        tina.csrf = "0" * 64
        assert (await tina.tap("state")).status_code == 403


async def test_what_is_wrong_is_said_with_the_next_step_in_both_languages(tmp_path: Path) -> None:
    belt, away = new_belt(1), new_belt(2)
    away.away = True
    async with technician(tmp_path, belt, away) as (tina, _):
        await tina.prepare()

        async def told(answer: httpx.Response) -> tuple[str, str]:
            assert answer.status_code == 409
            error = answer.json()["error"]
            return error["code"], error["message"]

        assert (await told(await tina.snap(nothing())))[0] == "no_qr"
        code, message = await told(await tina.snap(picture("https://example.org/menu")))
        assert code == "label_foreign"
        assert "BB1" in message
        assert (await told(await tina.tap("scan", text=label_of(belt)[:-2] + "00", bed="101-1")))[0] == "label_check"
        code, message = await told(await tina.snap(picture(label_of(away)), "101-1"))
        assert code == "not_in_range"
        assert "Plug it in" in message
        await tina.client.get("/preference", params={"language": "zh", "back": "/provision"})
        assert "没有收到床带" in (await told(await tina.tap("scan", text=label_of(away), bed="101-1")))[1]
        assert (await tina.client.post("/api/provision/scan", content=b"[1]", headers={
            "X-CSRF-Token": tina.csrf})).status_code == 400


async def test_a_batch_is_uploaded_on_the_page_and_rows_that_are_wrong_are_named(tmp_path: Path) -> None:
    first, second = new_belt(1), new_belt(2)
    labels = label_of(first), label_of(second)
    async with technician(tmp_path, first, second) as (tina, site):
        await tina.prepare()

        async def upload(table: str) -> httpx.Response:
            return await tina.client.post(
                "/api/provision/batch", content=table.encode(), headers={"X-CSRF-Token": tina.csrf})

        answer = await upload(f"\ufeffbed,label\n101-1,{labels[0]}\n109-9,{labels[1]}\n")
        planned, refused = answer.json()["result"]["texts"]
        assert planned == "1 belts planned."
        assert refused.startswith("109-9: ")
        assert site.gateway.provisioner.site.planned_bed(first.serial) == "101-1"
        assert (await tina.tap("scan", text=labels[0], bed="")).json()["result"]["bed"] == "101-1"
        await tina.client.get("/preference", params={"language": "zh", "back": "/provision"})
        answer = await upload("bed,label\n101-2,BB1:zzz\n")
        assert answer.status_code == 409
        assert "第 2 行，label：发现" in answer.json()["error"]["message"]
        tina.csrf = "0" * 64
        assert (await upload(f"bed,label\n102-1,{labels[1]}\n")).status_code == 403


async def test_an_admin_takes_a_sealed_backup_from_the_page_and_a_technician_does_not(tmp_path: Path) -> None:
    passphrase = "correct horse battery"
    async with technician(tmp_path, account="admin") as (anna, site):
        await anna.prepare()

        async def make(who: Technician, words: str) -> httpx.Response:
            return await who.client.post(
                "/api/provision/backup", content=words.encode(), headers={"X-CSRF-Token": who.csrf})

        made = await make(anna, passphrase)
        assert made.status_code == 200
        sealed = tmp_path / "gateway.sbbk"
        sealed.write_bytes(made.content)
        short = await make(anna, "short")
        assert (short.status_code, "at least 12 characters" in short.json()["error"]["message"]) == (409, True)
        await site.gateway.clock.sleep(1.0)
        kinds = [(entry.kind, entry.who) for _, entry in await site.gateway.management.audit(20)]
        assert kinds.count(("backup", "admin")) == 1
        await anna.post("/logout", "/")
        await anna.sign_in("technician")
        await anna.prepare()
        assert 'id="backup"' not in (await anna.get("/provision")).text
        refused = await make(anna, passphrase)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "needs_admin")
    new = tmp_path / "new"
    restored = restore(sealed, new / "gateway.toml", new / "data", passphrase, replace=False)
    assert restored["config"] == str(new / "gateway.toml")
    assert b"correct horse" not in made.content


async def test_the_page_and_its_parts_show_no_residents_rate(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with technician(tmp_path, belt) as (tina, site):
        await tina.prepare()
        await tina.tap("scan", text=label, bed="101-1")
        await tina.tap("bind", belt=belt.serial.hex(), bed="101-1")
        await site.live("101-1")
        board = site.gateway.port.snapshot()["beds"][0]
        shown = (await tina.get("/provision")).text + str((await tina.tap("state")).json())
        for value in (board["heart"]["value"], board["respiration"]["value"]):
            if value is not None:
                assert str(value) not in shown
        assert "heart" not in shown.lower()


async def test_labels_and_certificate_come_as_files(tmp_path: Path) -> None:
    async with technician(tmp_path) as (tina, _):
        await tina.prepare()
        labels = await tina.get("/provision/bed-labels.pdf")
        assert labels.content.startswith(b"%PDF")
        certificate = (await tina.get("/provision/acceptance.json")).json()
        assert certificate["acceptance"]["accepted"] is False
        assert certificate["acceptance"]["who"] == "technician"
        assert (await tina.get("/provision/acceptance.pdf")).content.startswith(b"%PDF")
        assert (await tina.get("/provision/nothing.pdf")).status_code == 404
