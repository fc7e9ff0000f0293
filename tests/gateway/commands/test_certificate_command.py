"""`sleepbelt certificate`: a browser that trusts the site's authority opens the gateway's page by HTTPS."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.commands.certificate import main
from tests.gateway.small_gateway import running
from tests.gateway.web.managed_gateway import managed


def made(folder: Path, capsys: pytest.CaptureFixture[str], *hosts: str) -> dict[str, Any]:
    arguments = [part for host in hosts for part in ("--host", host)]
    assert main(["--site", "Sunrise Home", "--out", str(folder), *arguments, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


async def test_the_page_is_served_by_https_to_who_trusts_the_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = made(tmp_path / "tls", capsys, "127.0.0.1", "gw-01.local")
    config = managed(tmp_path, more=f'tls_certificate = "{files["certificate"]}"\ntls_key = "{files["key"]}"\n')
    context = ssl.create_default_context(cafile=files["ca"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    async with running(config) as talk, httpx.AsyncClient(verify=context, base_url=talk.gateway.page) as client:
        assert talk.gateway.page.startswith("https://")
        answer = await client.get("/")
        assert answer.status_code == 200
        assert "secure" in answer.headers["set-cookie"].lower()


def test_one_authority_signs_for_every_gateway_and_keys_are_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = made(tmp_path, capsys, "gw-01.local"), made(tmp_path, capsys, "gw-02.local", "192.168.1.20")
    assert first["ca_sha256"] == second["ca_sha256"]
    assert (first["ca_new"], second["ca_new"]) == (True, False)
    for name in (first["key"], second["key"], tmp_path / "site-ca.key"):
        assert Path(name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["--site", " "], "--site"),
        (["--host", "a b"], "'a b'"),
        (["--host", "-x"], "'-x'"),
        (["--days", "9999"], "--days"),
    ],
)
def test_bad_input_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], named: str
) -> None:
    given = dict(zip(changes[::2], changes[1::2], strict=True))
    options = {"--site": "Home", "--host": "gw-01", "--out": str(tmp_path), **given}
    assert main([f"{name}={value}" for name, value in options.items()]) == 2
    assert named in capsys.readouterr().err


def test_an_authority_that_is_half_there_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, capsys, "gw-01.local")
    (tmp_path / "site-ca.key").unlink()
    assert main(["--site", "Home", "--out", str(tmp_path), "--host", "gw-01.local"]) == 2
    assert "site-ca.key" in capsys.readouterr().err
    assert not (tmp_path / "site-ca.key").exists()
