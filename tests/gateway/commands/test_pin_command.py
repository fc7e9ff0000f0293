"""`sleepbelt pin` makes a hash that signs in, and never repeats the PIN."""

from __future__ import annotations

import io
import json

import pytest

from cloud_sync.pages.pins import pin_matches
from gateway.commands import pin


def _typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_the_hash_is_that_of_the_pin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _typed(monkeypatch, "4711-night\n")
    assert pin.main(["--json"]) == 0
    said = capsys.readouterr().out
    assert "4711" not in said
    assert pin_matches("4711-night", json.loads(said)["pin"])


@pytest.mark.parametrize("text", ["1\n", "\n", "x" * 200 + "\n", "1111\n", "1234\n"])
def test_a_pin_too_short_or_too_long_is_refused_without_being_repeated(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _typed(monkeypatch, text)
    assert pin.main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "sleepbelt pin: a PIN" in said.err
