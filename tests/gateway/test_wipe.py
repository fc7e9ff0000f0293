"""A whole gateway out of service: belts given up under new codes, everything erased, a proof that holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.acceptance import verify
from gateway.config import load_config
from gateway.provision_error import ProvisionError
from gateway.wipe import PROOF_FILE, carry_out, files_outside, order, ordered
from protocol.wire import frames
from tests.gateway.provisioned import Site, configured, label_of, new_belt, provisioning
from tests.gateway.web.test_provision_page import technician


async def refused(site: Site, operation: str, **arguments: object) -> ProvisionError:
    with pytest.raises(ProvisionError) as found:
        await site.gateway.operations.call(operation, arguments, "anna", admin=True)
    return found.value


async def test_belts_are_given_up_with_new_codes_by_which_another_site_takes_them_over(tmp_path: Path) -> None:
    bound, spare, retired = new_belt(1), new_belt(2), new_belt(3)
    labels = [label_of(belt) for belt in (bound, spare, retired)]
    async with provisioning(configured(tmp_path), bound, spare, retired) as site:
        for label, bed in zip(labels, ("101-1", "", "102-1"), strict=True):
            await site.ask("scan", text=label, bed=bed)
        await site.ask("bind", belt=bound.serial.hex(), bed="101-1")
        await site.ask("decommission", belt=retired.serial.hex())
        before = bound.key
        assert (await site.refused("wipe_belts", gateway="gw-01")).code == "needs_admin"
        assert (await refused(site, "wipe_belts", gateway="gw-02")).code == "wipe_confirm"
        assert (await refused(site, "wipe", gateway="gw-01")).code == "wipe_belts"
        given = await site.gateway.operations.call("wipe_belts", {"gateway": "gw-01"}, "anna", admin=True)
        assert {row["serial"] for row in given["released"]} == {bound.serial.hex(), spare.serial.hex()}
        assert given["not_reached"] == []
        assert bound.key != before
        again = await site.gateway.operations.call("wipe_belts", {"gateway": "gw-01"}, "anna", admin=True)
        assert again == given  # a lost answer costs no belt
        await site.gateway.operations.call("wipe", {"gateway": "gw-01"}, "anna", admin=True)
        assert ordered(tmp_path / "data")
    label = next(row["label"] for row in given["released"] if row["serial"] == bound.serial.hex())
    (tmp_path / "other").mkdir()
    async with provisioning(configured(tmp_path / "other"), bound) as other:
        assert (await other.refused("scan", text=labels[0], bed="101-1")).code == "claimed_elsewhere"
        await other.ask("scan", text=label, bed="101-1")
        await other.ask("bind", belt=bound.serial.hex(), bed="101-1")
        await other.live("101-1")


async def test_a_belt_that_is_away_is_named_and_left_only_when_that_is_said(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    config = configured(tmp_path)
    async with provisioning(config, belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
    belt.away = True
    async with provisioning(config, belt) as site:
        given = await site.gateway.operations.call("wipe_belts", {"gateway": "gw-01"}, "anna", admin=True)
        assert [(row["belt"], row["code"]) for row in given["not_reached"]] == [(belt.serial.hex(), "not_in_range")]
        left = {"gateway": "gw-01", "leave_belts": True}
        assert (await site.gateway.operations.call("wipe", left, "anna", admin=True))["ordered"]
    facts = json.loads((tmp_path / "data" / "wipe.json").read_text())
    assert facts["not_released"] == [belt.serial.hex()]


@pytest.mark.parametrize(("status", "code"), [
    (frames.STATUS_FAILED, "not_wiped"), (frames.STATUS_UNKNOWN, "wipe_unknown")])  # fmt: skip
async def test_a_belt_that_does_not_wipe_its_records_is_not_given_up(tmp_path: Path, status: int, code: str) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with provisioning(configured(tmp_path), belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        key, belt.wipes_as = belt.key, status
        given = await site.gateway.operations.call("wipe_belts", {"gateway": "gw-01"}, "anna", admin=True)
        assert (given["released"], [row["code"] for row in given["not_reached"]]) == ([], [code])
        assert belt.key == key
        assert site.gateway.provisioner.site.bed_of(belt.serial) == "101-1"


async def test_everything_is_erased_and_the_proof_says_so(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    config = configured(tmp_path)
    folder = config.gateway.data_dir
    async with provisioning(config, belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        signer = (await site.ask("certificate"))["signature"]["public_key"]
        await site.gateway.operations.call("wipe_belts", {"gateway": "gw-01"}, "anna", admin=True)
        await site.gateway.operations.call("wipe", {"gateway": "gw-01"}, "anna", admin=True)
    (tmp_path / "data.before").mkdir()  # of a restore
    (tmp_path / "data.before" / "events.db").write_text("somebody's nights")
    proof = carry_out(folder, files_outside(config))
    assert [path.name for path in folder.iterdir()] == [PROOF_FILE]
    assert not (tmp_path / "data.before").exists()
    said, key = verify(json.loads((folder / PROOF_FILE).read_text()), signer)
    assert (said, key) == (proof["acceptance"], signer)  # by the key of its certificates, which is erased too
    names = {each["file"] for each in said["erased"]}
    assert {"events.db", "site.json", "acceptance.key", "data.before/events.db"} <= names
    assert (said["complete"], said["left"], said["who"], said["gateway"]) == (True, [], "anna", "gw-01")
    assert said["belts"] == [{"belt": belt.serial.hex(), "released": True, "retired": False, "wiped": True}]
    assert said["outside"] == [str(tmp_path / "gateway.toml")]
    assert belt.key.hex() not in json.dumps(proof)
    async with provisioning(load_config(config.file)) as fresh:
        assert fresh.gateway.provisioner.site.belts == {}
        assert (await fresh.ask("state"))["wiped"]


def test_a_power_cut_while_erasing_only_makes_the_next_start_go_on(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_text("x")
    order(tmp_path, {"gateway": "gw-01", "belts": []})
    (tmp_path / "night.db").write_text("y")
    carry_out(tmp_path, [])
    order(tmp_path, {"gateway": "gw-01", "belts": []})  # as if it was cut before the order went
    assert ordered(tmp_path)
    said, _ = verify(carry_out(tmp_path, []))
    assert (said["complete"], said["signer"]) == (True, "made for this proof")
    assert not ordered(tmp_path)


async def test_on_the_page_only_an_admin_sees_it_and_the_proof_comes_with_the_documents(tmp_path: Path) -> None:
    async with technician(tmp_path) as (tina, site):
        await tina.prepare()
        assert 'id="wipe"' not in (await tina.get("/provision")).text
        answer = await tina.tap("wipe", gateway="gw-01", admin=True)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "needs_admin")
        assert (await tina.get("/provision/wiped.json")).status_code == 409
        (site.gateway.config.gateway.data_dir / PROOF_FILE).write_text("{}")
        assert "/provision/wiped.json" in (await tina.get("/provision")).text
        assert (await tina.get("/provision/wiped.json")).text == "{}"
