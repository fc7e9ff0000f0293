"""config: webhooks, Home Assistant, shifts: every wrong one is named, no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.outlets import HomeAssistantConfig, WebhookConfig
from tests.gateway.test_config import GOOD, load, problems


def secret(folder: Path, text: str = "SECxyz\n", mode: int = 0o600) -> None:
    file = folder / "hook.secret"
    file.write_text(text)
    file.chmod(mode)


def test_outlets_are_read_and_secrets_come_from_files(tmp_path: Path) -> None:
    secret(tmp_path)
    config = load(tmp_path, GOOD + """
[home_assistant]
url = "mqtt://192.168.1.10:1883"
[[webhooks]]
url = "https://hook.example/alarm"
secret_file = "hook.secret"
[[webhooks]]
url = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k"
template = "wecom"
language = "en"
[statistics]
shifts = ["06:30", "14:30", "22:30"]
""")
    assert config.home_assistant == HomeAssistantConfig("mqtt://192.168.1.10:1883", "homeassistant")
    assert config.webhooks == (
        WebhookConfig("https://hook.example/alarm", "json", b"SECxyz", "zh"),
        WebhookConfig("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k", "wecom", b"", "en"),
    )
    assert config.shifts == (390, 870, 1350)


def test_without_them_nobody_is_told_and_there_are_three_shifts(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert (config.home_assistant, config.webhooks, config.shifts) == (None, (), (420, 900, 1380))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[[webhooks]]\nurl = "hook.example/alarm"', "webhooks[0].url"),
        ("[[webhooks]]", "webhooks[0].url"),
        ('[[webhooks]]\nurl = "https://h/"\n[[webhooks]]\nurl = "ftp://h/"', "webhooks[1].url"),
        ('[[webhooks]]\nurl = "https://h/"\ntemplate = "slack"', "webhooks[0].template"),
        ('[[webhooks]]\nurl = "https://h/"\nsecret_file = "none"', "webhooks[0].secret_file"),
        ('[[webhooks]]\nurl = "https://h/"\nsecret = "x"', "webhooks[0].secret"),
        ('webhooks = "https://h/"', "webhooks"),
        ('[home_assistant]\nprefix = "ha"', "home_assistant.url"),
        ('[home_assistant]\nurl = "http://h"', "home_assistant.url"),
        ('[home_assistant]\nurl = "mqtt://h"\nprefix = "a b"', "home_assistant.prefix"),
        ('[statistics]\nshifts = ["7"]', "statistics.shifts"),
    ],
)
def test_a_wrong_one_is_named(tmp_path: Path, text: str, path: str) -> None:
    whole = text + GOOD if text.startswith("webhooks =") else GOOD + text
    assert list(problems(tmp_path, whole)) == [path]


def test_a_secret_that_others_may_read_or_that_is_empty_is_refused(tmp_path: Path) -> None:
    text = GOOD + '[[webhooks]]\nurl = "https://h/?key=abc"\nsecret_file = "hook.secret"\n'
    secret(tmp_path, mode=0o644)
    assert "chmod 600" in problems(tmp_path, text)["webhooks[0].secret_file"]
    secret(tmp_path, text=" \n")
    assert "nothing in" in problems(tmp_path, text)["webhooks[0].secret_file"]


def test_keys_inside_a_wrong_address_are_not_shown(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + '[[webhooks]]\nurl = "ftp://h/send?key=verysecret"\n')
    assert "verysecret" not in found["webhooks[0].url"]
    assert "such as https://host/path" in found["webhooks[0].url"]


def test_certificate_paths_count_from_the_files_folder(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD + '[web]\ntls_certificate = "gw.pem"\ntls_key = "gw.key"\n')
    assert (config.web.tls_certificate, config.web.tls_key) == (str(tmp_path / "gw.pem"), str(tmp_path / "gw.key"))
