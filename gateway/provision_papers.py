"""Papers that a running gateway gives out: labels of its beds, and the acceptance certificate (JSON and PDF)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from gateway.acceptance import gateway_key, sign
from gateway.cores.labels import BedLabel, bed_label_text
from gateway.provision_error import ProvisionError
from gateway.provision_ops import Operations
from gateway.wipe import PROOF_FILE

__all__ = ["PAPERS", "bed_labels", "paper"]

PAPERS = ("bed-labels.pdf", "acceptance.json", "acceptance.pdf", PROOF_FILE)
BED_QR_MM = 27.0
PDF_S_MAX = 60.0


async def paper(operations: Operations, name: str, language: str, who: str) -> tuple[bytes, str]:
    """(content, media type) of one of PAPERS; ProvisionError if it cannot be made here."""
    if name == "bed-labels.pdf":
        state = await operations.call("state", {}, who)
        beds = {bed["bed"]: bed["room"] for bed in state["beds"]}
        plan: dict[str, Any] = {"paper": "labels", "labels": bed_labels(state["gateway"], beds), "language": language}
        return await _pdf(plan), "application/pdf"
    if name == PROOF_FILE:
        return await operations.wipe_proof(), "application/json"
    certificate = await operations.call("certificate", {}, who)
    if name == "acceptance.json":
        return json.dumps(certificate, ensure_ascii=False, indent=1).encode(), "application/json"
    plan = {"paper": "acceptance", "certificate": certificate, "language": language}
    return await _pdf(plan), "application/pdf"


def bed_labels(gateway: str, beds: Mapping[str, str]) -> list[dict[str, Any]]:
    """Labels as papers_pdf.label_sheet takes them; `beds`: label -> room."""
    return [
        {"qr": bed_label_text(BedLabel(gateway, bed)), "qr_mm": BED_QR_MM, "lines": [bed, room, gateway]}
        for bed, room in beds.items()
    ]


async def signed(acceptance: Mapping[str, Any], folder: Any) -> dict[str, Any]:
    """The certificate under the gateway's key; ProvisionError if the key cannot be had."""
    try:
        key = await asyncio.to_thread(gateway_key, folder)
    except (OSError, ValueError) as error:
        raise ProvisionError("no_key", file=str(folder), why=str(error)) from None
    return sign(acceptance, key)


async def _pdf(plan: Mapping[str, Any]) -> bytes:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.papers_pdf", stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(PDF_S_MAX):
            made, said = await process.communicate(json.dumps(plan).encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ProvisionError("no_pdf", why=f"not made within {PDF_S_MAX:g} s") from None
    if process.returncode:
        raise ProvisionError("no_pdf", why=said.decode(errors="replace").strip()[-300:])
    return made
