"""bundle: a file for support that names nobody and opens nothing."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from cloud_sync.pages.pins import hash_pin
from gateway.bundle import Redactor
from gateway.commands import doctor
from gateway.commands.doctor import main

CONFIG = """
[gateway]
id = "gw-01"
data_dir = "data"
[web]
host = "0.0.0.0"
port = 0
accounts = [
  { name = "wang-li", role = "carer", pin = "PIN" },
]
[uplink]
url = "mqtt://gw:very-secret@192.168.7.20:1883"
[[webhooks]]
# for the night nurse, Mrs Example
url = "https://hooks.example/send?key=topsecret"
[[beds]]
label = "Rose-1"
room = "Rose"
serial = "00112233445566ab"
key = "0123456789abcdef0123456789abcdef"
"""
SECRETS = ("wang-li", "scrypt", "very-secret", "192.168.7.20", "Mrs Example", "topsecret", "Rose",
           "0123456789abcdef", "00112233445566ab")  # fmt: skip


def contents(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        return {member.name: archive.extractfile(member).read().decode() for member in archive}  # type: ignore[union-attr]


def test_nothing_of_people_or_keys_is_in_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gateway.config import ConfigError, load_config

    file = tmp_path / "gateway.toml"
    file.write_text(CONFIG.replace("PIN", hash_pin("258077")))
    file.chmod(0o600)
    try:
        load_config(file)
    except ConfigError as error:  # the point is what a good one gives away
        pytest.fail(str(error))
    log = "bed Rose-1: alarm raised; acknowledged by wang-li from 192.168.7.31; belt 00112233445566ab\n" \
          "make the first admin with the one-time token abc"
    monkeypatch.setattr("gateway.checkup_facts.journal", lambda _: log)
    bundle = tmp_path / "support.tar.gz"
    main(["--config", str(file), "--bundle", str(bundle), "--json"])
    parts = contents(bundle)
    everything = "\n".join(parts.values())
    assert [secret for secret in SECRETS if secret in everything] == []
    assert "one-time token <removed>" in everything
    assert "bed bed-1: alarm raised; acknowledged by account-1" in parts["sleepbelt-bundle/journal.txt"]
    assert "************66ab" in everything
    assert json.loads(parts["sleepbelt-bundle/doctor.json"])["findings"]
    assert bundle.stat().st_mode & 0o077 == 0
    assert "support.tar.gz" in capsys.readouterr().out


def test_a_bundle_can_be_made_of_a_configuration_that_is_broken(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("[gateway\n")
    main(["--config", str(file), "--bundle", str(tmp_path / "b.tar.gz")])
    assert set(contents(tmp_path / "b.tar.gz")) == {"sleepbelt-bundle/doctor.json", "sleepbelt-bundle/journal.txt"}


def test_a_bundle_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIG)
    assert main(["--config", str(file), "--bundle", str(tmp_path / "none" / "b.tar.gz")]) == doctor.BAD_INPUT
    assert "a disk with room" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "clean"), [
    ("bed 101-10 and 101-1", "bed bed-2 and bed-1"),
    ('key = "abc"', 'key = "<removed>"'),
    ("mqtts://user:pw@broker.example:8883", "mqtts://<removed>@broker.example:8883"),
    ("listening on 127.0.0.1:8080 and 0.0.0.0", "listening on 127.0.0.1:8080 and 0.0.0.0"),
    ("adapter DC:A6:32:01:02:03", "adapter **:**:**:01:02:03"),
])  # fmt: skip
def test_texts_lose_what_must_not_leave(text: str, clean: str) -> None:
    assert Redactor({"101-1": "bed-1", "101-10": "bed-2"}).text(text) == clean
