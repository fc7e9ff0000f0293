"""A signed bundle of belt firmware: one image for each board, made by `sleepbelt firmware build`, signed once more.

    sleepbelt-belts 1\n
    {"version": "0.2.0", "images": [{"model": 1, "size": N, "sha256": "..."}, ...]}\n
    <Ed25519 signature over the two lines above, base64>\n
    <the images in that order>

The gateway takes what a key in its update-keys folder has signed; a belt takes only an image that its own key signed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.cores.update_slots import SlotsError, newer
from gateway.update import UpdateError, read_signed, signed_head, trusted_keys
from protocol.phrase import Phrase

__all__ = ["BeltBundle", "is_belt_bundle", "open_bundle", "stage_bundle", "write_belt_bundle"]

MAGIC = b"sleepbelt-belts 1\n"
IMAGE_BYTES_MAX = 128 * 1024
IMAGES_MAX = 16


@dataclass(frozen=True, slots=True)
class _Image:
    at: int  # in the file
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BeltBundle:
    """A bundle on the disk whose signature was good when it was opened."""

    file: Path
    version: str
    images: dict[int, _Image]  # by the board's model

    def image(self, model: int) -> bytes:
        """The image of a board, as it was signed; UpdateError, KeyError if there is none for it."""
        wanted = self.images[model]
        try:
            with self.file.open("rb") as file:
                file.seek(wanted.at)
                content = file.read(wanted.size)
        except OSError as error:
            raise UpdateError(
                Phrase("{file}: {why}; stage the update again", file=self.file, why=error.strerror or error)
            ) from None
        if hashlib.sha256(content).hexdigest() != wanted.sha256:
            raise UpdateError(
                Phrase(
                    "{file}: the image of board {model} is damaged; stage the update again", file=self.file, model=model
                )
            )
        return content


def is_belt_bundle(file: Path) -> bool:
    """Whether the file says that it holds belt firmware."""
    with file.open("rb") as opened:
        return opened.readline(len(MAGIC)) == MAGIC


def write_belt_bundle(folder: Path, sign: Callable[[bytes], bytes], target: Path) -> dict[str, Any]:
    """Make `target` of what `sleepbelt firmware build` left in `folder`; what the bundle says. UpdateError."""
    try:
        built = json.loads((folder / "manifest.json").read_text("utf-8"))
        boards = [(int(each["model"]), (folder / each["image"]).read_bytes()) for each in built["boards"].values()]
        version = str(built["version"])
        newer(version, "0")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UpdateError(
            Phrase(
                "{folder}: {error}; `sleepbelt firmware build` writes one", folder=folder / "manifest.json", error=error
            )
        ) from None
    listed = [{"model": model, "size": len(image), "sha256": hashlib.sha256(image).hexdigest()}
              for model, image in boards]  # fmt: skip
    said = {"version": version, "images": listed}
    line = json.dumps(said, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    target.write_bytes(signed_head(MAGIC, line, sign) + b"".join(image for _, image in boards))
    return said


def open_bundle(path: Path, keys: Path) -> BeltBundle:
    """The bundle in `path`, if a key in the folder `keys` has signed it and every image is whole; UpdateError else."""
    with path.open("rb") as file:
        line = read_signed(file, MAGIC, trusted_keys(keys))
        at, images = file.tell(), {}
        try:
            said = json.loads(line)
            newer(version := str(said["version"]), "0")
            for each in said["images"][:IMAGES_MAX]:
                size = int(each["size"])
                if not 0 < size <= IMAGE_BYTES_MAX:
                    raise ValueError(f"an image of {size} bytes")
                images[int(each["model"])] = _Image(at, size, str(each["sha256"]))
                at += size
        except (ValueError, KeyError, TypeError, SlotsError) as error:
            raise UpdateError(Phrase("the update's manifest cannot be read: {error}", error=error)) from None
    bundle = BeltBundle(path, version, images)
    for model in images:
        bundle.image(model)
    return bundle


def stage_bundle(source: Path, keys: Path, target: Path) -> BeltBundle:
    """Check a bundle and put it where the gateway looks for it; UpdateError: refused, why."""
    try:
        open_bundle(source, keys)
        part = target.with_suffix(".part")
        part.write_bytes(source.read_bytes())
        part.chmod(0o644)
        part.replace(target)
        return open_bundle(target, keys)
    except OSError as error:
        raise UpdateError(
            Phrase("{filename}: {why}", filename=error.filename or source, why=error.strerror or error)
        ) from None
