"""`sleepbelt provision`: from a site file to bound belts, papers, backup and restore; bad input by name and code."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.acceptance import verify
from gateway.commands.provision import main
from gateway.config import load_config
from tests.gateway.provisioned import Site, configured, label_of, new_belt, provisioning, until
from tests.gateway.small_gateway import compressed_clock

SITE = """
[site]
gateway = "gw-floor2"
timezone = "Asia/Shanghai"
data_dir = "data"
[channels]
buzzer_pin = 17
mock_pins = true
[web]
port = 0
host = "127.0.0.1"
[[rooms]]
name = "101"
beds = ["101-1", "101-2"]
[[rooms]]
name = "102"
beds = ["102-1"]
profile = "high-fall-risk"
"""
ON_THE_PAGE = '[site]\ngateway = "gw-01"\n[[rooms]]\nname = "901"\nbeds = ["901-1"]\n'
PASSPHRASE = "correct horse battery"


class Command:
    """The command beside a gateway that runs here."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    async def run(self, *arguments: str) -> tuple[int, Any, str]:
        """(exit code, the JSON on stdout, stderr)."""
        self._capsys.readouterr()
        config = ["--config", str(self.folder / "gateway.toml")]
        code = await asyncio.to_thread(main, [arguments[0], *config, "--lang", "en", "--json", *arguments[1:]])
        said = self._capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


async def served(site: Site) -> None:
    await until((site.gateway.config.gateway.data_dir / "provision.sock").exists)


def test_a_site_file_becomes_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    setup = ["setup", "--site", str(tmp_path / "site.toml"), "--config", str(tmp_path / "gateway.toml")]
    assert main(setup) == 0
    config = load_config(tmp_path / "gateway.toml")
    assert [(bed.label, bed.room, bed.profile_name) for bed in config.beds] == [
        ("101-1", "101", "standard"), ("101-2", "101", "standard"), ("102-1", "102", "high-fall-risk")]
    assert config.alerter.buzzer_pin == 17
    assert (tmp_path / "gateway.toml").stat().st_mode & 0o777 == 0o640  # the gateway's user reads it by its group
    (tmp_path / "gateway.toml").chmod(0o600)
    assert main(setup) == 1
    assert "--replace" in capsys.readouterr().err
    assert main([*setup, "--replace"]) == 0
    assert (tmp_path / "gateway.toml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "gateway.toml.before").exists()


@pytest.mark.parametrize("cut", range(40, len(SITE), 31))
def test_a_half_written_site_file_leaves_the_gateway_as_it_was(tmp_path: Path, cut: int) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    setup = ["setup", "--site", str(tmp_path / "site.toml"), "--config", str(tmp_path / "gateway.toml")]
    assert main(setup) == 0
    before = (tmp_path / "gateway.toml").read_text()
    (tmp_path / "site.toml").write_text(SITE[:cut])
    code = main([*setup, "--replace"])
    after = (tmp_path / "gateway.toml").read_text()
    # A cut between two lines after the last bed leaves a whole site; every other changes nothing and says so.
    beds = [bed.label for bed in load_config(tmp_path / "gateway.toml").beds]
    assert (code == 2 and after == before) or (code == 0 and beds == ["101-1", "101-2", "102-1"])
    assert not list(tmp_path.glob("*.part"))


def test_what_is_wrong_with_a_site_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "site.toml"
    setup = ["setup", "--site", str(file), "--config", str(tmp_path / "gateway.toml")]
    for text, said in ((SITE.replace("buzzer_pin", "buzer_pin"), "did you mean 'buzzer_pin'"),
                       (SITE.replace('"102-1"', '"101-1"'), "each only once"),
                       (SITE.replace("Asia/Shanghai", "Asia/Nowhere"), "unknown_timezone"),
                       ("[site]\n", "site.gateway"), ("[site\n", "not whole or not TOML")):
        file.write_text(text)
        assert main(setup) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "gateway.toml").exists()


