"""Who else is told what happens in the room: Home Assistant on the LAN, webhooks. None of them carries the alarm path;
each runs by itself, and one that hangs delays nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud_sync.webhook import shown_url

__all__ = ["HomeAssistantConfig", "WebhookConfig"]


@dataclass(frozen=True, slots=True)
class HomeAssistantConfig:
    """`[home_assistant]`; `url` may hold a password and is never shown."""

    url: str
    prefix: str = "homeassistant"


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """One of `[[webhooks]]`; `url` may hold a key and `secret` is one: neither is shown."""

    url: str
    template: str = "json"
    secret: bytes = b""
    language: str = "zh"

    def __str__(self) -> str:
        return f"{self.template} webhook {shown_url(self.url)}"
