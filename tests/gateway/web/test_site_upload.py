"""A site file from a phone: what is wrong by its line, what it changes, then in force by a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config import load_config
from gateway.provision_error import ProvisionError
from gateway.site_upload import SiteUpload
from tests.gateway.provisioned import Site, configured, label_of, new_belt, provisioning
from tests.gateway.web.test_provision_page import Technician, technician

SITE = """\
[site]
gateway = "gw-01"
timezone = "Europe/Berlin"
[[rooms]]
name = "101"
beds = ["101-1", "101-2"]
[[rooms]]
name = "102"
beds = ["102-1", "102-2"]
"""
FEWER = SITE.replace(', "102-2"', "").replace('"101-1", ', "")


async def upload(tina: Technician, text: str, **query: str) -> httpx.Response:
    return await tina.client.post("/api/provision/site", params=query, content=text.encode(), headers={
        "X-CSRF-Token": tina.csrf, "Content-Type": "text/plain"})


async def refusal(tina: Technician, text: str, **query: str) -> tuple[str, str]:
    answer = await upload(tina, text, **query)
    assert answer.status_code == 409
    error = answer.json()["error"]
    return error["code"], error["message"]


async def test_changes_are_shown_first_and_then_put_in_force_by_a_restart(tmp_path: Path) -> None:
    async with technician(tmp_path) as (tina, site):
        await tina.prepare()
        shown = (await upload(tina, SITE)).json()["result"]
        assert "new bed 102-2 (room 102)" in shown["texts"]
        assert "site.timezone: – → Europe/Berlin" in shown["texts"]
        assert [bed.label for bed in load_config(tmp_path / "gateway.toml").beds] == ["101-1", "101-2", "102-1"]
        before = (tmp_path / "gateway.toml").read_bytes()
        applied = (await upload(tina, SITE, apply="1")).json()["result"]
        assert applied["applied"]
        await asyncio.wait_for(site.gateway._stopping.wait(), 5)
        assert site.gateway.restarting
    config = load_config(tmp_path / "gateway.toml")
    assert [bed.label for bed in config.beds] == ["101-1", "101-2", "102-1", "102-2"]
    assert config.gateway.timezone == "Europe/Berlin"
    assert (tmp_path / "gateway.toml").read_bytes() == before  # nothing under /etc is written
    assert (tmp_path / "data" / "site.toml").stat().st_mode & 0o777 == 0o600
    async with provisioning(config) as after:
        assert "102-2" in after.gateway.room.beds


async def test_a_wrong_line_is_named_in_both_languages_and_changes_nothing(tmp_path: Path) -> None:
    async with technician(tmp_path) as (tina, _):
        await tina.prepare()
        code, message = await refusal(tina, SITE.replace("Europe/Berlin", "Europe/Bern"), apply="1")
        assert code == "site_wrong"
        assert "line 3, site.timezone" in message
        assert "Mend these lines" in message
        assert "line 9" in (await refusal(tina, SITE[: SITE.index('"102-2"') + 3], apply="1"))[1]
        await tina.client.get("/preference", params={"language": "zh", "back": "/provision"})
        assert "没有任何更改" in (await refusal(tina, "<html>"))[1]
        assert (await refusal(tina, "#" * 200_001))[0] == "site_size"
    assert not (tmp_path / "data" / "site.toml").exists()


async def test_beds_go_only_when_that_was_said_and_a_file_of_another_gateway_is_refused(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with technician(tmp_path, belt) as (tina, site):
        await tina.prepare()
        code, message = await refusal(tina, FEWER, apply="1")
        assert (code, "101-1" in message) == ("site_removes_beds", True)
        await site.ask("scan", text=label, bed="101-1")
        code, message = await refusal(tina, SITE.replace("gw-01", "gw-02"), apply="1")
        assert (code, "gw-02" in message) == ("site_other_gateway", True)
        assert (await upload(tina, FEWER, apply="1", remove_beds="1")).json()["result"]["removes"] == ["101-1"]
        await asyncio.wait_for(site.gateway._stopping.wait(), 5)


@pytest.mark.parametrize("section", [
    '[web]\nopen_access = true\n', '[platform]\nurl = "mqtt://elsewhere"\n', '[[webhooks]]\nurl = "https://a.example"\n',
    '[home_assistant]\nurl = "mqtt://elsewhere"\n',
])  # fmt: skip
async def test_a_technician_cannot_open_a_way_to_residents_data(tmp_path: Path, section: str) -> None:
    async with technician(tmp_path) as (tina, site):
        await tina.prepare()
        assert (await refusal(tina, section + SITE, apply="1"))[0] == "site_needs_admin"
        # Not by the general door either, whatever is claimed there.
        answer = await tina.tap("site", text=section + SITE, apply=True, admin=True)
        assert answer.status_code in (409, 403)
        assert not site.gateway.restarting


async def test_no_restart_while_an_alarm_or_an_absence_is_open(tmp_path: Path) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was done")

    upload = SiteUpload(configured(tmp_path), lambda: ["101-1"], never, never, lambda: 0)
    with pytest.raises(ProvisionError) as refused:
        await upload.apply(SITE, "tina", admin=True, remove_beds=True, belts=False)
    assert (refused.value.code, refused.value.values) == ("site_open_beds", {"beds": "101-1"})


async def test_a_site_file_that_does_not_fit_any_more_is_a_warning_and_the_configuration_holds(tmp_path: Path) -> None:
    config = configured(tmp_path)
    config.gateway.data_dir.mkdir()
    for damage in ("[site", SITE.replace("Europe/Berlin", "Nowhere")):
        (config.gateway.data_dir / "site.toml").write_text(damage)
        again = load_config(config.file)
        assert [bed.label for bed in again.beds] == ["101-1", "101-2", "102-1"]
        assert "upload it again" in again.warnings[-1]


async def test_a_gateway_without_beds_starts_and_takes_name_and_beds_from_its_first_site_file(tmp_path: Path) -> None:
    config = configured(tmp_path, beds="")
    async with provisioning(config) as site:
        answer = await ask(site, text=SITE.replace("gw-01", "gw-09"), apply=True)
        assert answer["applied"]
    assert load_config(config.file).gateway.id == "gw-09"


async def ask(site: Site, **arguments: Any) -> dict[str, Any]:
    return await site.gateway.operations.call("site", arguments, "anna", admin=True)