def test_a_site_file_is_only_checked_and_a_bare_gateway_waits_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    target = ["--config", str(tmp_path / "gateway.toml"), "--lang", "en"]
    setup = ["setup", "--site", str(tmp_path / "site.toml"), *target]
    assert main(["setup", *target]) == 0
    assert load_config(tmp_path / "gateway.toml").beds == ()
    assert main([*setup, "--check"]) == 0
    assert "new bed 102-1 (room 102)" in capsys.readouterr().out
    assert load_config(tmp_path / "gateway.toml").beds == ()
    assert main([*setup, "--replace"]) == 0
    (tmp_path / "site.toml").write_text(SITE.replace('beds = ["102-1"]', 'beds = ["102-9"]'))
    assert main([*setup, "--replace"]) == 2
    assert "--remove-beds" in capsys.readouterr().err
    assert main([*setup, "--replace", "--remove-beds"]) == 0
    assert load_config(tmp_path / "gateway.toml").beds[-1].label == "102-9"


async def test_scan_claim_swap_release_and_identify(tmp_path: Path, command: Command) -> None:
    old, new = new_belt(1), new_belt(2)
    labels = label_of(old), label_of(new)
    async with provisioning(configured(tmp_path), old, new) as site:
        await served(site)
        _, scanned, _ = await command.run("scan")
        assert {belt["status"] for belt in scanned["belts"]} <= {"unknown"}
        assert (await command.run("claim", labels[0], "--bed", "101-1"))[0] == 0
        await site.live("101-1")
        _, swapped, _ = await command.run("swap", "101-1", labels[1])
        assert swapped["replaced"] == old.serial.hex()
        code, refused, said = await command.run("claim", labels[1], "--bed", "101-2")
        assert (code, refused["code"]) == (1, "already_bound")
        assert "101-1" in said
        assert (await command.run("identify", new.serial.hex()))[0] == 0
        assert (await command.run("release", "101-1"))[0] == 0
        assert (await command.run("claim", "nonsense"))[0] == 2
        assert (await command.run("decommission", new.serial.hex()))[0] == 2  # without --yes


@pytest.mark.parametrize(("language", "said"), [
    ("en", ["Leave the bed empty", "Buzzer: noticed", "Still to press: page"]),
    ("zh", ["让床空着", "蜂鸣器", "还需按下：页面"]),
])  # fmt: skip
async def test_a_walk_test_is_led_through_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, language: str, said: list[str]
) -> None:
    for name, value in compressed_clock().items():
        monkeypatch.setenv(name, value)
    belt = new_belt(1)
    async with provisioning(configured(tmp_path), belt) as site:
        await served(site)
        await site.ask("scan", text=label_of(belt), bed="101-1")
        await site.ask("bind", belt=belt.serial.hex(), bed="101-1")
        await site.live("101-1")
        # Nobody is there, the belt says "occupied" all the time: "n" leaves a failed step, and is any key to others.
        monkeypatch.setattr("sys.stdin", io.StringIO("n\n" * 60))
        where = ["--config", str(tmp_path / "gateway.toml"), "--lang", language, "--json"]
        code = await asyncio.to_thread(main, ["walk-test", "101-1", *where])
        told = capsys.readouterr()
        walk = json.loads(told.out)
        assert code == 1
        assert (walk["finished"], walk["passed"]) == (True, False)
        states = {step["step"]: (step["state"], step["reason"]) for step in walk["steps"]}
        assert states["empty"] == ("failed", "not_empty")
        assert states["lie_down"] == states["rate"] == states["acknowledge"] == ("passed", "")
        assert states["alarm"] == ("failed", "not_confirmed")
        assert site.gateway.provisioner.site.tested["101-1"]["passed"] is False
        assert [text for text in said if text not in told.err] == []
        assert (await site.ask("state"))["beds"][0]["maintenance"] is False


