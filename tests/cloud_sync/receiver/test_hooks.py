"""Webhooks of the platform: noted with what they tell of, told at least once under one key, signed, in nobody's way."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.clock import Clock
from cloud_sync.commands.platform import main
from cloud_sync.receiver import hooks as hooks_module
from cloud_sync.receiver.hooks import RETRY_S, Hooks, pause_s
from cloud_sync.receiver.port import HookCount
from cloud_sync.receiver.settings import HookSettings, SettingsError, parse_receiver_settings
from cloud_sync.receiver.stores import outbox
from cloud_sync.receiver.stores.base import Admission, SealedName
from cloud_sync.receiver.stores.database import Database, transaction
from cloud_sync.receiver.stores.forgetting import PRESENCE
from cloud_sync.receiver.stores.opening import open_existing
from cloud_sync.receiver.threads import StoreThread
from protocol.batch import LiveSnapshot, encode_item
from tests.cloud_sync.receiver.test_stores import NOW, Store, server, store
from tests.cloud_sync.samples import START_UTC_MS, alarm, minute, night
from tests.gateway.outlets.test_webhooks import Endpoint, endpoint

__all__ = ["endpoint", "server", "store"]

EARLY_MS = 1  # endpoints are there before anything is noted
SECRET = b"0123456789abcdef0123456789abcdef"


class Stage:
    """A database with its outbox, and hooks that tell one endpoint."""

    def __init__(self, store: Store, hook: HookSettings) -> None:
        self.store, self.hook = store, hook
        self.withheld: frozenset[str] = frozenset()
        self.connected = True
        self.do(lambda database: outbox.adopt(database, hook.name, hook.events, EARLY_MS, 0))

    def do(self, change: Any) -> Any:
        database = open_existing(self.store.where)
        try:
            with transaction(database, "test"):
                return change(database)
        finally:
            database.close()

    @asynccontextmanager
    async def telling(self, tries: int = 3, silent_s: float = 120.0) -> AsyncIterator[Hooks]:
        thread: StoreThread[Database] = StoreThread("outbox", lambda: open_existing(self.store.where))
        hooks = Hooks((self.hook,), thread, Clock(), lambda resident: self.withheld, lambda: self.connected,
                      lambda tried: 0.001 if tried < tries else None, silent_s)  # fmt: skip
        task = asyncio.create_task(hooks.run())
        try:
            yield hooks
        finally:
            task.cancel()
            await asyncio.wait([task])
            thread.call_now(lambda database: database.close())
            thread.shutdown()

    def log(self) -> list[tuple[str, str, int]]:
        return [(row.event_key, row.state, row.tries) for row in outbox.deliveries(self.store.reads, 100)]

    async def until(self, count: int, state: str = "delivered") -> None:
        async with asyncio.timeout(20):
            while sum(row[1] == state for row in self.log()) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks_module, "LOOK_S", 0.05)


@pytest.fixture
def stage(store: Store, endpoint: Endpoint, tmp_path: Path) -> Stage:
    file = tmp_path / "hook.secret"
    file.write_bytes(SECRET)
    file.chmod(0o600)
    return Stage(store, HookSettings("care", endpoint.url, file))


def noted(store: Store) -> list[dict[str, Any]]:
    rows = store.sql("SELECT body FROM webhook_events ORDER BY noted_utc_ms, event_key")
    return [json.loads(body) for (body,) in rows]


def test_an_alarm_is_noted_when_raised_and_when_closed_however_often_it_comes(store: Store) -> None:
    store.writes.admit([Admission(SealedName("r-1", b"n", b"s"), "gw-01", "101-A", "101")], START_UTC_MS - 1)
    raised, closed = encode_item(alarm(priority="medium", level=1)), encode_item(alarm("alarm_clear", at_s=60))
    store.take(raised)
    assert [(event["event"], event["resident_id"], event["utc_ms"]) for event in noted(store)] == [
        ("alarm_raised", "r-1", START_UTC_MS)]  # fmt: skip
    store.take(raised)
    store.sql("DELETE FROM received")
    store.sql("DELETE FROM alarm_events")  # as after the restore of an older state
    store.take(raised)
    store.take(closed, seq=2)
    assert [(event["key"], event["bed"]) for event in noted(store)] == [
        ("alarm_closed:gw-01:101-A:a-1", "101-A"), ("alarm_raised:gw-01:101-A:a-1", "101-A")]  # fmt: skip


def test_a_night_is_noted_once_its_report_is_complete(store: Store) -> None:
    running = night(version=1)
    running.report["night"]["provisional"] = True
    store.take(encode_item(running))
    assert noted(store) == []
    store.take(encode_item(night(version=2)), seq=2)
    assert [(event["night_of"], event["report_version"]) for event in noted(store)] == [("2026-11-24", 2)]


def test_a_belt_that_is_not_heard_is_noted_and_another_technical_notice_is_not(store: Store) -> None:
    store.take(encode_item(alarm("tech_raise", alarm_id="", detail="belt_offline", belt="belt-1")),
               encode_item(alarm("tech_raise", alarm_id="", detail="maintenance_timeout")),
               encode_item(alarm("tech_clear", alarm_id="", detail="belt_offline", belt="belt-1", at_s=9)))  # fmt: skip
    events = sorted((event["event"], event["device"], event["utc_ms"]) for event in noted(store))
    assert events == [("device_back", "belt-1", START_UTC_MS + 9000), ("device_lost", "belt-1", START_UTC_MS)]


def test_nothing_is_noted_of_a_batch_that_could_not_be_stored(store: Store) -> None:
    store.sql("DROP TABLE counters")
    with pytest.raises(OSError, match="cannot commit"):
        store.take(encode_item(alarm()))
    assert noted(store) == []


def test_who_is_erased_leaves_no_event_behind(stage: Stage) -> None:
    stage.store.writes.admit([Admission(SealedName("r-1", b"n", b"s"), "gw-01", "101-A", "101")], START_UTC_MS - 1)
    stage.store.take(encode_item(alarm()))
    stage.do(lambda database: outbox.adopt(database, "care", stage.hook.events, EARLY_MS, 0))
    assert len(stage.log()) == 1
    assert stage.store.writes.erase("r-1")
    assert (noted(stage.store), stage.log()) == ([], [])


async def test_an_event_is_told_once_with_the_proof_that_the_manual_checks(stage: Stage, endpoint: Endpoint) -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    manual: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], manual)
    stage.store.take(encode_item(alarm()))
    async with stage.telling():
        await stage.until(1)
        await asyncio.sleep(0.2)
    ((headers, body),) = endpoint.got
    sent = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    proof, now_s = headers["X-Sleepbelt-Signature"], time.time()
    assert headers["Idempotency-Key"] == body["key"] == "alarm_raised:gw-01:101-A:a-1"
    assert manual["genuine"](SECRET, proof, sent, now_s)
    assert not manual["genuine"](b"another", proof, sent, now_s)
    assert not manual["genuine"](SECRET, proof, sent + b" ", now_s)
    assert not manual["genuine"](SECRET, proof, sent, now_s + 600)  # a recording


async def test_what_is_not_taken_is_tried_again_with_the_same_key(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.answers += [(500, b""), (302, b"")]
    stage.store.take(encode_item(alarm()))
    async with stage.telling():
        await stage.until(1)
    assert stage.log() == [("alarm_raised:gw-01:101-A:a-1", "delivered", 3)]
    assert len({(headers["Idempotency-Key"], json.dumps(body)) for headers, body in endpoint.got}) == 1


async def test_what_waits_is_told_after_a_restart(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.answers += [(503, b"")]
    stage.store.take(encode_item(alarm()))
    async with stage.telling(tries=99):
        async with asyncio.timeout(10):
            while not any(row.error for row in outbox.deliveries(stage.store.reads, 9)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    stage.store.take(encode_item(alarm("alarm_clear", at_s=60)), seq=2)  # while nobody tells
    async with stage.telling():
        await stage.until(2)
    assert sorted(body["event"] for _, body in endpoint.got) == ["alarm_closed", "alarm_raised", "alarm_raised"]


async def test_what_is_given_up_is_kept_in_the_log_and_sent_once_more_when_asked(
    stage: Stage, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.answers += [(500, b"")] * 3
    stage.store.take(encode_item(alarm()))
    where = ["--data", str(stage.store.where.parent)] if isinstance(stage.store.where, Path) else [
        "--database", stage.store.where]  # fmt: skip
    async with stage.telling(tries=3):
        await stage.until(1, "given_up")
        assert outbox.hook_counts(stage.store.reads) == [HookCount("care", "given_up", 1)]
        assert await asyncio.to_thread(main, ["webhook", "retry", "care", *where, "--json"]) == 0
        await stage.until(1)
    assert json.loads(capsys.readouterr().out)["retried"] == 1
    assert main(["webhook", "list", *where, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["deliveries"]
    assert (row["webhook"], row["tries"], row["error"], row["next_utc_ms"]) == ("care", 1, "", None)


async def test_an_endpoint_that_is_gone_is_not_asked_again(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.answers += [(410, b"")]
    stage.store.take(encode_item(alarm()))
    async with stage.telling(tries=9):
        await stage.until(1, "given_up")
    assert len(endpoint.got) == 1


async def test_a_secret_is_changed_without_a_restart(stage: Stage, endpoint: Endpoint) -> None:
    async with stage.telling():
        stage.store.take(encode_item(alarm()))
        await stage.until(1)
        stage.hook.secret_file.write_bytes(b"new" + SECRET + b"\n" + SECRET)
        stage.store.take(encode_item(alarm("alarm_clear", at_s=60)), seq=2)
        await stage.until(2)
    first, second = (headers["X-Sleepbelt-Signature"] for headers, _ in endpoint.got)
    assert (first.count("v1="), second.count("v1=")) == (1, 2)


async def test_what_consent_withholds_is_not_told(stage: Stage, endpoint: Endpoint) -> None:
    stage.withheld = frozenset({PRESENCE})
    stage.store.take(encode_item(alarm()), encode_item(night()))
    async with stage.telling():
        await stage.until(1)
        await stage.until(1, "given_up")
    assert [body["event"] for _, body in endpoint.got] == ["night_ready"]


async def test_of_two_workers_each_event_is_told_by_one(stage: Stage, endpoint: Endpoint) -> None:
    for number in range(20):
        stage.store.take(encode_item(alarm(alarm_id=f"a-{number}")), seq=number + 1)
    async with stage.telling(), stage.telling():
        await stage.until(20)
    assert len(endpoint.got) == len({body["key"] for _, body in endpoint.got}) == 20


def test_a_try_that_nobody_settled_is_followed_by_another_a_lease_later(stage: Stage) -> None:
    stage.store.take(encode_item(alarm()))
    stage.do(lambda database: outbox.adopt(database, "care", stage.hook.events, EARLY_MS, 5))
    first = stage.do(lambda database: outbox.claim(database, "care", 5))
    assert stage.do(lambda database: outbox.claim(database, "care", 5 + outbox.LEASE_MS - 1)) is None
    again = stage.do(lambda database: outbox.claim(database, "care", 5 + outbox.LEASE_MS))
    assert (first.tries, again.tries, again.event_key) == (1, 2, first.event_key)


def test_a_new_endpoint_is_told_what_is_noted_from_then_on(stage: Stage) -> None:
    stage.store.take(encode_item(alarm()))
    stage.do(lambda database: outbox.adopt(database, "late", stage.hook.events, NOW + 1, 0))
    assert stage.do(lambda database: outbox.claim(database, "late", 2**50)) is None


async def test_a_gateway_that_falls_silent_is_told_of_and_that_it_is_back(stage: Stage, endpoint: Endpoint) -> None:
    async with stage.telling(silent_s=0.2) as hooks:
        hooks.heard(LiveSnapshot("gw-01", START_UTC_MS, True, ()))
        await stage.until(1)
    async with stage.telling(silent_s=0.2) as hooks:  # a retained snapshot comes again with a new connection
        hooks.heard(LiveSnapshot("gw-01", START_UTC_MS, True, ()))
        await asyncio.sleep(0.5)
        hooks.heard(LiveSnapshot("gw-01", START_UTC_MS + 5000, True, ()))
        await stage.until(2)
    told = [(body["event"], body["device"], body["utc_ms"]) for _, body in endpoint.got]
    assert told == [("device_lost", "gw-01", START_UTC_MS), ("device_back", "gw-01", START_UTC_MS + 5000)]


async def test_without_the_broker_no_gateway_is_called_silent(stage: Stage) -> None:
    stage.connected = False
    async with stage.telling(silent_s=0.1) as hooks:
        hooks.heard(LiveSnapshot("gw-01", START_UTC_MS, True, ()))
        await asyncio.sleep(0.5)
    assert noted(stage.store) == []


async def test_an_endpoint_that_hangs_holds_no_commit_up(stage: Stage, endpoint: Endpoint) -> None:
    endpoint.hold.clear()
    async with stage.telling():
        stage.store.take(encode_item(alarm()))
        async with asyncio.timeout(10):
            while not endpoint.got:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        begun = time.monotonic()
        assert await asyncio.to_thread(stage.store.take, encode_item(minute()), seq=2) == ("stored",)
        took_s = time.monotonic() - begun
        endpoint.hold.set()
        await stage.until(1)
    assert took_s < 2


def test_pauses_grow_and_end_after_two_days() -> None:
    assert list(RETRY_S) == sorted(RETRY_S)
    assert 2 * 86_400 < sum(RETRY_S) < 3 * 86_400
    assert pause_s(len(RETRY_S) + 1) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "ftp://x/y"}, "receiver.webhooks[0].url"),
        ({"name": "a b"}, "receiver.webhooks[0].name"),
        ({"events": ["alarm_raised", "fall"]}, "receiver.webhooks[0].events"),
        ({"secret_file": "none"}, "receiver.webhooks[0].secret_file"),
        ({"secret_file": "open"}, "chmod 600"),
        ({"more": 1}, "receiver.webhooks[0]: name, url"),
    ],
)
def test_a_webhook_that_is_set_wrongly_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    for name, mode in (("good", 0o600), ("open", 0o644)):
        (tmp_path / name).write_bytes(SECRET)
        (tmp_path / name).chmod(mode)
    table = {"name": "care", "url": "https://care.example/hook?key=k1", "secret_file": "good"}
    assert str(parse_receiver_settings({"data": "d", "webhooks": [table]}, tmp_path).webhooks[0]) == (
        "webhook care (https://care.example/hook?...=)")  # fmt: skip
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        parse_receiver_settings({"data": "d", "webhooks": [{**table, **changes}]}, tmp_path)
    assert "0123" not in str(caught.value)
