"""ECDSA P-256: what `cryptography` signs is accepted, anything else is not, on every interpreter."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.belt import p256
from tests.interpreters import run_unix, run_wasm

TRACE = Path(__file__).parent / "p256_trace.py"


def _signed(secret: int, message: bytes) -> tuple[bytes, bytes, bytes]:
    """(key, digest, signature) as the belt takes them."""
    private = ec.derive_private_key(secret, ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    digest = hashlib.sha256(message).digest()
    r, s = decode_dss_signature(private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    key = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return key, digest, r.to_bytes(32, "big") + s.to_bytes(32, "big")


CASE = _signed(0x1234567, b"an image")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, p256.N - 1), st.binary(max_size=100))
def test_what_a_key_signed_is_verified(secret: int, message: bytes) -> None:
    assert p256.verify(*_signed(secret, message))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2), st.integers(0, 63), st.integers(0, 7))
def test_one_changed_bit_anywhere_is_refused(which: int, at: int, bit: int) -> None:
    changed = [bytearray(part) for part in CASE]
    changed[which][at % len(changed[which])] ^= 1 << bit
    assert not p256.verify(*map(bytes, changed))


def test_the_vector_of_the_standard_is_verified() -> None:
    """RFC 6979, A.2.5: P-256, SHA-256, message "sample"."""
    key = bytes.fromhex(
        "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
        "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
    )
    signature = bytes.fromhex(
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )
    assert p256.verify(key, hashlib.sha256(b"sample").digest(), signature)


@pytest.mark.parametrize("r", [0, p256.N, p256.N + 1])
@pytest.mark.parametrize("s", [0, p256.N, 1])
def test_values_out_of_range_are_refused(r: int, s: int) -> None:
    assert not p256.verify(CASE[0], CASE[1], r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@pytest.mark.parametrize("key", [bytes(64), b"\xff" * 64, bytes(31) + b"\x01" + bytes(31) + b"\x01", b"short"])
def test_a_key_that_is_no_point_of_the_curve_is_refused(key: bytes) -> None:
    assert not p256.verify(key, CASE[1], CASE[2])


def test_micropython_decides_as_cpython_does(tmp_path: Path) -> None:
    cases = [_signed(7 + i, bytes([i])) for i in range(3)]
    cases += [(cases[0][0], cases[1][1], cases[0][2])]
    path = tmp_path / "cases.bin"
    path.write_text("\n".join(" ".join(part.hex() for part in case) for case in cases))
    assert run_unix(TRACE, str(path)).split() == run_wasm(TRACE, str(path)).split() == ["1", "1", "1", "0"]
