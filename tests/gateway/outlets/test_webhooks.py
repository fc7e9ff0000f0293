"""webhooks against a local server: in order, tried again, given up with a record, and never in anybody's way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cloud_sync.clock import Clock
from gateway.cores.webhook import TEST_ALARM, TEST_ALARM_END, TEST_TRIES_MAX, Event, retry_after_s
from gateway.outlets import WebhookConfig
from gateway.outlets.webhook import QUEUE_MAX, Delivered, Webhook

ZONE = "Asia/Shanghai"


class Endpoint:
    """A server that answers what the test says (status, body), one after the other, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.hold = threading.Event()
        self.hold.set()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.got.append((dict(self.headers), json.loads(body)))
                endpoint.hold.wait(20)
                status, answer = endpoint.answers.pop(0) if endpoint.answers else (200, b'{"errcode":0}')
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.hold.set()
    endpoint.server.shutdown()
    endpoint.server.server_close()


def event(number: int, name: str = "alarm_raise") -> Event:
    return Event("gw-01", f"gw-01-{number}", "A", name, "medium", "medium", 1, 1_795_365_900_000, True)


@asynccontextmanager
async def sending(url: str, template: str = "json", tries: int = 4) -> AsyncIterator[tuple[Webhook, list[Delivered]]]:
    given_up: list[Delivered] = []
    config = WebhookConfig(url, template, b"secret")
    webhook = Webhook(config, ZONE, Clock(), given_up.append, lambda tried, _: 0 if tried < tries else None)
    task = asyncio.create_task(webhook.run())
    try:
        yield webhook, given_up
    finally:
        task.cancel()
        await asyncio.wait([task])


async def delivered(webhook: Webhook, count: int) -> list[Delivered]:
    async with asyncio.timeout(10):
        while len(webhook.deliveries) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return list(webhook.deliveries)


async def test_events_arrive_once_in_order_and_signed(endpoint: Endpoint) -> None:
    async with sending(endpoint.url) as (webhook, _):
        for number in range(3):
            webhook.hand(event(number))
        records = await delivered(webhook, 3)
    assert [record.error for record in records] == ["", "", ""]
    assert [body["key"] for _, body in endpoint.got] == ["gw-01-0", "gw-01-1", "gw-01-2"]
    assert all(headers["X-Sleepbelt-Signature"].startswith("t=") for headers, _ in endpoint.got)


async def test_a_failing_server_is_tried_again_with_the_same_key(endpoint: Endpoint) -> None:
    endpoint.answers = [(500, b""), (503, b"")]
    async with sending(endpoint.url) as (webhook, given_up):
        webhook.hand(event(1))
        (record,) = await delivered(webhook, 1)
    assert (record.tries, record.error, given_up) == (3, "", [])
    assert {headers["Idempotency-Key"] for headers, _ in endpoint.got} == {"gw-01-1"}


async def test_a_server_that_never_takes_it_ends_in_a_record_and_the_next_event_goes_on(endpoint: Endpoint) -> None:
    endpoint.answers = [(500, b"")] * 4
    async with sending(endpoint.url) as (webhook, given_up):
        webhook.hand(event(1))
        webhook.hand(event(2))
        first, second = await delivered(webhook, 2)
    assert (first.tries, first.error, second.error) == (4, "HTTP status 500", "")
    assert given_up == [first]


async def test_a_refusal_is_not_tried_again_and_a_redirect_not_followed(endpoint: Endpoint) -> None:
    endpoint.answers = [(404, b""), (302, b"")]
    async with sending(endpoint.url, tries=1) as (webhook, given_up):
        webhook.hand(event(1))
        webhook.hand(event(2))
        await delivered(webhook, 2)
    assert [(record.tries, record.error) for record in given_up] == [(1, "HTTP status 404"), (1, "HTTP status 302")]
    assert len(endpoint.got) == 2


async def test_a_robot_that_says_no_with_status_200_has_not_taken_it(endpoint: Endpoint) -> None:
    endpoint.answers = [(200, b'{"errcode":310000,"errmsg":"sign not match"}')]
    async with sending(endpoint.url, "dingtalk") as (webhook, _):
        webhook.hand(event(1))
        webhook.hand(event(1, "alarm_clear"))  # no word for a chat
        (record,) = await delivered(webhook, 1)
    assert (record.tries, record.error, len(endpoint.got)) == (2, "", 2)


async def test_a_hanging_endpoint_delays_no_other_and_its_queue_is_bounded(endpoint: Endpoint) -> None:
    other = Endpoint()
    endpoint.hold.clear()
    async with sending(endpoint.url) as (hanging, given_up), sending(other.url) as (quick, _):
        for number in range(QUEUE_MAX + 10):
            hanging.hand(event(number))
        quick.hand(event(1))
        await delivered(quick, 1)
        assert (hanging.dropped, len(given_up)) == (10, 10)
        endpoint.hold.set()
    other.server.shutdown()
    other.server.server_close()


async def test_nobody_there_is_a_reason_that_is_told() -> None:
    async with sending("http://127.0.0.1:9/", tries=1) as (webhook, given_up):
        webhook.hand(event(1))
        await delivered(webhook, 1)
    assert "refused" in given_up[0].error
    assert webhook.failing == given_up[0].error


async def test_a_test_alarm_is_tried_only_while_somebody_waits_for_it(endpoint: Endpoint) -> None:
    endpoint.answers = [(500, b"")] * 9
    tried: list[str] = []

    def pause(tries: int, event: str) -> int | None:
        return None if retry_after_s(tries, event) is None else 0

    webhook = Webhook(WebhookConfig(endpoint.url), ZONE, Clock(), pause=pause)
    webhook.on_try = lambda event, error: tried.append(error)
    task = asyncio.create_task(webhook.run())
    webhook.hand(event(1, TEST_ALARM))
    (record,) = await delivered(webhook, 1)
    assert (record.tries, record.error) == (TEST_TRIES_MAX, "HTTP status 500")
    assert tried == ["HTTP status 500"] * TEST_TRIES_MAX
    endpoint.hold.clear()
    for number, name in enumerate(("alarm_raise", TEST_ALARM, TEST_ALARM_END), 2):
        webhook.hand(event(number, name))
    async with asyncio.timeout(5):
        while len(endpoint.got) <= TEST_TRIES_MAX:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    webhook.withdraw(TEST_ALARM)
    endpoint.answers.clear()
    endpoint.hold.set()
    await delivered(webhook, 3)
    task.cancel()
    await asyncio.wait([task])
    assert [body["event"] for _, body in endpoint.got[-2:]] == ["alarm_raise", TEST_ALARM_END]
