"""AES-128 on CPython for the wire's sessions and beacons: the `aes(key) -> encrypt_block` that protocol/wire takes."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["aes"]


def aes(key: bytes) -> Callable[[bytes], bytes]:
    """`encrypt_block(16 bytes) -> 16 bytes` under a 16-byte key (ECB of single blocks; ccm.py builds the mode)."""
    # Imported here: OpenSSL's bindings are the largest import of the gateway, and --check does not need them.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
