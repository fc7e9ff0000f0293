"""A whole gateway whose webhook and Home Assistant broker hang: the alarm goes its way, and the evidence has it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.cores.audit import verify
from gateway.store_evidence import audit_entries, audit_rows
from gateway.store_files import StoreFiles
from tests.gateway.outlets.test_webhooks import Endpoint, endpoint
from tests.gateway.small_gateway import compressed_clock, configuration, running
from tests.gateway.test_app import alarmed

__all__ = ["endpoint"]


@pytest.fixture(autouse=True)
def compressed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compressed_clock().items():
        monkeypatch.setenv(name, value)


async def test_an_alarm_waits_for_no_outlet_that_hangs(tmp_path: Path, endpoint: Endpoint) -> None:
    endpoint.hold.clear()
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    broker = f"mqtt://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    more = f'[home_assistant]\nurl = "{broker}"\n[[webhooks]]\nurl = "{endpoint.url}"\n'
    async with running(configuration(tmp_path, more=more)) as talk:
        await alarmed(talk)
        (webhook,) = talk.gateway.outlets.webhooks
        async with asyncio.timeout(5):
            while not endpoint.got:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not webhook.deliveries
        assert talk.gateway.outlets.failing()["home_assistant"]
        assert (await talk.gateway.port.act("A", "acknowledge", "carer-1"))["ok"]
        endpoint.hold.set()
        async with asyncio.timeout(5):
            while len(webhook.deliveries) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    silent.close()
    assert [body["event"] for _, body in endpoint.got][:2] == ["alarm_raise", "ack"]
    assert endpoint.got[0][1]["bed"] == "A"


async def test_every_step_of_an_alarm_is_in_the_audit_and_in_the_statistics(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    async with running(config) as talk:
        await alarmed(talk)
        await talk.gateway.port.act("A", "acknowledge", "carer-1")
        await talk.gateway.port.act("A", "outcome_false", "carer-2")
        await talk.gateway._store.flushed()
        total = (await talk.gateway.management.statistics(1))[0]
        assert (total.alarms, total.answered, total.false, total.nuisance_rate) == (1, 1, 1, 1.0)
        assert total.answer_s_median is not None
        assert 0 <= total.answer_s_median < 60
    files = StoreFiles(config.gateway.data_dir)
    entries = [entry for _, entry in files.evidence(lambda db: list(audit_entries(db)))]
    assert files.evidence(lambda db: verify(audit_rows(db)))[1] is None
    files.close()
    wanted = ("gateway_up", "alarm_raise", "action", "ack", "outcome")
    assert [(entry.kind, entry.who) for entry in entries if entry.kind in wanted] == [
        ("gateway_up", ""), ("alarm_raise", ""), ("action", "carer-1"), ("ack", "carer-1"), ("outcome", "carer-2"),
    ]  # fmt: skip
