"""provision: belts come to beds while the gateway runs, each key on the disk before the belt has it; what goes wrong
is named."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.provision_socket import GatewayAwayError, ask
from gateway.store_files import StoreFiles
from protocol.batch import VitalsChunk, decode_item
from protocol.wire import frames
from tests.gateway.provisioned import Site, configured, label_of, new_belt, provisioning, until
from tests.gateway.spoken_belt import SpokenBelt


def beds(site: Site) -> dict[str, str]:
    return {bed: "" if serial is None else serial.hex() for bed, serial in site.gateway.provisioner.site.beds().items()}


def stored(folder: Path) -> dict[str, Any]:
    site: dict[str, Any] = json.loads((folder / "data" / "site.json").read_text())["site"]
    return site


async def test_bed_belt_and_tap_make_a_bed_live_without_a_restart(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with provisioning(configured(tmp_path), belt) as site:
        assert (await site.ask("scan", text="BED1:gw-01:101-1"))["belt"] == ""
        claimed = await site.ask("scan", text=label, bed="101-1")
        assert (claimed["belt"], claimed["bound"]) == (belt.serial.hex(), False)
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        await site.live("101-1")
        board = site.gateway.port.snapshot()["beds"][0]
        assert board["belt"] is not None
        assert board["state"] == "present" or board["watched"] or board["unwatched_reason"] != "no_belt"
        assert belt.claimed
        assert belt.key != bytes([1]) * 16
    assert stored(tmp_path)["belts"][0]["key"] == belt.key.hex()


async def test_after_a_restart_the_belt_is_still_there_under_its_new_key(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    config = configured(tmp_path)
    async with provisioning(config, belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
    async with provisioning(config, belt) as site:
        await site.live("101-1")
        assert beds(site)["101-1"] == belt.serial.hex()


async def test_two_scans_swap_a_belt_and_the_old_one_is_a_spare(tmp_path: Path) -> None:
    old, new = new_belt(1), new_belt(2)
    labels = label_of(old), label_of(new)
    async with provisioning(configured(tmp_path), old, new) as site:
        await site.ask("scan", text=labels[0], bed="101-1")
        await site.ask("bind", belt=old.serial.hex(), bed="101-1")
        await site.live("101-1")
        await until(lambda: bool(site.gateway.room.beds["101-1"].report_ms))
        chosen = await site.ask("scan", text="BED1:gw-01:101-1")
        swapped = await site.ask("scan", text=labels[1], bed=str(chosen["bed"]))
        assert (swapped["bound"], swapped["replaced"]) == (True, old.serial.hex())
        await site.live("101-1")
        state = await site.ask("state")
        assert {b["belt"]: b["status"] for b in state["belts"]} == {
            old.serial.hex(): "spare", new.serial.hex(): "bound"}
        # The spare comes to another bed by its label, though that code is no key any more.
        await site.ask("scan", text=labels[0], bed="101-2")
        await site.ask("bind", belt=old.serial.hex(), bed="101-2")
        await site.live("101-2")
        await until(lambda: all(bed.report_ms for bed in site.gateway.room.beds.values() if bed.belt))
    # The bed's history is one, whichever belt told it; what the old belt tells at its new bed is that bed's.
    files = StoreFiles(tmp_path / "data")
    try:
        told = {bed: {item.belt for body in files.chunks(bed, 0, 2**53)
                      if isinstance(item := decode_item(body), VitalsChunk)} for bed in ("101-1", "101-2")}
    finally:
        files.close()
    assert told == {"101-1": {old.serial.hex(), new.serial.hex()}, "101-2": {old.serial.hex()}}


async def test_a_spare_from_before_a_restart_is_bound_by_its_serial_without_its_old_records(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    config = configured(tmp_path)
    async with provisioning(config, belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        await site.ask("release", bed="101-1")
    belt.heard.clear()
    belt.record_seq = 400
    async with provisioning(config, belt) as site:
        await site.ask("bind", belt=belt.serial.hex(), bed="101-2")
        await site.live("101-2")
        assert site.gateway.room.beds["101-2"].session.next_seq == 401
        assert not [kind for kind, _ in belt.heard if kind == frames.HISTORY]
        assert site.gateway.room.belts_bound == 1
        belt.away = True
    async with provisioning(config, belt) as site:
        await site.ask("release", bed="101-2")
        assert (await site.refused("bind", belt=belt.serial.hex(), bed="101-1")).code == "not_in_range"


async def test_a_claimed_belt_without_a_bed_gives_its_place_in_the_radio_back(tmp_path: Path) -> None:
    belt, other = new_belt(1), new_belt(2)
    labels = label_of(belt), label_of(other)
    async with provisioning(configured(tmp_path), belt, other) as site:
        site.gateway.provisioner.hold_s = 0.5
        await site.ask("scan", text=labels[0])
        assert belt.in_session
        await until(lambda: not belt.in_session)
        # It is still ours: a tap in the list brings it to a bed, and there it stays.
        await site.ask("identify", belt=belt.serial.hex())
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        await asyncio.sleep(0.7)
        await site.live("101-1")
        assert belt.in_session
        # A claim that fails leaves nothing behind in the radio.
        other.deaf_to_claims = True
        assert (await site.refused("scan", text=labels[1])).code == "no_answer"
        await until(lambda: not other.in_session)


async def test_a_belt_that_is_planned_elsewhere_is_named_in_a_swap_and_can_be_used_here_all_the_same(
    tmp_path: Path,
) -> None:
    old, new = new_belt(1), new_belt(2)
    labels = label_of(old), label_of(new)
    async with provisioning(configured(tmp_path), old, new) as site:
        await site.ask("scan", text=labels[0])
        await site.ask("bind", belt=old.serial.hex(), bed="101-1")
        await site.ask("plan", label=labels[1], bed="102-1")
        refused = await site.refused("scan", text=labels[1], bed="101-1")
        assert (refused.code, refused.values["bed"]) == ("planned_elsewhere", "102-1")
        bound = await site.ask("bind", belt=new.serial.hex(), bed="101-1")  # the tap in the list of belts
        assert bound["replaced"] == old.serial.hex()
        assert beds(site) == {"101-1": new.serial.hex(), "101-2": "", "102-1": ""}
        assert {b["belt"]: b["planned_bed"] for b in (await site.ask("state"))["belts"]}[new.serial.hex()] == ""


async def test_a_belt_chosen_from_the_list_is_claimed_by_its_typed_code_and_locked_after_wrong_ones(
    tmp_path: Path,
) -> None:
    belt, elsewhere = new_belt(1), new_belt(2)
    code = label_of(belt).split(":")[3]
    foreign = label_of(elsewhere).split(":")[3]
    elsewhere.key, elsewhere.claimed = bytes([7]) * 16, 1
    wrong = label_of(SpokenBelt(belt.serial, bytes([9]) * 16)).split(":")[3]
    async with provisioning(configured(tmp_path), belt, elsewhere) as site:
        listed = {each["belt"]: each["status"] for each in (await site.ask("state"))["belts"]}
        while len(listed) < 2:
            await asyncio.sleep(0.05)
            listed = {each["belt"]: each["status"] for each in (await site.ask("state"))["belts"]}
        assert listed == {belt.serial.hex(): "unknown", elsewhere.serial.hex(): "unknown"}
        typed = "-".join(code[at : at + 5].lower() for at in range(0, len(code), 5))
        refused = await site.refused("claim", belt=elsewhere.serial.hex(), code=foreign, bed="101-1")
        assert refused.code == "claimed_elsewhere"
        tries = [await site.refused("claim", belt=belt.serial.hex(), code=wrong, bed="101-1") for _ in range(5)]
        assert [refusal.code for refusal in tries] == ["wrong_code"] * 4 + ["locked"]
        site.gateway.provisioner.site.tries.clear()  # ten minutes later
        claimed = await site.ask("claim", belt=belt.serial.hex(), code=typed, bed="101-1")
        assert (claimed["bound"], claimed["bed"]) == (False, "101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        await site.live("101-1")


async def test_a_batch_makes_one_scan_enough(tmp_path: Path) -> None:
    belt = new_belt(1)
    async with provisioning(configured(tmp_path), belt) as site:
        await site.ask("plan", label=label_of(belt), bed="102-1")
        assert (await site.refused("scan", text=label_of(belt), bed="101-1")).code == "planned_elsewhere"
        bound = await site.ask("scan", text=label_of(belt))
        assert (bound["bed"], bound["bound"]) == ("102-1", True)
        await site.live("102-1")


async def test_a_wrong_code_is_counted_then_locked_and_a_belt_bound_elsewhere_is_named(tmp_path: Path) -> None:
    belt, other = new_belt(1), new_belt(2)
    good = label_of(belt)
    belt.key = bytes([9]) * 16
    wrong = label_of(belt)
    belt.key = bytes([1]) * 16
    async with provisioning(configured(tmp_path), belt, other) as site:
        refusals = [await site.refused("scan", text=wrong, bed="101-1") for _ in range(5)]
        assert [refusal.code for refusal in refusals] == ["wrong_code"] * 4 + ["locked"]
        assert [refusal.values.get("left") for refusal in refusals[:4]] == [4, 3, 2, 1]
        assert (await site.refused("scan", text=good, bed="101-1")).code == "locked"
        label = label_of(other)
        await site.ask("scan", text=label, bed="101-2")
        await site.ask("bind", belt=other.serial.hex(), bed="101-2")
        taken = await site.refused("scan", text=label, bed="101-1")
        assert (taken.code, taken.values["bed"]) == ("already_bound", "101-2")


async def test_what_cannot_be_claimed_says_why(tmp_path: Path) -> None:
    elsewhere, away, silent = new_belt(1), new_belt(2), new_belt(3)
    label = label_of(elsewhere)
    elsewhere.key, elsewhere.claimed = bytes([7]) * 16, 1
    silent.deaf_to_claims = True
    away.away = True
    async with provisioning(configured(tmp_path), elsewhere, away, silent) as site:
        assert (await site.refused("scan", text=label, bed="101-1")).code == "claimed_elsewhere"
        missing = await site.refused("scan", text=label_of(away), bed="101-1")
        assert (missing.code, missing.values["others"]) == ("not_in_range", 2)
        assert (await site.refused("scan", text="https://menu.example/", bed="101-1")).code == "label_foreign"
        assert (await site.refused("scan", text="BED1:gw-09:101-1")).code == "other_gateway"
        assert (await site.refused("nonsense")).code == "unknown_operation"
        assert beds(site) == {"101-1": "", "101-2": "", "102-1": ""}


async def test_a_belt_that_took_its_key_in_the_moment_of_a_power_cut_is_not_lost(tmp_path: Path) -> None:
    belt = new_belt(1)
    config = configured(tmp_path)
    label = label_of(belt)
    async with provisioning(config, belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
    file = tmp_path / "data" / "site.json"
    from gateway.cores.provisioning import Site as Bindings
    from gateway.site_file import SiteFile

    place = Bindings("gw-01", {"101-1": None, "101-2": None, "102-1": None})
    SiteFile(file.parent).load(place)
    record = place.belts[belt.serial]
    state = place.to_state()
    # As it stood before the belt's answer was written down: the old key, and the new one beside it.
    state["belts"][0] |= {"key": (bytes([5]) * 16).hex(), "next_key": record.key.hex()}
    SiteFile(file.parent).save(state)
    async with provisioning(config, belt) as site:
        await site.live("101-1")
        await until(lambda: stored(tmp_path)["belts"][0]["next_key"] is None)
    assert stored(tmp_path)["belts"][0]["key"] == belt.key.hex()


async def test_a_restored_site_gives_every_belt_a_new_key(tmp_path: Path) -> None:
    belt = new_belt(1)
    config = configured(tmp_path)
    label = label_of(belt)
    async with provisioning(config, belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        before = belt.key
        site.gateway.provisioner.site.rekey_all()
        belt.drop()
        await until(lambda: belt.key != before)
        await site.live("101-1")
    assert stored(tmp_path)["belts"][0]["key"] == belt.key.hex()
    assert not stored(tmp_path)["belts"][0]["rekey"]


async def test_a_decommissioned_belt_proves_it_by_refusing_and_is_never_taken_again(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with provisioning(configured(tmp_path), belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        proof = await site.ask("decommission", belt=belt.serial.hex())
        assert proof["refuses_since"] is True
        assert beds(site)["101-1"] == ""
        assert (await site.refused("scan", text=label, bed="101-1")).code == "decommissioned"
    assert belt.key.hex() not in (tmp_path / "data" / "site.json").read_text()


async def test_a_belt_whose_answer_was_lost_is_out_of_service_with_the_proof_that_it_refuses(tmp_path: Path) -> None:
    belt = new_belt(1)
    belt.retires_in_silence = True
    label = label_of(belt)
    async with provisioning(configured(tmp_path), belt) as site:
        await site.ask("scan", text=label, bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        proof = await site.ask("decommission", belt=belt.serial.hex())
        assert (proof["wiped"], proof["records_left"], proof["refuses_since"]) == (False, None, True)
        assert beds(site)["101-1"] == ""


async def test_without_a_disk_nothing_is_bound_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    belt = new_belt(1)
    async with provisioning(configured(tmp_path), belt) as site:

        def full(_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(site.gateway._site_file, "save", full)
        refusal = await site.refused("scan", text=label_of(belt), bed="101-1")
        assert (refusal.code, refusal.values["why"]) == ("disk", "No space left on device")
        assert belt.key == bytes([1]) * 16  # it has heard of no key that nobody keeps


async def test_the_command_reaches_the_gateway_by_its_socket_and_is_told_when_there_is_none(tmp_path: Path) -> None:
    config = configured(tmp_path)
    async with provisioning(config):
        await until((config.gateway.data_dir / "provision.sock").exists)
        state = await asyncio.to_thread(ask, config.gateway.data_dir, "state", {})
        assert [bed["bed"] for bed in state["beds"]] == ["101-1", "101-2", "102-1"]
        assert (config.gateway.data_dir / "provision.sock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(GatewayAwayError, match="sleepbelt run"):
        ask(config.gateway.data_dir, "state", {})


async def test_a_bed_is_put_under_maintenance_and_back_from_the_technicians_page(tmp_path: Path) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    async with provisioning(configured(tmp_path), belt) as site:
        await site.ask("scan", text=label)
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        for on in (True, False):
            await site.ask("maintenance", bed="101-1", on=on)
            shown = (await site.ask("state"))["beds"][0]
            assert shown["maintenance"] is on
            assert (site.gateway.port.snapshot()["beds"][0]["mode"] == "maintenance") is on
        assert (await site.refused("maintenance", bed="9", on=True)).code == "unknown_bed"
