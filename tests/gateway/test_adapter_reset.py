"""adapter_reset: one request, one reset, and nothing else that a request could say."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gateway import adapter_reset
from gateway.adapter_reset import HCIDEVDOWN, HCIDEVUP, REQUEST_FILE, ask, main


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_reset, "DOWN_S", 0.0)


def test_what_is_asked_for_is_taken_down_and_up_once(tmp_path: Path) -> None:
    assert ask(tmp_path, "hci1")
    calls: list[tuple[int, int]] = []
    assert main(["--request", str(tmp_path / REQUEST_FILE)], lambda *call: calls.append(call)) == 0
    assert calls == [(HCIDEVDOWN, 1), (HCIDEVUP, 1)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "hci", "eth0", "hci0; reboot", "../hci0", "hci1234"])
def test_another_text_is_refused_and_forgotten(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    request = tmp_path / REQUEST_FILE
    request.write_text(text)
    assert main(["--request", str(request)], lambda *_: pytest.fail("touched an adapter")) == 2
    assert not request.exists()
    assert "allowed: hci0" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_forgotten_too(tmp_path: Path) -> None:
    (tmp_path / REQUEST_FILE).write_bytes(b"\xff")
    assert main(["--request", str(tmp_path / REQUEST_FILE)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_one_that_does_not_go_down_is_taken_up_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(tmp_path, "hci0")
    calls: list[int] = []

    def control(request: int, _: int) -> None:
        calls.append(request)
        raise OSError(errno.ETIMEDOUT, "timed out")

    assert main(["--request", str(tmp_path / REQUEST_FILE)], control) == 1
    assert calls == [HCIDEVDOWN, HCIDEVUP]
    assert "hci0: timed out" in capsys.readouterr().err


def test_one_that_is_up_already_is_well(tmp_path: Path) -> None:
    ask(tmp_path, "hci0")

    def control(request: int, _: int) -> None:
        if request == HCIDEVUP:
            raise OSError(errno.EALREADY, "already")

    assert main(["--request", str(tmp_path / REQUEST_FILE)], control) == 0


def test_where_nobody_can_be_asked_it_says_so(tmp_path: Path) -> None:
    assert not ask(tmp_path / "none", "hci0")
    with pytest.raises(ValueError, match="no adapter"):
        ask(tmp_path, "eth0")
