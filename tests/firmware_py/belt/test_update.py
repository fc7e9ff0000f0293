"""Updates: only what the key signed is installed, whole or not at all, and interrupted ones go on where they were."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_py.belt.config import Config
from firmware_py.belt.update import IMAGE_BYTES_MAX, TRIAL_MS, Update
from firmware_py.boot.boot import choose
from firmware_py.tooling.image import make_image, public_bytes
from protocol.wire import frames
from tests.interpreters import run_unix

KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(0xBAD, ec.SECP256R1())
MODEL = 1
VERSION = (1, 2, 3)
FILES = {"app": b"new application" * 40, "lib/part": b"part of it"}


def _image(
    files: dict[str, bytes] = FILES, model: int = MODEL, version: tuple[int, int, int] = VERSION,
    key: ec.EllipticCurvePrivateKey = KEY,
) -> bytes:  # fmt: skip
    return make_image(files, model, version, key)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    identity = {"serial": "00" * 8, "claim_secret": "00" * 16, "update_key": public_bytes(KEY).hex()}
    (tmp_path / "identity.json").write_text(json.dumps(identity))
    return tmp_path


def _update(root: Path) -> Update:
    return Update(Config(str(root)), str(root), MODEL, VERSION)


def _begin(update: Update, image: bytes) -> tuple[int, int]:
    return update.handle(frames.UPDATE_BEGIN, (len(image), hashlib.sha256(image).digest()), b"")


def _installed(root: Path, image: bytes, sha256: bytes | None = None) -> int:
    """Final status of a whole transfer."""
    update = _update(root)
    update.handle(frames.UPDATE_BEGIN, (len(image), sha256 or hashlib.sha256(image).digest()), b"")
    for at in range(0, len(image), 400):
        assert update.handle(frames.UPDATE_DATA, (at,), image[at : at + 400])[0] == frames.STATUS_DONE
    status, _ = update.handle(frames.UPDATE_END, (), b"")
    while status == frames.STATUS_STARTED:
        status = update.work()
    return status


def test_a_signed_image_is_started_next_and_on_trial(root: Path) -> None:
    assert _installed(root, _image()) == frames.STATUS_DONE
    assert choose(str(root)) == f"{root}/b"
    assert {str(path.relative_to(root / "b")) for path in (root / "b").rglob("*") if path.is_file()} == set(FILES)
    assert (root / "b" / "lib" / "part").read_bytes() == FILES["lib/part"]
    assert _update(root).on_trial


def test_the_next_update_goes_into_the_first_slot_again(root: Path) -> None:
    _installed(root, _image())
    choose(str(root))
    _update(root).confirm()
    assert _installed(root, _image()) == frames.STATUS_DONE
    assert choose(str(root)) == f"{root}/a"


@pytest.mark.parametrize(
    "image",
    [_image(key=OTHER_KEY), _image(model=2), _image(version=(1, 2, 2))],
    ids=["another key", "another board", "an older version"],
)
def test_an_image_not_meant_for_this_belt_is_refused(root: Path, image: bytes) -> None:
    assert _installed(root, image) == frames.STATUS_REFUSED
    assert choose(str(root)) == f"{root}/a"


@pytest.mark.parametrize("at", [5, 20, 60, 200, -1])
def test_a_byte_changed_after_signing_never_runs(root: Path, at: int) -> None:
    image = bytearray(_image())
    image[at] ^= 1
    assert _installed(root, bytes(image)) in (frames.STATUS_REFUSED, frames.STATUS_FAILED)
    assert choose(str(root)) == f"{root}/a"


@pytest.mark.parametrize("image", [b"x", bytes(100), _image()[:-3], _image() + b"more", _image()[:40]])
def test_an_image_of_a_wrong_form_fails(root: Path, image: bytes) -> None:
    assert _installed(root, image) in (frames.STATUS_FAILED, frames.STATUS_REFUSED)
    assert choose(str(root)) == f"{root}/a"


@pytest.mark.parametrize("path", ["/etc/passwd", "../a/app"])
def test_a_path_out_of_the_slot_fails(root: Path, path: str) -> None:
    assert _installed(root, _image({path: b"x"})) == frames.STATUS_FAILED


def test_a_transfer_that_was_damaged_on_the_way_fails(root: Path) -> None:
    assert _installed(root, _image(), sha256=bytes(32)) == frames.STATUS_FAILED


def test_an_interrupted_transfer_goes_on_where_it_was(root: Path) -> None:
    image = _image()
    update = _update(root)
    _begin(update, image)
    assert update.handle(frames.UPDATE_DATA, (0,), image[:300]) == (frames.STATUS_DONE, 300)
    assert _begin(update, image) == (frames.STATUS_STARTED, 300)


def test_a_transfer_goes_on_after_a_restart(root: Path) -> None:
    image = _image()
    update = _update(root)
    _begin(update, image)
    update.handle(frames.UPDATE_DATA, (0,), image[:300])
    assert _begin(_update(root), image) == (frames.STATUS_STARTED, 300)


def test_another_image_starts_from_its_beginning(root: Path) -> None:
    update = _update(root)
    _begin(update, bytes(1000))
    update.handle(frames.UPDATE_DATA, (0,), bytes(300))
    assert _begin(update, bytes(1001)) == (frames.STATUS_STARTED, 0)


def test_data_out_of_its_place_is_refused_with_the_right_place(root: Path) -> None:
    update = _update(root)
    _begin(update, bytes(1000))
    assert update.handle(frames.UPDATE_DATA, (5,), b"x") == (frames.STATUS_OUT_OF_RANGE, 0)


def test_an_end_before_the_end_is_refused_with_the_place_to_go_on_from(root: Path) -> None:
    update = _update(root)
    _begin(update, bytes(1000))
    update.handle(frames.UPDATE_DATA, (0,), bytes(300))
    assert update.handle(frames.UPDATE_END, (), b"") == (frames.STATUS_OUT_OF_RANGE, 300)


def test_an_image_larger_than_a_slot_is_refused(root: Path) -> None:
    status, most = _update(root).handle(frames.UPDATE_BEGIN, (IMAGE_BYTES_MAX + 1, bytes(32)), b"")
    assert (status, most) == (frames.STATUS_OUT_OF_RANGE, IMAGE_BYTES_MAX)


def test_a_belt_without_a_key_takes_no_update(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(json.dumps({"serial": "00" * 8, "claim_secret": "00" * 16}))
    assert _begin(_update(tmp_path), bytes(10)) == (frames.STATUS_REFUSED, 0)
    assert _update(tmp_path).features == 0


def test_no_update_begins_while_one_is_on_trial(root: Path) -> None:
    _installed(root, _image())
    choose(str(root))
    assert _begin(_update(root), bytes(10)) == (frames.STATUS_REFUSED, 0)


def test_a_trial_without_a_session_has_failed_in_the_end(root: Path) -> None:
    _installed(root, _image())
    choose(str(root))
    update = _update(root)
    assert [update.trial_failed(TRIAL_MS), update.trial_failed(TRIAL_MS + 1)] == [False, True]
    update.confirm()
    assert not update.trial_failed(TRIAL_MS + 1)


def test_the_old_slot_neither_confirms_nor_ends_a_trial_that_boot_py_could_not_note(root: Path) -> None:
    _installed(root, _image())
    update = _update(root)
    update.confirm()
    assert update.on_trial
    assert not update.trial_failed(TRIAL_MS + 1)
    assert choose(str(root)) == f"{root}/b", "it is tried when a note can be taken"


def test_power_cuts_at_every_flash_operation_leave_a_belt_that_starts(tmp_path: Path) -> None:
    """On littlefs in the real interpreter: configuration, transfer, installation, trial, confirmation, revert."""
    path = tmp_path / "update.bin"
    path.write_bytes(_image(model=0))
    script = Path(__file__).parent / "check_power_cuts.py"
    forged = tmp_path / "forged.bin"
    forged.write_bytes(_image(model=0, key=OTHER_KEY))
    lines = run_unix(script, str(path), public_bytes(KEY).hex(), str(forged), heap="1000m").splitlines()
    cuts = {name: int(count) for name, count in map(str.split, lines)}
    print(cuts)
    assert set(cuts) == {
        "configuration", "update", "update-twice", "forged", "start", "confirm", "next-update", "revert",
    }  # fmt: skip
    assert cuts["update"] >= 150
    assert cuts["next-update"] >= 150
    assert all(count >= 3 for count in cuts.values())


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_transfer_interrupted_at_each_chunk_is_taken_up(root: Path, restarts: bool, answer_lost: bool) -> None:
    image = _image()
    update, at = _update(root), 0
    while at < len(image):
        update = _update(root) if restarts else update
        assert _begin(update, image) == (frames.STATUS_STARTED, at)
        chunk = image[at : at + 50]
        assert update.handle(frames.UPDATE_DATA, (at,), chunk) == (frames.STATUS_DONE, at + len(chunk))
        if answer_lost:  # the gateway sends it once more and is told where the belt is
            again = update.handle(frames.UPDATE_DATA, (at,), chunk)
            assert again == (frames.STATUS_OUT_OF_RANGE, at + len(chunk))
        at += len(chunk)
    assert update.handle(frames.UPDATE_END, (), b"") == (frames.STATUS_STARTED, len(image))


def test_a_full_file_system_fails_the_update_and_nothing_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image()
    update = _update(root)
    _begin(update, image)

    def full(*arguments: object) -> None:
        raise OSError(28)

    monkeypatch.setattr("builtins.open", full)
    assert update.handle(frames.UPDATE_DATA, (0,), image[:400]) == (frames.STATUS_FAILED, 0)
    monkeypatch.undo()
    assert update.handle(frames.UPDATE_DATA, (0,), image[:400]) == (frames.STATUS_DONE, 400)
