"""acceptance and papers: certificates hold until they are changed; labels can be read back from the printed sheet."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image, ImageDraw

from cloud_sync.pages.language import strings
from gateway.acceptance import KEY_FILE, CertificateError, attached, gateway_key, pdf_streams, sign, verify
from gateway.cores.labels import BeltLabel, belt_label_text
from gateway.papers_pdf import acceptance_pdf, label_sheet, step_text
from gateway.provision_papers import bed_labels
from tests.gateway.cores.test_walk_test import Walk


def acceptance() -> dict[str, Any]:
    walk = Walk()
    walk.to("radio")
    walk.wait(180)
    tested = {**walk.test.to_json(), "utc_ms": 1_790_000_000_000, "who": "tina", "belt": "c0" * 8}
    bed = {"bed": "101-1", "room": "101", "belt": "c0" * 8, "firmware": "0.1.0", "walk_test": tested,
           "calibration": {"place": "middle"}}
    other = {**bed, "bed": "101-2", "belt": "", "firmware": "", "walk_test": None, "calibration": {}}
    return {"kind": "sleepbelt acceptance 1", "gateway": "gw-01", "timezone": "Asia/Shanghai", "who": "tina",
            "utc_ms": 1_790_000_000_000, "time_trusted": True, "beds": [bed, other], "accepted": False}


def test_a_certificate_holds_and_names_its_signer(tmp_path: Path) -> None:
    certificate = json.loads(json.dumps(sign(acceptance(), gateway_key(tmp_path))))
    said, signer = verify(certificate)
    assert said["gateway"] == "gw-01"
    assert verify(certificate, signer.upper())[1] == signer
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert sign({}, gateway_key(tmp_path))["signature"]["public_key"] == signer  # the key stays


def test_a_changed_certificate_another_key_and_another_file_are_refused(tmp_path: Path) -> None:
    certificate = sign(acceptance(), gateway_key(tmp_path))
    forged = json.loads(json.dumps(certificate))
    forged["acceptance"]["accepted"] = True
    with pytest.raises(CertificateError, match="changed"):
        verify(forged)
    with pytest.raises(CertificateError, match="signed by"):
        verify(certificate, "00" * 32)
    foreign: list[object] = [{}, [], {"acceptance": 1, "signature": {}}, None]
    for nonsense in foreign:
        with pytest.raises(CertificateError, match="no acceptance certificate"):
            verify(nonsense)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_pdf_carries_the_signed_certificate(tmp_path: Path, language: str) -> None:
    pdf = acceptance_pdf(sign(acceptance(), gateway_key(tmp_path)), language)
    assert pdf.startswith(b"%PDF")
    assert verify(attached(pdf))[0]["beds"][0]["bed"] == "101-1"
    with pytest.raises(CertificateError, match="carries no certificate"):
        attached(b"%PDF-1.4\n")


def test_no_rate_of_anybody_stands_in_a_certificate() -> None:
    text = json.dumps(acceptance())
    assert "bpm" not in text
    assert "heart" not in text


def test_the_points_of_acknowledging_are_named_in_the_readers_language() -> None:
    latency_ms = {"page": 31, "button:door": 40, "platform": 350}
    step = {"step": "acknowledge", "state": "passed", "reason": "", "evidence": {"latency_ms": latency_ms}}
    assert step_text(step, strings("en")) == "page 31 ms, button door 40 ms, platform (its page Devices) 350 ms"
    assert step_text(step, strings("zh")) == "页面 31 ms, 按钮 door 40 ms, 平台（设备页） 350 ms"


def test_what_every_channel_said_of_the_test_alarm_is_on_paper() -> None:
    hook = "webhook 1: json care.example"
    evidence = {"confirmed": ["page", hook], "delivered_ms": {hook: 41}, "missing": ["home_assistant"],
                "errors": {"home_assistant": "not connected yet"}}
    step = {"step": "alarm", "state": "failed", "reason": "not_confirmed", "evidence": evidence}
    assert step_text(step, strings("en")).split("; ")[1:] == [
        "Wall board confirmed", f"{hook} confirmed (taken after 41 ms)",
        "Home Assistant not noticed", "Home Assistant: not connected yet"]


def test_a_sheet_of_labels_is_made_in_pages() -> None:
    labels = bed_labels("gw-01", {f"{number}-1": str(number) for number in range(101, 131)})
    pdf = label_sheet(labels, "en")
    assert pdf.count(b"/Type /Page\n") == 2


@pytest.mark.parametrize("text", [
    "BED1:gw-01:三楼 301-2", belt_label_text(BeltLabel(bytes.fromhex("c000000000000001"), 1, bytes(range(16)))),
])  # fmt: skip
def test_the_printed_code_is_read_back_from_the_sheet(text: str) -> None:
    """The sheet's bars, drawn as a printer would at 600 dots an inch, seen by the reader of pictures."""
    pdf = label_sheet([{"qr": text, "qr_mm": 16.0, "lines": ["A"]}], "zh")
    drawn = b"\n".join(pdf_streams(pdf)).decode("latin-1")
    bars = [tuple(map(float, bar)) for bar in re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) (-?[\d.]+) re f", drawn)]
    assert bars
    dots = 600 / 72
    paper = Image.new("L", (round(595 * dots), round(842 * dots)), 255)
    pen = ImageDraw.Draw(paper)
    for x, y, width, height in bars:
        top, bottom = sorted((842 - y, 842 - y - height))
        pen.rectangle((x * dots, top * dots, (x + width) * dots, bottom * dots), fill=0)
    found = zxingcpp.read_barcodes(paper.crop(paper.point(lambda dot: 255 - dot).getbbox()).resize((400, 400)))
    assert [code.text for code in found] == [text]
