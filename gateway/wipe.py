"""A whole gateway goes out of service: everything in its data folder is erased, and a signed proof of it is left.

An order (`wipe.json`) is written first and goes last, so that a power cut in between only makes the next start go on.
The proof (`wiped.json`) is signed like an acceptance certificate, with the key that goes with it: whoever has a
certificate of this gateway has the public key. On flash, erased files are unlinked, not overwritten: the card's own
controller decides when their blocks are gone; a card that leaves the house is trimmed or destroyed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.acceptance import KEY_FILE, gateway_key, sign
from gateway.config import Config, load_raw
from gateway.site_setup import write_durably

__all__ = ["PROOF_FILE", "carry_out", "files_outside", "order", "ordered"]

ORDER_FILE, PROOF_FILE = "wipe.json", "wiped.json"
SIDE_FOLDERS = (".before", ".restored", ".part")
"""Left beside the data folder by a restore."""


def order(folder: Path, facts: Mapping[str, Any]) -> None:
    """Have the folder erased at the next start. `facts`: what the proof shall say of belts and people. OSError."""
    part = folder / f"{ORDER_FILE}.part"
    write_durably(part, json.dumps(facts, ensure_ascii=False))
    part.replace(folder / ORDER_FILE)


def ordered(folder: Path) -> bool:
    """Whether an order stands that was not carried out to its end."""
    return (folder / ORDER_FILE).exists()


def carry_out(folder: Path, outside: Sequence[Path]) -> dict[str, Any]:
    """Erase everything and leave the proof, which is returned; OSError if not even that can be written.

    What the disk does not let go stands in the proof as `left`. `outside`: the gateway's files that are not in its
    folder and not its own to remove; those that are there are named.
    """
    facts = _facts(folder)
    whose_key = "gateway" if (folder / KEY_FILE).exists() else "made for this proof"
    key = gateway_key(folder)
    sides = [side for name in SIDE_FOLDERS if (side := folder.with_name(folder.name + name)).is_dir()]
    files = sorted(path for place in (folder, *sides) for path in place.rglob("*")
                   if not path.is_dir() and path != folder / ORDER_FILE)
    erased: list[dict[str, Any]] = [{"file": _name(path, folder), "bytes": path.lstat().st_size} for path in files]
    for path in [*sides, *(path for path in folder.iterdir() if path.name != ORDER_FILE)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    _flush(folder)
    left = sorted([_name(path, folder) for path in folder.rglob("*") if path != folder / ORDER_FILE]
                  + [side.name for side in sides if side.exists()])
    proof = sign({
        "kind": "sleepbelt wipe 1", **facts, "erased_utc_ms": time.time_ns() // 1_000_000, "erased": erased,
        "databases": sum(Path(each["file"]).suffix == ".db" for each in erased), "left": left, "complete": not left,
        "outside": [str(path) for path in outside if path.exists()], "signer": whose_key,
    }, key)  # fmt: skip
    part = folder / f"{PROOF_FILE}.part"
    write_durably(part, json.dumps(proof, ensure_ascii=False, indent=1))
    part.replace(folder / PROOF_FILE)
    (folder / ORDER_FILE).unlink()
    _flush(folder)
    return proof


def files_outside(config: Config) -> list[Path]:
    """Files of this gateway outside its data folder that may hold keys: the configuration, and what it names."""
    files = [config.file, config.file.with_name(f"{config.file.name}.before")]
    raw = load_raw(config.file)
    for table in (*raw.get("beds", ()), *raw.get("webhooks", ()), raw.get("uplink", {})):
        files += [config.file.parent / table[key] for key in ("key_file", "secret_file", "http_token_file")
                  if key in table]
    return files


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / ORDER_FILE).read_text("utf-8"))
    except ValueError:
        facts = None
    return facts if isinstance(facts, dict) else {"gateway": "", "belts": [], "accounts": None, "who": ""}


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder if path.is_relative_to(folder) else folder.parent))


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
