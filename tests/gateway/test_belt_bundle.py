"""belt_bundle: what a trusted key has signed, whole, for the boards it names; anything else says why and what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.belt_bundle import BeltBundle, is_belt_bundle, open_bundle, stage_bundle
from gateway.commands.update import main
from gateway.update import UpdateError

IMAGES = {0: b"emulated" * 100, 1: b"pico" * 50}


@pytest.fixture
def update(tmp_path: Path) -> Path:
    """A signed bundle; its key is in tmp_path/keys."""
    built = tmp_path / "built"
    built.mkdir()
    boards = {}
    for model, image in IMAGES.items():
        (built / f"{model}.img").write_bytes(image)
        boards[f"board{model}"] = {"model": model, "image": f"{model}.img"}
    (built / "manifest.json").write_text(json.dumps({"version": "0.3.0", "boards": boards}))
    assert main(["keygen", "--out", str(tmp_path / "made")]) == 0
    (tmp_path / "keys").mkdir()
    shutil.copy(tmp_path / "made/public.pem", tmp_path / "keys/site.pem")
    assert main(["sign", str(built), "--key", str(tmp_path / "made/private.pem")]) == 0
    return built / "belts.update"


def opened(update: Path) -> BeltBundle:
    return open_bundle(update, update.parents[1] / "keys")


def test_a_signed_bundle_gives_each_board_its_image(update: Path) -> None:
    bundle = opened(update)
    assert bundle.version == "0.3.0"
    assert {model: bundle.image(model) for model in bundle.images} == IMAGES
    assert is_belt_bundle(update)


def test_staging_puts_it_where_the_gateway_looks(update: Path, tmp_path: Path) -> None:
    staged = stage_bundle(update, tmp_path / "keys", tmp_path / "belts.update")
    assert staged.file == tmp_path / "belts.update"
    assert staged.image(1) == IMAGES[1]


@pytest.mark.parametrize(("at", "what"), [(25, "has signed"), (-3, "damaged")])
def test_a_changed_byte_is_noticed_in_the_head_and_in_an_image(update: Path, at: int, what: str) -> None:
    content = bytearray(update.read_bytes())
    content[at] ^= 1
    update.write_bytes(content)
    with pytest.raises(UpdateError, match=what):
        opened(update)


def test_a_bundle_cut_short_is_damaged(update: Path) -> None:
    update.write_bytes(update.read_bytes()[:-10])
    with pytest.raises(UpdateError, match="stage the update again"):
        opened(update)


def test_without_a_trusted_key_nothing_is_taken(update: Path, tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match=r"update-keys\.d"):
        open_bundle(update, tmp_path / "nothing")


def test_a_folder_that_no_build_has_filled_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--out", str(tmp_path / "made")]) == 0
    (tmp_path / "manifest.json").write_text('{"boards": 1}')
    assert main(["sign", str(tmp_path), "--key", str(tmp_path / "made/private.pem")]) == 2
    assert "sleepbelt firmware build" in capsys.readouterr().err


def test_belts_status_without_a_gateway_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[gateway]\nid = "gw"\ndata_dir = "data"\n[[beds]]\nlabel = "A"\n')
    (tmp_path / "data").mkdir()
    assert main(["belts", "status", "--config", str(file)]) == 1
    assert "no gateway answers" in capsys.readouterr().err
