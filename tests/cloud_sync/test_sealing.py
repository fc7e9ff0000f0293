"""Sealed files: what was sealed comes out, and nothing that was cut, joined, exchanged or guessed does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync import sealing
from cloud_sync.sealing import SealError, open_sealed, seal_file

HEAD = 5 + 16 + 7
SEGMENT = 64
PASSPHRASE = "twelve or more"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEGMENT_BYTES", SEGMENT)


def sealed(folder: Path, content: bytes, label: str = "a") -> Path:
    (folder / "plain").write_bytes(content)
    (folder / label).unlink(missing_ok=True)
    seal_file(folder / "plain", folder / label, PASSPHRASE, label)
    return folder / label


def opened(file: Path, label: str = "a") -> bytes:
    return b"".join(open_sealed(file, PASSPHRASE, label))


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT])
def test_what_was_sealed_comes_out(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    file = sealed(tmp_path, content)
    assert opened(file) == content
    assert file.stat().st_mode & 0o777 == 0o600


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_no_changed_file_gives_out_anything_that_was_not_sealed(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(seed)
    content = draw.randbytes(draw.randrange(1, 5 * SEGMENT))
    file = sealed(tmp_path_factory.mktemp("s"), content)
    data = bytearray(file.read_bytes())
    what = draw.randrange(3)
    if what == 0:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif what == 1:
        del data[draw.randrange(len(data)) :]
    else:
        data += draw.randbytes(draw.randrange(1, 2 * SEGMENT))
    file.write_bytes(bytes(data))
    given_out: list[bytes] = []
    with pytest.raises(SealError):
        given_out.extend(open_sealed(file, PASSPHRASE, "a"))
    assert content.startswith(b"".join(given_out))


def test_a_file_that_ends_after_a_whole_segment_is_seen_to_be_cut(tmp_path: Path) -> None:
    file = sealed(tmp_path, bytes(3 * SEGMENT))
    file.write_bytes(file.read_bytes()[: HEAD + SEGMENT + 16])
    with pytest.raises(SealError):
        opened(file)


def test_segments_in_another_order_do_not_open(tmp_path: Path) -> None:
    file = sealed(tmp_path, random.Random(1).randbytes(3 * SEGMENT))
    data, first, second = file.read_bytes(), HEAD + SEGMENT + 16, HEAD + 2 * (SEGMENT + 16)
    file.write_bytes(data[:HEAD] + data[first:second] + data[HEAD:first] + data[second:])
    with pytest.raises(SealError, match="wrong passphrase, or the file was changed"):
        opened(file)


def test_a_file_under_the_name_of_another_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(SealError):
        opened(sealed(tmp_path, b"people", "people.db"), "enrolment.db")


@pytest.mark.parametrize("content", [b"", b"SBBK2", b"SBBK1" + bytes(100), b"PK" * 50])
def test_another_file_is_named_as_none_of_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SealError, match="is no sealed file"):
        opened(tmp_path / "x")
