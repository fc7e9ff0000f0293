"""aes: both ways give the cipher of FIPS 197, and the light one is used where it can be."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.aes import aes, packaged_aes, system_aes

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
PLAIN = bytes.fromhex("00112233445566778899aabbccddeeff")
CIPHER = bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a")  # FIPS 197, appendix C.1


@pytest.mark.parametrize("make", [system_aes, packaged_aes, aes])
def test_the_standards_example_comes_out(make: object) -> None:
    assert make(KEY)(PLAIN) == CIPHER  # type: ignore[operator]


@given(st.binary(min_size=16, max_size=16), st.lists(st.binary(min_size=16, max_size=16), max_size=5))
def test_both_ways_agree_block_by_block(key: bytes, blocks: list[bytes]) -> None:
    system, packaged = system_aes(key), packaged_aes(key)
    assert [system(block) for block in blocks] == [packaged(block) for block in blocks]


def test_two_keys_at_once_do_not_mix() -> None:
    first, second = system_aes(KEY), system_aes(bytes(16))
    alone = second(PLAIN)
    assert (first(PLAIN), second(PLAIN), first(PLAIN)) == (CIPHER, alone, CIPHER)


def test_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        system_aes(b"short")
    with pytest.raises(ValueError, match="16 bytes"):
        system_aes(KEY)(b"short")


def test_a_gateways_cipher_does_not_load_the_large_package() -> None:
    script = "import sys; from gateway.aes import aes; aes(bytes(16))(bytes(16)); print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_thousand_keys_given_up_leave_nothing_behind() -> None:
    for number in range(1000):
        assert len(system_aes(number.to_bytes(16, "big"))(PLAIN)) == 16
