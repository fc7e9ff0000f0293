"""Everything that boards need into one folder: compiled slots, signed update images, boot files, a manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from firmware_py.belt.app import VERSION
from firmware_py.tooling.compile import BOARDS, PROJECT, compile_board
from firmware_py.tooling.image import make_image, public_bytes

__all__ = ["BOOT_FILES", "IMAGE_NAME", "build", "image_of_folder"]

BOOT_FILES = ("boot.py", "main.py")
IMAGE_NAME = "update.img"


def build(boards: Sequence[str], key: ec.EllipticCurvePrivateKey, output: Path) -> dict[str, Any]:
    """Build for the named boards into output/<board>/; returns what manifest.json says. BuildError as compile_board."""
    manifest: dict[str, Any] = {
        "version": ".".join(map(str, VERSION)),
        "update_key": public_bytes(key).hex(),
        "boards": {},
    }
    for name in boards:
        folder = output / name
        shutil.rmtree(folder, ignore_errors=True)
        sizes = compile_board(BOARDS[name], folder)
        image = image_of_folder(folder / "slot", BOARDS[name].model, VERSION, key)
        (folder / IMAGE_NAME).write_bytes(image)
        manifest["boards"][name] = {
            "architecture": BOARDS[name].architecture,
            "model": BOARDS[name].model,
            "image": f"{name}/{IMAGE_NAME}",
            "bytes": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
            "files": {path: {"bytes": size, "sha256": _sha256(folder / "slot" / path)} for path, size in sizes.items()},
        }
    boot = output / "boot"
    boot.mkdir(parents=True, exist_ok=True)
    for name in BOOT_FILES:
        shutil.copyfile(PROJECT / "firmware_py" / "boot" / name, boot / name)
    (output / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return manifest


def image_of_folder(slot: Path, model: int, version: tuple[int, int, int], key: ec.EllipticCurvePrivateKey) -> bytes:
    """Signed image of an application slot as it lies in a folder."""
    paths = sorted(path for path in slot.rglob("*") if path.is_file())
    return make_image({path.relative_to(slot).as_posix(): path.read_bytes() for path in paths}, model, version, key)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
