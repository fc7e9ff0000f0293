"""Enrolment against a real mosquitto with mutual TLS and its access list: from claim token to acked data, and out."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloud_sync.authority import Authority, key_pem, load_authority, make_request, open_authority, read_request
from cloud_sync.clock import Clock
from cloud_sync.commands import authority as command
from cloud_sync.enrol import EnrolError, enrol, read_identity, renew_at
from cloud_sync.enrol_files import AUTHORITY_FILE, IDENTITY_FILE
from cloud_sync.mqtt import BrokerAddress, BrokerError, Link, connect
from cloud_sync.outbox import LANE_ALARM
from cloud_sync.receiver.http_uplink import gateway_token
from cloud_sync.renewal import Renewal
from cloud_sync.uplink import Uplink, UplinkSettings, enrolled_address
from gateway.commands import doctor
from gateway.commands import enrol as enrol_command
from protocol.batch import encode_item
from tests.cloud_sync.outboxes import MemoryOutbox
from tests.cloud_sync.samples import alarm
from tests.integration.cloud.parts import Receiver, free_port, running
from tests.integration.cloud.test_http_fallback import status_of

HOST = "127.0.0.1"
SECRET = "a secret of this test"
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class ConfiguredReceiver(Receiver):
    """`sleepbelt receiver --config FILE`."""

    def __init__(self, config: Path) -> None:
        self._command = [sys.executable, "-m", "gateway.cli", "receiver", "--config", str(config), "--json"]
        self._process = None
        self._http = ""
        self.ready = {}


class Site:
    """A platform as `sleepbelt authority broker` sets it up: authority, mosquitto, receiver."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.port, self._capsys = folder, free_port(), capsys
        self.authority_folder, self.data = folder / "ca", folder / "data"
        self.data.mkdir()
        self.made = self.run("broker", "--site", "Sunrise", "--host", HOST, "--port", str(self.port),
                             "--out", str(folder / "broker"))  # fmt: skip
        if os.geteuid() == 0:  # else mosquitto would go on as a user that cannot read the test's folder
            with (folder / "broker" / "mosquitto.conf").open("a") as conf:
                conf.write("user root\n")
        config = folder / "receiver.toml"
        config.write_text(
            f'[receiver]\ndata = "{self.data}"\nbroker = "{self.url}"\nhttp = "{HOST}:{free_port()}"\n'
            f'authority = "{self.authority_folder}"\nbroker_tls = "{self.made["receiver_tls"]}"\n'
            f'gateway_token = "{SECRET}"\n'
            "[receiver.web]\nopen_access = true\n"
        )
        self.receiver = ConfiguredReceiver(config)
        self._broker: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtts://{HOST}:{self.port}"

    @property
    def authority(self) -> Authority:
        return load_authority(self.authority_folder)

    def run(self, *words: str) -> dict[str, Any]:
        """What `sleepbelt authority` prints."""
        folders = ["--authority", str(self.authority_folder), "--data", str(self.data), "--json"]
        assert command.main([*words, *folders]) == 0
        said: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return said

    def token(self, gateway: str = "gw-01") -> str:
        return str(self.run("token", "--gateway", gateway)["token"])

    def start_broker(self) -> None:
        self._broker = subprocess.Popen(
            [MOSQUITTO, "-c", str(self.folder / "broker" / "mosquitto.conf")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), contextlib.closing(_socket(self.port)):
                return
            time.sleep(0.05)
        raise AssertionError(f"mosquitto does not listen (code {self._broker.poll()})")

    def stop_broker(self) -> None:
        if self._broker is not None:
            self._broker.terminate()
            self._broker.wait(10)


def _socket(port: int) -> Any:
    import socket

    return socket.create_connection((HOST, port), 1)


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    made = Site(tmp_path, capsys)
    made.start_broker()
    try:
        with running(made.receiver):
            yield made
    finally:
        made.stop_broker()


def _enrolled(site: Site, gateway: str = "gw-01") -> Path:
    folder = site.folder / gateway
    enrol(site.receiver.address, site.token(gateway), gateway, folder)
    return folder


def _with_certificate(site: Site, folder: Path, signer: Authority, now: datetime, days: int = 90) -> Path:
    """A folder like an enrolment's with another certificate in it."""
    folder.mkdir()
    request, key = make_request("gw-01")
    certificate = signer.client_certificate(read_request(request), "gw-01", now, days)
    (folder / IDENTITY_FILE).write_bytes(key_pem(key) + certificate.public_bytes(Encoding.PEM))
    (folder / AUTHORITY_FILE).write_bytes(site.authority.pem)
    return folder


@contextlib.asynccontextmanager
async def _in(address: BrokerAddress) -> AsyncIterator[Link]:
    """A connection that the broker has really let in: TLS 1.3 refuses a client only after the handshake."""
    async with connect(address, "probe") as link:
        await link.subscribe("sb/v1/gw-01/ack")
        yield link


async def _refused(site: Site, folder: Path) -> str:
    with pytest.raises(BrokerError) as refused:
        async with _in(enrolled_address(site.url, folder)):
            pass
    return str(refused.value)


async def test_an_enrolled_gateway_delivers_through_mutual_tls(site: Site) -> None:
    folder = await asyncio.to_thread(_enrolled, site)
    outbox = MemoryOutbox()
    outbox.put(LANE_ALARM, encode_item(alarm()))
    uplink = Uplink(outbox, UplinkSettings(site.url, "gw-01", identity_folder=folder), Clock())
    running_uplink = asyncio.create_task(uplink.run())
    try:
        assert await uplink.flush(20)
    finally:
        running_uplink.cancel()
        await asyncio.gather(running_uplink, return_exceptions=True)
    assert (await asyncio.to_thread(site.receiver.get, "api/stats"))["alarms"] == 1
    assert (folder / IDENTITY_FILE).stat().st_mode & 0o777 == 0o600


async def test_a_gateway_speaks_and_hears_under_its_own_name_only(site: Site) -> None:
    own = await asyncio.to_thread(_enrolled, site, "gw-01")
    other = await asyncio.to_thread(_enrolled, site, "gw-02")
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with connect(enrolled_address(site.url, own), "a") as victim, \
            connect(enrolled_address(site.url, other), "b") as foreign:  # fmt: skip
        await victim.subscribe("sb/v1/gw-01/ack")
        foreign.send("sb/v1/gw-01/ack", b"forged", refused.set_result)
        async with asyncio.timeout(20):
            assert await refused
            victim.send("sb/v1/gw-01/ack", b"own", pytest.fail)
            heard = await anext(victim.messages())
    assert heard == ("sb/v1/gw-01/ack", b"own")


async def test_a_certificate_is_renewed_with_a_new_key_over_the_old_one(site: Site) -> None:
    folder = await asyncio.to_thread(_enrolled, site)
    before = read_identity(folder / IDENTITY_FILE)
    renewal = Renewal(enrolled_address(site.url, folder), "gw-01")
    assert await renewal.look(renew_at(before) - timedelta(hours=1))
    assert read_identity(folder / IDENTITY_FILE) == before
    assert await renewal.look(renew_at(before))
    renewed = (folder / IDENTITY_FILE).read_bytes()
    assert read_identity(folder / IDENTITY_FILE).serial != before.serial
    assert x509.load_pem_x509_certificate(renewed).issuer == site.authority.certificate.subject
    async with _in(enrolled_address(site.url, folder)):
        pass


async def test_a_revoked_gateway_is_kept_out_and_cannot_renew(site: Site) -> None:
    folder = await asyncio.to_thread(_enrolled, site)
    identity = read_identity(folder / IDENTITY_FILE)
    assert site.run("revoke", "--gateway", "gw-01")["revoked"] == 1
    renewal = Renewal(enrolled_address(site.url, folder), "gw-01")
    assert not await renewal.look(renew_at(identity))
    site.stop_broker()
    site.start_broker()
    assert "refused our certificate" in await _refused(site, folder)


def test_a_revoked_gateway_is_refused_by_http_too_until_it_is_enrolled_anew(site: Site) -> None:
    def answered() -> int:
        return status_of(f"{site.receiver.address}uplink/gw-01/vitals", gateway_token(SECRET, "gw-01"), b"poison")

    assert answered() == 200  # not enrolled, but it has its token
    _enrolled(site)
    assert answered() == 200
    site.run("revoke", "--gateway", "gw-01")
    assert answered() == 401
    _enrolled(site)
    assert answered() == 200


async def test_a_certificate_of_another_authority_or_an_expired_one_is_refused(site: Site, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    (tmp_path / "foreign").mkdir()
    foreign, _ = open_authority(tmp_path / "foreign", "Elsewhere", now)
    assert "refused our certificate" in await _refused(site, _with_certificate(site, tmp_path / "f", foreign, now))
    old = _with_certificate(site, tmp_path / "old", site.authority, now - timedelta(days=100), 90)
    assert "refused our certificate" in await _refused(site, old)


async def test_a_broker_of_another_authority_is_not_believed(site: Site, tmp_path: Path) -> None:
    folder = await asyncio.to_thread(_enrolled, site)
    (tmp_path / "foreign").mkdir()
    (folder / AUTHORITY_FILE).write_bytes(open_authority(tmp_path / "foreign", "E", datetime.now(UTC))[0].pem)
    assert "not from the authority" in await _refused(site, folder)


async def test_a_clock_that_is_not_set_is_named(site: Site) -> None:
    """To a clock that stands before the broker's certificate it is not valid yet: here the certificate is moved."""
    folder = await asyncio.to_thread(_enrolled, site)
    later = datetime.now(UTC) + timedelta(days=30)
    certificate, key = site.authority.server_certificate(
        HOST, [x509.IPAddress(ipaddress.ip_address(HOST))], later, 30
    )
    (site.folder / "broker" / "broker.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (site.folder / "broker" / "broker.key").write_bytes(key_pem(key))
    site.stop_broker()
    site.start_broker()
    assert "check this machine's clock" in await _refused(site, folder)


def test_a_token_of_another_platform_is_noticed_before_it_is_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    foreign, _ = open_authority(tmp_path / "foreign", "Elsewhere", datetime.now(UTC))
    from cloud_sync.receiver.enrolment import token_text

    with pytest.raises(EnrolError, match="another fingerprint"):
        enrol(site.receiver.address, token_text(bytes(16), foreign.fingerprint), "gw-01", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_command_enrols_and_the_doctor_follows_the_way(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[gateway]\nid = "gw-01"\ndata_dir = "store"\n[uplink]\nurl = "{site.url}"\n[[beds]]\nlabel = "1"\n'
    )
    token = site.token()
    words = ["--platform", site.receiver.address, "--token", token, "--config", str(config), "--json"]
    assert enrol_command.main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["gateway"] == "gw-01"
    assert enrol_command.main(words) == 1
    assert "has been used" in capsys.readouterr().err
    assert [one["gateway"] for one in site.run("list")["gateways"]] == ["gw-01"]
    doctor.main(["uplink", "--config", str(config), "--json"])
    steps = {step["name"]: step["ok"] for step in json.loads(capsys.readouterr().out)["steps"]}
    assert (steps["MQTT 5"], steps["acks"]) == (True, True)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--platform", "https://care.example", "--token", "SBE1-short"], "not complete"),
        (["--platform", "http://care.example", "--token", "SBE1-" + "A" * 26 + "-" + "A" * 52], "https://host"),
        (["--platform", "https://care.example"], "--token"),
    ],
)
def test_what_was_typed_wrong_is_named(
    words: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[gateway]\nid = "gw-01"\ndata_dir = "store"\n[[beds]]\nlabel = "1"\n')
    assert enrol_command.main([*words, "--config", str(config)]) == 2
    assert part in capsys.readouterr().err
