"""One alarm event as an HTTP request: body by template, signature, idempotency key; and when to try again.

| template | body | proof |
|---|---|---|
| `json` | our own fields | `X-Sleepbelt-Signature: t=<unix s>,v1=<hex>`, HMAC-SHA256 of `<t>.<body>` by the secret |
| `wecom` | WeCom group robot, `markdown` | the key in the robot's URL |
| `dingtalk` | DingTalk group robot, `markdown` | `&timestamp=&sign=`, base64 HMAC-SHA256 of `<ms>\\n<secret>` |

Bed labels only. The key is the same at every try of one event, so that a receiver can tell a repetition.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from cloud_sync.webhook import Request, headers_of, signed_request

JSON, WECOM, DINGTALK = TEMPLATES = ("json", "wecom", "dingtalk")
RETRY_S = (1, 2, 5, 10, 30, 60, 120, 300, 600)
"""Pauses between tries of one event; after the last it is given up and the record says so."""
SENT_EVENTS = (
    "alarm_raise", "ack", "escalate", "realarm", "alarm_latched", "alarm_clear", "missed_alarm", "notice",
    "notice_clear", "tech_raise", "tech_clear", "outcome",
)  # fmt: skip
TEST_ALARM, TEST_ALARM_END = TEST_EVENTS = ("test_alarm", "test_alarm_end")
"""A walk test's: not of the room's decisions, and never told once the test is over."""
TEST_TRIES_MAX = 4
CHATTED_EVENTS = ("alarm_raise", "escalate", "realarm", "missed_alarm", "notice", "tech_raise", TEST_ALARM)
"""What a group chat is told: what somebody should look at. Answers and ends would bury it."""


@dataclass(frozen=True, slots=True)
class Event:
    """What is told. `key` is the idempotency key: unique to the event, over gateways and restarts."""

    gateway: str
    key: str
    bed: str
    event: str
    detail: str
    priority: str
    level: int
    utc_ms: int
    time_trusted: bool


def wants(template: str, event: str) -> bool:
    """Whether a webhook of that template is told of the event."""
    return event in ((*SENT_EVENTS, *TEST_EVENTS) if template == JSON else CHATTED_EVENTS)


def request_of(
    template: str, url: str, secret: bytes, event: Event, now_utc_ms: int, timezone: str, language: str = "zh"
) -> Request:
    """The request of one try at `now_utc_ms`; an empty secret leaves the signature out."""
    if template == JSON:
        return signed_request(url, event.key, _dumps(_own(event)), (secret,) if secret else (), now_utc_ms // 1000)
    headers = headers_of(event.key)
    text = chat_text(event, timezone, language)
    if template == WECOM:
        return Request(url, headers, _dumps({"msgtype": "markdown", "markdown": {"content": text}}))
    title = text.splitlines()[0].replace("*", "")
    body = _dumps({"msgtype": "markdown", "markdown": {"title": title, "text": text.replace("\n", "\n\n")}})
    return Request(_dingtalk_signed(url, secret, now_utc_ms) if secret else url, headers, body)


def accepted(template: str, status: int, body: bytes) -> str:
    """"" if the receiver took it, else why not. Chat robots answer 200 to what they refuse and say so in `errcode`."""
    if not 200 <= status < 300:
        return f"HTTP status {status}"
    if template == JSON:
        return ""
    try:
        answer = json.loads(body)
        code = answer["errcode"]
    except (ValueError, KeyError, TypeError):
        return "an answer without errcode: is this the address of a group robot?"
    return "" if code == 0 else f"errcode {code}: {answer.get('errmsg', '')}"


def permanent(status: int) -> bool:
    """Whether trying again cannot help: the receiver understood and refused (but not 408 and 429)."""
    return 400 <= status < 500 and status not in (408, 429)


def retry_after_s(tries: int, event: str = "") -> int | None:
    """The pause after so many failed tries; None: give up. A test alarm is of use only while somebody waits for it."""
    if event in TEST_EVENTS and tries >= TEST_TRIES_MAX:
        return None
    return RETRY_S[tries - 1] if 1 <= tries <= len(RETRY_S) else None


def chat_text(event: Event, timezone: str, language: str) -> str:
    """A message of a few lines for people, in Markdown."""
    words = _WORDS[language]
    what = words.get(event.event, event.event)
    detail = words.get(event.detail.partition(" ")[0], event.detail)
    place = words["bed"].format(bed=event.bed) if event.bed else words["gateway"].format(gateway=event.gateway)
    lines = [f"**{place}: {what}**"]
    if event.event in ("notice", "tech_raise") and detail:
        lines.append(detail)
    if event.event in ("alarm_raise", "escalate", "realarm"):
        lines.append(words["level"].format(priority=words.get(event.priority, event.priority), level=event.level))
    if event.time_trusted:
        at = datetime.fromtimestamp(event.utc_ms / 1000, ZoneInfo(timezone))
        lines.append(at.strftime("%Y-%m-%d %H:%M:%S"))
    return "\n".join(lines)


def _own(event: Event) -> dict[str, Any]:
    return {
        "version": 1, "key": event.key, "gateway": event.gateway, "bed": event.bed or None, "event": event.event,
        "detail": event.detail, "priority": event.priority or None, "level": event.level or None,
        "utc_ms": event.utc_ms, "time_trusted": event.time_trusted,
    }  # fmt: skip


def _dingtalk_signed(url: str, secret: bytes, now_utc_ms: int) -> str:
    """https://open.dingtalk.com/document/robots/customize-robot-security-settings: sign over "timestamp\\nsecret"."""
    digest = hmac.new(secret, f"{now_utc_ms}\n".encode() + secret, hashlib.sha256).digest()
    joint = "&" if urlsplit(url).query else "?"
    return f"{url}{joint}timestamp={now_utc_ms}&sign={quote(base64.b64encode(digest), safe='')}"


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "bed": "Bed {bed}", "gateway": "Gateway {gateway}", "level": "Priority {priority}, level {level}",
        "high": "high", "medium": "medium", "low": "low",
        "alarm_raise": "out of bed, please look", "escalate": "still not answered", "realarm": "still out of bed",
        "test_alarm": "test alarm of an installation, nobody is out of bed",
        "missed_alarm": "an absence went unreported", "notice": "attention notice", "tech_raise": "technical notice",
        "check_bed": "Please check the bed", "not_in_bed_by": "Not in bed yet", "not_up_by": "Not up yet",
        "repeated_exits": "Out of bed repeatedly", "occupied_while_away": "Bed in use while away",
        "reposition": "Time to reposition", "no_signal": "In bed without a signal",
        "hr_high": "Heart rate above the set value", "hr_low": "Heart rate below the set value",
        "rr_high": "Breathing rate above the set value", "rr_low": "Breathing rate below the set value",
        "belt_offline": "Belt not heard", "radio_down": "No belt is heard: check the radio",
    },
    "zh": {
        "bed": "{bed} 床", "gateway": "网关 {gateway}", "level": "优先级{priority}，第 {level} 级",
        "high": "高", "medium": "中", "low": "低",
        "alarm_raise": "已离床，请查看", "escalate": "仍无人应答", "realarm": "仍未回床",
        "test_alarm": "安装测试提醒，并无人离床",
        "missed_alarm": "有一次离床未能提醒", "notice": "关注通知", "tech_raise": "技术通知",
        "check_bed": "请查看床位", "not_in_bed_by": "尚未上床", "not_up_by": "尚未起床",
        "repeated_exits": "多次离床", "occupied_while_away": "外出期间床上有人",
        "reposition": "该翻身了", "no_signal": "在床但无信号",
        "hr_high": "心率高于设定值", "hr_low": "心率低于设定值",
        "rr_high": "呼吸高于设定值", "rr_low": "呼吸低于设定值",
        "belt_offline": "未收到床带信号", "radio_down": "所有床带均无信号：请检查无线电",
    },
}  # fmt: skip
