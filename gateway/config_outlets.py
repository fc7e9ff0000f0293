"""The sections of `gateway.toml` that say who else is told, and how answers are counted: tables, defaults, secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloud_sync.secret_file import SecretFileError, read_secrets
from cloud_sync.webhook import WebhookUrlError, check_url
from gateway.config_checks import REQUIRED, Keys, NotAllowed, choice, mqtt_url, text
from gateway.cores.response import SHIFTS_DEFAULT, ShiftError, read_shifts
from gateway.cores.webhook import JSON, TEMPLATES
from gateway.outlets import WebhookConfig
from protocol.phrase import Phrase

__all__ = ["HOME_ASSISTANT", "STATISTICS", "read_webhooks"]

WEBHOOKS_MAX = 8

Table = Callable[[str, Mapping[str, Any], Keys], dict[str, Any]]
Complain = Callable[[str, str, str], None]


def webhook_url(value: object) -> str:
    try:
        return check_url(value, "")
    except WebhookUrlError:
        raise NotAllowed(
            Phrase("a webhook's address such as https://host/path: http or https, ASCII, no spaces")
        ) from None


def shifts(value: object) -> tuple[int, ...]:
    try:
        return read_shifts(value, "shifts")
    except ShiftError as error:
        raise NotAllowed(str(error)) from None


HOME_ASSISTANT: Keys = {
    "url": (mqtt_url, REQUIRED),
    "prefix": (text(64, r"[A-Za-z0-9_/-]+", Phrase("the discovery prefix of Home Assistant")), "homeassistant"),
}
_WEBHOOK: Keys = {
    "url": (webhook_url, REQUIRED),
    "template": (choice(*TEMPLATES), JSON),
    "secret_file": (text(4096), None),
    "language": (choice("zh", "en"), "zh"),
}
STATISTICS: Keys = {"shifts": (shifts, read_shifts(SHIFTS_DEFAULT))}


def read_webhooks(raw: object, folder: Path, table: Table, bad: Complain) -> tuple[WebhookConfig, ...]:
    """`[[webhooks]]`; what is wrong goes to `bad(path, found, allowed)`, also by `table`, which checks one table."""
    if not isinstance(raw, list) or len(raw) > WEBHOOKS_MAX:
        bad(
            "webhooks",
            Phrase("something else"),
            Phrase("at most {webhooks_max} tables [[webhooks]]", webhooks_max=WEBHOOKS_MAX),
        )
        return ()
    hooks = []
    for index, one in enumerate(raw):
        path = f"webhooks[{index}]"
        if not isinstance(one, dict):
            bad(path, Phrase("something else"), Phrase("a table [[webhooks]]"))
            continue
        values = table(path, one, _WEBHOOK)
        name = values.pop("secret_file", None)
        secret = b"" if name is None else _secret((folder / name).absolute(), f"{path}.secret_file", bad)
        if secret is not None and len(values) == len(_WEBHOOK) - 1:
            hooks.append(WebhookConfig(secret=secret, **values))
    return tuple(hooks)


def _secret(file: Path, path: str, bad: Complain) -> bytes | None:
    """The secret in a file of its own; None if `bad` was told why not."""
    try:
        return read_secrets(file, 1)[0]
    except SecretFileError as error:
        bad(path, error.found, error.wanted)
        return None