async def test_a_batch_plans_beds_and_names_rows_that_are_wrong(tmp_path: Path, command: Command) -> None:
    first, second = new_belt(1), new_belt(2)
    labels = label_of(first), label_of(second)
    async with provisioning(configured(tmp_path), first, second) as site:
        await served(site)
        table = tmp_path / "belts.csv"
        table.write_text(f"bed,label\n101-1,{labels[0]}\n102-1,{labels[1]}\n")
        _, planned, _ = await command.run("batch", str(table))
        assert [row["bed"] for row in planned["planned"]] == ["101-1", "102-1"]
        assert (await command.run("claim", labels[1]))[1]["bed"] == "102-1"
        await site.live("102-1")
        table.write_text(f"bed,label\n101-1,{labels[0]}\n101-1,BB1:zzz\n")
        code, _, said = await command.run("batch", str(table))
        assert code == 2
        assert "line 3" in said


async def test_a_certificate_is_written_in_both_languages_and_verifies(tmp_path: Path, command: Command) -> None:
    async with provisioning(configured(tmp_path)) as site:
        await served(site)
        code, made, _ = await command.run("certificate", "--out", str(tmp_path / "papers"))
        assert code == 1  # not accepted: nothing was tested
        assert [Path(file).name for file in made["files"]] == [
            "acceptance.json", "acceptance-zh.pdf", "acceptance-en.pdf"]
    for file in made["files"]:
        code, verified, _ = await command.run("verify", file, "--public-key", made["public_key"])
        assert (code, verified["acceptance"]["accepted"]) == (0, False)
    forged = json.loads((tmp_path / "papers" / "acceptance.json").read_text())
    assert verify(forged)[1] == made["public_key"]
    forged["acceptance"]["accepted"] = True
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    code, _, said = await command.run("verify", str(tmp_path / "forged.json"))
    assert code == 1
    assert "changed after it was signed" in said


async def test_a_backup_restored_elsewhere_takes_the_belts_over_with_new_keys(
    tmp_path: Path, command: Command
) -> None:
    belt = new_belt(1)
    label = label_of(belt)
    (tmp_path / "phrase").write_text(PASSPHRASE + "\n")
    phrase = ["--passphrase-file", str(tmp_path / "phrase")]
    configured(tmp_path).gateway.data_dir.mkdir()
    (tmp_path / "data" / "site.toml").write_text(ON_THE_PAGE)  # as the page has put it in force
    async with provisioning(load_config(tmp_path / "gateway.toml"), belt) as site:
        await served(site)
        assert (await command.run("claim", label, "--bed", "901-1"))[0] == 0
        backup = tmp_path / "gw.sbbk"
        assert (await command.run("backup", "--out", str(backup), *phrase))[0] == 0
        assert belt.key.hex().encode() not in backup.read_bytes()
        code, _, said = await command.run(
            "restore", str(backup), "--data-dir", str(tmp_path / "data"), "--replace", *phrase)
        assert code == 1
        assert "stop it first" in said
    before = belt.key
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    (tmp_path / "wrong").write_text("something else entirely")
    there = Command(elsewhere, command._capsys)
    restore = ["restore", str(backup), "--data-dir", str(elsewhere / "data")]
    assert "wrong passphrase" in (await there.run(*restore, "--passphrase-file", str(tmp_path / "wrong")))[2]
    assert not (elsewhere / "gateway.toml").exists()
    code, restored, _ = await there.run(*restore, *phrase)
    assert (code, restored["belts_to_rekey"]) == (0, 1)
    async with provisioning(load_config(elsewhere / "gateway.toml"), belt) as site:
        await site.live("901-1")
        await until(lambda: belt.key != before)


def test_label_sheets_of_a_factorys_list_are_for_the_owner_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "belts.csv"
    table.write_text(f"serial,model,claim_secret\nC000000000000001,1,{'11' * 16}\n")
    out = tmp_path / "labels.pdf"
    assert main(["labels", "--belts", str(table), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"%PDF")
    assert out.stat().st_mode & 0o777 == 0o600
    table.write_text("serial,model,claim_secret\nC0,1,11\n")
    assert main(["labels", "--belts", str(table), "--out", str(out)]) == 2
    assert "line 2" in capsys.readouterr().err


def test_without_a_gateway_the_command_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path)
    config.gateway.data_dir.mkdir()
    assert main(["scan", "--config", str(config.file)]) == 1
    assert "sleepbelt run" in capsys.readouterr().err
    assert main(["scan", "--config", str(tmp_path / "none.toml")]) == 2
