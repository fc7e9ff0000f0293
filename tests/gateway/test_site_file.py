"""site_file: whatever a power cut or a bad card leaves, the whole state before or after, never half of one."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from gateway.cores.labels import BeltLabel
from gateway.cores.provisioning import Site
from gateway.site_file import SiteFile, SiteFileError

A = bytes([0xA] * 8)


def site(*bound: str) -> Site:
    place = Site("gw", {"one": None, "two": None})
    for number, bed in enumerate(bound):
        serial = bytes([number + 1] * 8)
        place.begin_key(BeltLabel(serial, 1, bytes(16)), bytes(16), bytes([number] * 16), 0)
        place.end_key(serial)
        place.bind(serial, bed, 0)
    return place


def loaded(folder: Path) -> tuple[Site, SiteFile]:
    file = SiteFile(folder)
    place = site()
    file.load(place)
    return place, file


def test_a_site_comes_back_and_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    SiteFile(tmp_path).save(site("one").to_state())
    place, file = loaded(tmp_path)
    assert place.beds()["one"] is not None
    assert file.trouble == ""
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_without_a_file_the_site_is_empty(tmp_path: Path) -> None:
    assert loaded(tmp_path)[0].belts == {}


def test_cut_at_any_byte_the_state_before_is_used_and_said(tmp_path: Path) -> None:
    file = SiteFile(tmp_path)
    file.save(site("one").to_state())
    file.save(site("one", "two").to_state())
    whole = file.path.read_bytes()
    for length in range(0, len(whole), 37):
        file.path.write_bytes(whole[:length])
        place, read = loaded(tmp_path)
        assert place.beds()["two"] is None
        assert place.beds()["one"] is not None
        assert str(file.path) in read.trouble


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    file = SiteFile(tmp_path)
    file.save(site("one").to_state())
    whole = json.loads(file.path.read_text())
    whole["site"]["belts"][0]["key"] = "ff" * 16
    file.path.write_text(json.dumps(whole))
    with pytest.raises(SiteFileError, match=r"check sum.*provision restore"):
        loaded(tmp_path)


@pytest.mark.parametrize("cut_in", ["fsync", "link", "replace"])
def test_a_power_cut_while_saving_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_in: str
) -> None:
    file = SiteFile(tmp_path)
    file.save(site("one").to_state())

    def cut(*_: object, **__: object) -> None:
        raise OSError("power")

    with monkeypatch.context() as patched:
        patched.setattr(*((Path, cut_in) if cut_in == "replace" else (os, cut_in)), cut)  # type: ignore[call-overload]
        with pytest.raises(OSError, match="power"):
            file.save(site("one", "two").to_state())
    place, read = loaded(tmp_path)
    assert place.beds() == site("one").beds()
    assert read.trouble == ""
    assert not list(tmp_path.glob("*.json.part"))
