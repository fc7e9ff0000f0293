"""bundle: a file for support that names nobody and opens nothing."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import logging
import tarfile
from pathlib import Path

import pytest

from cloud_sync.pages.pins import hash_pin
from gateway.bundle import Redactor
from gateway.commands import doctor
from gateway.commands.certificate import main as make_certificate
from gateway.commands.doctor import main
from gateway.cores.bed_settings import BedSettings
from gateway.store_evidence import AccountRow
from tests.gateway.provisioned import configured, label_of, new_belt, provisioning

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


@pytest.mark.parametrize("broken", ["[gateway\n", CONFIG.replace('label = "Rose-1"', 'label = "Rose/1"')])
def test_of_a_configuration_that_is_broken_a_bundle_tells_where_and_not_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(broken)
    monkeypatch.setattr("gateway.checkup_facts.journal", lambda _: "bed Rose-1: alarm raised")
    main(["--config", str(file), "--bundle", str(tmp_path / "b.tar.gz")])
    parts = contents(tmp_path / "b.tar.gz")
    assert set(parts) == {"sleepbelt-bundle/doctor.json"}  # whom the journal names nobody knows
    assert "Rose" not in parts["sleepbelt-bundle/doctor.json"]
    assert "gateway.toml: " in parts["sleepbelt-bundle/doctor.json"]


def test_without_the_stores_accounts_the_journal_stays_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIG.replace("PIN", hash_pin("258077")))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/events.db").write_bytes(b"no database at all, and nobody knows the accounts in it")
    monkeypatch.setattr("gateway.checkup_facts.journal", lambda _: "signed in: zhao")
    main(["--config", str(file), "--bundle", str(tmp_path / "b.tar.gz")])
    assert set(contents(tmp_path / "b.tar.gz")) == {"sleepbelt-bundle/doctor.json", "sleepbelt-bundle/gateway.toml"}


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
    ("from fe80::1ff:fe23:4567:890a and 2001:db8:0:0:1:2:3:4 at 12:34:56", "from <address> and <address> at 12:34:56"),
    ("BB1:0G00000000001:1:0123456789ABCDEFGHJKMNPQRSTV", "<code>"),
    ("code 0123456789ABCDEFGHJKMNPQRS", "code <code>"),
    ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----", "<key>"),
])  # fmt: skip
def test_texts_lose_what_must_not_leave(text: str, clean: str) -> None:
    assert Redactor({"101-1": "bed-1", "101-10": "bed-2"}).text(text) == clean


@pytest.mark.parametrize(("text", "clean"), [
    ("wpa_supplicant: psk=Sunny-Side-1998", "wpa_supplicant: psk=<removed>"),
    ("nmcli: password 'Sunny-Side'", "nmcli: password <removed>"),
    ("call 13912345678 or +49 89 1234567", "call <telephone> or <telephone>"),
    ("1390000 readings in 1795000020000 ms", "1390000 readings in 1795000020000 ms"),
])  # fmt: skip
def test_a_log_loses_what_people_typed_into_it(text: str, clean: str) -> None:
    assert Redactor({}).log(text) == clean


def test_a_han_name_is_found_between_han_characters_and_a_latin_one_not_inside_a_word() -> None:
    redactor = Redactor({"王丽": "account-1", "Li": "account-2"})
    assert redactor.text("由王丽确认 by LI, Linux") == "由account-1确认 by account-2, Linux"


RESIDENT, CARER, LEAD = "张桂兰", "王丽", "Zhao-Min"
TELEPHONE, WIFI, PIN = "13912345678", "Sunny-Side-1998", "258077"
HOUSE = f"""
[[webhooks]]
url = "https://hooks.example/send?key=hook-query-secret"
secret_file = "hook.secret"
[home_assistant]
url = "mqtt://ha-user:ha-password@192.0.2.21:1883"
[uplink]
url = "mqtt://gw:broker-password@192.0.2.20:1"
http_url = "https://care.example"
http_token_file = "token"
# her daughter: {TELEPHONE}
"""


async def test_of_a_gateway_full_of_personal_data_a_bundle_holds_not_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real gateway with people in its configuration, store, audit, site and logs; its own log is the journal."""
    for file, content in (("hook.secret", "hook-signing-secret-0123456789"), ("token", "receiver-gateway-token-0123")):
        (tmp_path / file).write_text(content)
        (tmp_path / file).chmod(0o600)
    assert make_certificate(["--site", "Sunny Side", "--out", str(tmp_path / "tls"), "--host", "127.0.0.1"]) == 0
    private = (tmp_path / "tls/127.0.0.1.key").read_text()
    account = f'accounts = [{{ name = "{CARER}", role = "carer", pin = "{hash_pin(PIN)}" }}]\n'
    tls = 'tls_certificate = "tls/127.0.0.1.pem"\ntls_key = "tls/127.0.0.1.key"\n'
    belt = new_belt(1)
    label, secret = label_of(belt), belt.key
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    logging.getLogger().addHandler(handler)
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    config = configured(tmp_path, f"{RESIDENT}-1 102-1", account + tls + HOUSE)
    try:
        async with provisioning(config, belt) as site:
            gateway = site.gateway
            await site.ask("scan", text=label, bed=f"{RESIDENT}-1")
            await site.ask("bind", belt=belt.serial.hex(), bed=f"{RESIDENT}-1")
            await site.live(f"{RESIDENT}-1")
            await gateway.management.put_account(AccountRow(LEAD, "lead", hash_pin(PIN)), CARER, f"for {RESIDENT}")
            why = f"{RESIDENT}: her daughter asked, {TELEPHONE}"
            await gateway.management.save(f"{RESIDENT}-1", BedSettings("high-fall-risk"), LEAD, why)
            gateway.room.act(f"{RESIDENT}-1", "assist", CARER)
            await site.ask("certificate")
            claimed = belt.key
            commands = gateway.port.snapshot()
    finally:
        logging.getLogger().removeHandler(handler)
    assert commands["beds"]
    assert (tmp_path / "data/acceptance.key").exists()
    told = logged.getvalue()
    assert "session established" in told
    journal = (
        f"{told}\nuvicorn: {CARER} signed in from fe80::1ff:fe23:4567:890a; 由{LEAD}确认了{RESIDENT}-1\n"
        f"wpa_supplicant: psk={WIFI}\nprovision: {label}\ncaller {TELEPHONE}\n{private}\n"
        "no account yet: make the first admin with the one-time token setup-token-1"
    )
    monkeypatch.setattr("gateway.checkup_facts.journal", lambda _: journal)
    bundle = tmp_path / "support.tar.gz"
    await asyncio.to_thread(main, ["--config", str(config.file), "--bundle", str(bundle)])
    with gzip.open(bundle) as packed:
        everything = packed.read()
    assert b"journal.txt" in everything
    assert b"gateway.toml" in everything
    forbidden = [RESIDENT, CARER, LEAD, TELEPHONE, WIFI, PIN, "hook-query-secret", "hook-signing-secret",
                 "receiver-gateway-token", "ha-password", "ha-user", "broker-password", "192.0.2.2", "fe80::1ff",
                 "scrypt$", "setup-token-1", "her daughter", label, label.split(":")[3], belt.serial.hex(),
                 belt.serial.hex().upper(), private.splitlines()[1]]  # fmt: skip
    for key in (secret, claimed, (tmp_path / "data/acceptance.key").read_bytes()):
        forbidden += [key.hex(), key.hex().upper(), base64.b64encode(key).decode(), base64.b32encode(key).decode()]
    assert [one for one in forbidden if one.encode().lower() in everything.lower()] == []
