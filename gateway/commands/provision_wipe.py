"""`sleepbelt provision wipe`: give the belts up, erase the gateway, bring the proof."""

from __future__ import annotations

import argparse
import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cloud_sync.words import Words
from gateway.acceptance import verify
from gateway.config import load_config
from gateway.provision_error import ProvisionError
from gateway.provision_socket import GatewayAwayError, is_served
from gateway.site_setup import write_durably
from gateway.wipe import PROOF_FILE, carry_out, files_outside, order, ordered
from protocol.phrase import Phrase

__all__ = ["wipe"]

WIPE_S_MAX = 120.0
LOOK_S = 0.2
Ask = Callable[[str, dict[str, Any]], dict[str, Any]]


def wipe(ask: Ask, options: argparse.Namespace, t: Any) -> dict[str, Any]:
    """What became of it: `ok`, `message`, the proof; ProvisionError, GatewayAwayError, OSError."""
    config = load_config(options.config)
    folder = config.gateway.data_dir
    if options.gateway != config.gateway.id:
        raise ProvisionError("wipe_confirm", gateway=config.gateway.id)
    outside = files_outside(config)
    if is_served(folder):
        if options.belts_out is None:
            raise ProvisionError("bad_argument", name="--belts-out", allowed="a file for the belts' new claim codes")
        given = ask("wipe_belts", {"gateway": options.gateway})
        if given["released"]:
            _keep_codes(options.belts_out, given["released"])
        missing = ", ".join(row["belt"].upper() for row in given["not_reached"])
        if missing and not options.leave_belts:
            return {"ok": False, "not_reached": given["not_reached"], "released": len(given["released"]),
                    "message": t("provision_error.wipe_belts", belts=missing) + " (--leave-belts)"}
        before = _stamp(folder)
        ask("wipe", {"gateway": options.gateway, "leave_belts": options.leave_belts})
        proof = _awaited(folder, before)
    elif options.leave_belts:
        order(folder, {"gateway": config.gateway.id, "who": "local", "belts": [], "accounts": None})
        proof = carry_out(folder, outside)
    else:
        raise GatewayAwayError(
            Phrase(
                "no gateway runs on {folder}: its belts would stay locked. Start it (systemctl start sleepbelt), "
                "or say --leave-belts",
                folder=folder)
        )
    _put(options.out, json.dumps(proof, ensure_ascii=False, indent=1))
    said, signer = verify(proof)
    kept = _remove(outside) if options.with_config else [path for path in outside if path.exists()]
    told = Words(options.lang)
    message = told(Phrase("{file}: {erased} files erased, {left} left; signed by {signer}", file=options.out,
                          erased=len(said["erased"]), left=len(said["left"]), signer=signer))  # fmt: skip
    if kept:
        message += "\n" + told(Phrase("still there: {files} (--with-config)", files=", ".join(map(str, kept))))
    return {"ok": said["complete"], "proof": str(options.out), "public_key": signer, "erased": len(said["erased"]),
            "left": said["left"], "kept": [str(path) for path in kept], "message": message}


def _keep_codes(file: Path, released: Sequence[dict[str, Any]]) -> None:
    """The new claim codes on the disk, before anything is erased."""
    out = io.StringIO()
    writer = csv.DictWriter(out, ("serial", "model", "claim_secret"), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(released)
    _put(file, out.getvalue())


def _put(file: Path, text: str) -> None:
    part = file.with_name(f"{file.name}.part")
    write_durably(part, text)
    part.replace(file)


def _stamp(folder: Path) -> int:
    try:
        return (folder / PROOF_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _awaited(folder: Path, before: int) -> dict[str, Any]:
    """The proof, once the gateway has erased itself; by hand if it ended and nobody starts it anew."""
    end_s = time.monotonic() + WIPE_S_MAX
    while time.monotonic() < end_s:
        if _stamp(folder) not in (0, before) and not ordered(folder):
            proof: dict[str, Any] = json.loads((folder / PROOF_FILE).read_text("utf-8"))
            return proof
        time.sleep(LOOK_S)
    raise GatewayAwayError(Phrase(
        "the gateway does not come back to erase {folder}; start it (systemctl start sleepbelt)",
        folder=folder))


def _remove(files: Sequence[Path]) -> list[Path]:
    for path in files:
        path.unlink(missing_ok=True)
    return [path for path in files if path.exists()]
