"""webhook: the request of an event, its proof, and when to try again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from cloud_sync.webhook import WebhookUrlError, check_url, shown_url, signed_request
from gateway.cores.webhook import Event, accepted, permanent, request_of, retry_after_s, wants

ZONE = "Asia/Shanghai"
RAISED = Event("gw-01", "gw-01-77", "101-1", "alarm_raise", "high", "high", 2, 1_795_365_900_000, True)
NOW_MS = 1_795_365_901_250


def test_our_own_format_is_signed_over_time_and_body() -> None:
    request = request_of("json", "https://hook.example/x", b"secret", RAISED, NOW_MS, ZONE)
    expected = hmac.new(b"secret", b"1795365901." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Sleepbelt-Signature"] == f"t=1795365901,v1={expected}"
    assert request.headers["Idempotency-Key"] == "gw-01-77"
    assert json.loads(request.body) == {
        "version": 1, "key": "gw-01-77", "gateway": "gw-01", "bed": "101-1", "event": "alarm_raise", "detail": "high",
        "priority": "high", "level": 2, "utc_ms": 1_795_365_900_000, "time_trusted": True,
    }  # fmt: skip


def test_while_secrets_are_changed_either_one_proves_the_body() -> None:
    header = signed_request("https://h/x", "k", b"{}", (b"new", b"old"), 7).headers["X-Sleepbelt-Signature"]
    proofs = [hmac.new(secret, b"7.{}", hashlib.sha256).hexdigest() for secret in (b"new", b"old")]
    assert header == f"t=7,v1={proofs[0]},v1={proofs[1]}"


def test_another_try_keeps_key_and_body_and_signs_anew() -> None:
    first, later = (request_of("json", "https://h/x", b"s", RAISED, at, ZONE) for at in (NOW_MS, NOW_MS + 5000))
    assert (first.body, first.headers["Idempotency-Key"]) == (later.body, later.headers["Idempotency-Key"])
    assert first.headers["X-Sleepbelt-Signature"] != later.headers["X-Sleepbelt-Signature"]


def test_without_a_secret_nothing_is_signed() -> None:
    request = request_of("json", "https://h/x", b"", RAISED, NOW_MS, ZONE)
    assert "X-Sleepbelt-Signature" not in request.headers


def test_a_wecom_robot_gets_markdown_in_the_sites_language() -> None:
    request = request_of("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k", b"", RAISED, NOW_MS, ZONE)
    assert json.loads(request.body) == {
        "msgtype": "markdown",
        "markdown": {"content": "**101-1 床: 已离床，请查看**\n优先级高，第 2 级\n2026-11-23 00:45:00"},
    }


def test_a_dingtalk_robot_gets_a_signed_address() -> None:
    url = "https://oapi.dingtalk.com/robot/send?access_token=t"
    request = request_of("dingtalk", url, b"SECabc", RAISED, NOW_MS, ZONE, "en")
    query = parse_qs(urlsplit(request.url).query)
    proof = hmac.new(b"SECabc", f"{NOW_MS}\nSECabc".encode(), hashlib.sha256).digest()
    assert query["timestamp"] == [str(NOW_MS)]
    assert unquote(query["sign"][0]) == base64.b64encode(proof).decode()
    body = json.loads(request.body)
    assert (body["msgtype"], body["markdown"]["title"]) == ("markdown", "Bed 101-1: out of bed, please look")


def test_untrusted_time_is_not_shown() -> None:
    event = Event("gw-01", "k", "101-1", "notice", "check_bed", "", 0, 5000, False)
    text = json.loads(request_of("wecom", "https://h/x", b"", event, NOW_MS, ZONE, "en").body)["markdown"]["content"]
    assert text == "**Bed 101-1: attention notice**\nPlease check the bed"


def test_a_chat_hears_what_to_look_at_and_a_program_everything() -> None:
    assert wants("json", "alarm_clear")
    assert not wants("wecom", "alarm_clear")
    assert wants("dingtalk", "escalate")
    assert not wants("json", "audio_on")


@pytest.mark.parametrize(
    ("template", "status", "body", "good"),
    [
        ("json", 204, b"", True),
        ("json", 500, b"", False),
        ("json", 302, b"", False),
        ("wecom", 200, b'{"errcode":0,"errmsg":"ok"}', True),
        ("wecom", 200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', False),
        ("dingtalk", 200, b"<html>", False),
        ("dingtalk", 200, b"[]", False),
    ],
)
def test_an_answer_is_taken_or_says_why_not(template: str, status: int, body: bytes, good: bool) -> None:
    assert (accepted(template, status, body) == "") is good


def test_trying_again_has_an_end_and_a_refusal_ends_it_at_once() -> None:
    pauses = [retry_after_s(tries) for tries in range(1, 11)]
    assert pauses[-1] is None
    assert None not in pauses[:-1]
    assert pauses[:-1] == sorted(pauses[:-1], key=lambda pause: pause or 0)
    assert [permanent(status) for status in (400, 404, 408, 429, 500)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    "url", ["", "hook", "ftp://x/y", "http://", "https://x:0/", "https://x:99999/", "http://a b/", 5]
)
def test_an_address_that_cannot_work_is_named(url: Any) -> None:
    with pytest.raises(WebhookUrlError, match=r"webhooks\[0\]\.url"):
        check_url(url, "webhooks[0].url")


def test_keys_in_an_address_are_not_shown() -> None:
    assert shown_url("https://user:pw@host:8443/send?key=secret") == "https://host:8443/send?...="
