"""What a gateway orders: calibration, self-test, identify, update; each is answered by its RESULT."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_py.belt.app import VERSION, Belt
from firmware_py.belt.calibration import CALIBRATION_S
from firmware_py.tooling.image import make_image, public_bytes
from protocol.wire import frames
from tests.firmware_py.belt.test_app import BoardInMemory, Gateway, Rebooted, _run

KEY = ec.derive_private_key(5, ec.SECP256R1())


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    identity = {
        "serial": bytes(range(8)).hex(), "claim_secret": bytes(range(16)).hex(), "update_key": public_bytes(KEY).hex(),
    }  # fmt: skip
    (tmp_path / "identity.json").write_text(json.dumps(identity))
    board = BoardInMemory(tmp_path)
    return Gateway(Belt(board), board).handshake()


def _results(gateway: Gateway, request_id: int) -> list[tuple[int, int]]:
    return [values[1:] for kind, values, _ in gateway.heard() if kind == frames.RESULT and values[0] == request_id]


def _ordered(gateway: Gateway, command: int, argument: int = 0) -> list[tuple[int, int]]:
    """Answers to a command in the half minute after it."""
    gateway.heard()
    gateway.send(frames.COMMAND, (7, command, argument))
    _run(gateway.belt, gateway.board, CALIBRATION_S + 5)
    return _results(gateway, 7)


def test_a_bed_in_use_and_an_empty_one_make_a_calibrated_belt(gateway: Gateway) -> None:
    """short_exit: in bed to 150 s, then two minutes out, then back."""
    _run(gateway.belt, gateway.board, 60)
    started, (status, occupied_level) = _ordered(gateway, frames.CMD_CALIBRATE_OCCUPIED)
    assert started == (frames.STATUS_STARTED, CALIBRATION_S)
    assert status == frames.STATUS_DONE
    _run(gateway.belt, gateway.board, 95)
    _, (status, empty_level) = _ordered(gateway, frames.CMD_CALIBRATE_EMPTY)
    assert status == frames.STATUS_DONE
    assert occupied_level > 3 * empty_level
    _run(gateway.belt, gateway.board, 2)
    reports = [values for kind, values, _ in gateway.heard() if kind == frames.REPORT]
    assert reports[-1][16] & frames.FLAG_CALIBRATED
    again = Belt(BoardInMemory(Path(gateway.board.config_directory)))
    assert again.config.values["occupied_level"] == occupied_level


def test_calibrating_an_empty_bed_that_is_in_use_fails_and_changes_nothing(gateway: Gateway) -> None:
    _run(gateway.belt, gateway.board, 60)
    _, (status, _) = _ordered(gateway, frames.CMD_CALIBRATE_EMPTY)
    assert status == frames.STATUS_FAILED
    assert gateway.belt.config.values["empty_level"] == 0


def test_self_test_and_identify_are_answered(gateway: Gateway) -> None:
    assert _ordered(gateway, frames.CMD_SELF_TEST) == [(frames.STATUS_DONE, 0)]
    assert _ordered(gateway, frames.CMD_IDENTIFY, 900) == [(frames.STATUS_STARTED, 60)]


def _sent(gateway: Gateway, image: bytes) -> None:
    gateway.send(frames.UPDATE_BEGIN, (1, len(image), hashlib.sha256(image).digest()))
    for at in range(0, len(image), 400):
        gateway.send(frames.UPDATE_DATA, (2, at), image[at : at + 400])
    gateway.heard()
    gateway.send(frames.UPDATE_END, (3,))


def test_an_update_is_answered_when_it_is_installed_and_then_restarts_the_belt(gateway: Gateway) -> None:
    _run(gateway.belt, gateway.board, 60)
    image = make_image({"firmware_py/main.mpy": bytes(3000)}, 0, VERSION, KEY)
    _sent(gateway, image)
    with pytest.raises(Rebooted):
        _run(gateway.belt, gateway.board, 30)
    assert _results(gateway, 3) == [(frames.STATUS_STARTED, len(image)), (frames.STATUS_DONE, 0)]


def test_an_update_with_a_wrong_signature_restarts_nothing(gateway: Gateway) -> None:
    other = ec.derive_private_key(6, ec.SECP256R1())
    _run(gateway.belt, gateway.board, 60)
    _sent(gateway, make_image({"firmware_py/main.mpy": bytes(10)}, 0, VERSION, other))
    _run(gateway.belt, gateway.board, 30)
    assert _results(gateway, 3)[-1] == (frames.STATUS_REFUSED, 0)


def test_no_update_begins_and_none_goes_on_while_the_bed_is_empty(gateway: Gateway) -> None:
    image = make_image({"firmware_py/main.mpy": bytes(3000)}, 0, VERSION, KEY)
    _run(gateway.belt, gateway.board, 140)
    gateway.send(frames.UPDATE_BEGIN, (1, len(image), hashlib.sha256(image).digest()))
    _run(gateway.belt, gateway.board, 60)
    gateway.heard()
    gateway.send(frames.UPDATE_DATA, (2, 0), image[:100])
    assert _results(gateway, 2) == [(frames.STATUS_REFUSED, 0)]
    _run(gateway.belt, gateway.board, 120)
    gateway.heard()
    gateway.send(frames.UPDATE_DATA, (3, 0), image[:100])
    assert _results(gateway, 3) == [(frames.STATUS_DONE, 100)]
