"""The way by HTTP is configured whole or not at all, and its token is read from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load_config

BASE = '[gateway]\nid = "g"\ndata_dir = "d"\n[uplink]\nurl = "mqtt://127.0.0.1"\n{}\n[[beds]]\nlabel = "A"\n'


def _load(tmp_path: Path, lines: str) -> str | None:
    file = tmp_path / "gateway.toml"
    file.write_text(BASE.format(lines), "utf-8")
    uplink = load_config(file).uplink
    assert uplink is not None
    return uplink.http_token


def test_the_token_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n", "utf-8")
    assert _load(tmp_path, 'http_url = "https://care.example"\nhttp_token_file = "token"') == "secret"


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ('http_url = "https://care.example"', "uplink.http_token_file"),
        ('http_token_file = "token"', "uplink.http_url"),
        ('http_url = "care.example"\nhttp_token_file = "token"', "uplink.http_url"),
        ('http_url = "https://care.example"\nhttp_token_file = "none"', "uplink.http_token_file"),
    ],
)
def test_half_a_way_by_http_is_named(lines: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        _load(tmp_path, lines)
    assert path in [problem.path for problem in refused.value.problems]
