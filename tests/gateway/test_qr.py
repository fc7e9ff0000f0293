"""qr: labels are read from a phone's picture; what is no picture, or has no code, is named."""

from __future__ import annotations

import pytest

from gateway.cores.labels import BedLabel, BeltLabel, bed_label_text, belt_label_text, parse_label
from gateway.provision_error import ProvisionError
from gateway.qr import read_codes
from tests.gateway.qr_pictures import nothing, picture

BELT = BeltLabel(bytes.fromhex("454d550102030001"), 3, bytes(range(16)))
BED = BedLabel("gw-01", "三楼 301-2")


@pytest.mark.parametrize(("label", "text"), [(BELT, belt_label_text(BELT)), (BED, bed_label_text(BED))])
async def test_a_turned_and_noisy_photo_of_a_label_is_read(label: object, text: str) -> None:
    for degrees in (0.0, 13.0, 90.0, 200.0):
        (read,) = await read_codes(picture(text, degrees=degrees))
        assert parse_label(read) == label


async def test_a_large_photo_and_a_png_are_read() -> None:
    assert await read_codes(picture("BED1:gw-01:A", size=4000)) == ["BED1:gw-01:A"]
    assert await read_codes(picture("BED1:gw-01:A", form="PNG")) == ["BED1:gw-01:A"]


@pytest.mark.parametrize(("content", "code"), [
    (nothing(), "no_qr"), (b"", "bad_picture"), (b"%PDF-1.4 not a picture", "bad_picture"),
    (picture("BED1:gw-01:A")[:400], "bad_picture"), (b"\0" * 16_000_001, "picture_size"),
])  # fmt: skip
async def test_what_cannot_be_read_is_named(content: bytes, code: str) -> None:
    with pytest.raises(ProvisionError) as caught:
        await read_codes(content)
    assert caught.value.code == code
