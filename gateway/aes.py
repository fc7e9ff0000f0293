"""AES-128 on CPython for the wire's sessions and beacons: the `aes(key) -> encrypt_block` that protocol/wire takes.

The system's OpenSSL is in the process already (Python's ssl stands on it), so single blocks are encrypted by it
directly: the package `cryptography` brings an OpenSSL of its own, 6 MiB of a 512 MB board that nothing else in a
running gateway needs. Where that library is not found the package is used.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["aes", "packaged_aes", "system_aes"]

BLOCK_BYTES = 16
SYSTEM_LIBRARY = "libcrypto.so.3"


def aes(key: bytes) -> Callable[[bytes], bytes]:
    """`encrypt_block(16 bytes) -> 16 bytes` under a 16-byte key (ECB of single blocks; ccm.py builds the mode)."""
    return (packaged_aes if _library() is None else system_aes)(key)


def system_aes(key: bytes) -> Callable[[bytes], bytes]:
    """By the system's OpenSSL (EVP_EncryptInit_ex(3)); ValueError for a key or a block of another length."""
    library = _library()
    assert library is not None
    if len(key) != BLOCK_BYTES:
        raise ValueError(f"an AES-128 key has {BLOCK_BYTES} bytes, not {len(key)}")
    context = library.EVP_CIPHER_CTX_new()
    if not context or library.EVP_EncryptInit_ex(context, library.EVP_aes_128_ecb(), None, key, None) != 1:
        raise OSError("OpenSSL refuses AES-128; is a policy in force that forbids it?")
    library.EVP_CIPHER_CTX_set_padding(context, 0)
    block, length = ctypes.create_string_buffer(BLOCK_BYTES * 2), ctypes.c_int()
    update, length_at = library.EVP_EncryptUpdate, ctypes.byref(length)

    def encrypt_block(plain: bytes) -> bytes:
        if len(plain) != BLOCK_BYTES:
            raise ValueError(f"an AES block has {BLOCK_BYTES} bytes, not {len(plain)}")
        if update(context, block, length_at, bytes(plain), BLOCK_BYTES) != 1:
            raise OSError("OpenSSL failed to encrypt a block")
        return block.raw[:BLOCK_BYTES]

    weakref.finalize(encrypt_block, library.EVP_CIPHER_CTX_free, context)
    return encrypt_block


def packaged_aes(key: bytes) -> Callable[[bytes], bytes]:
    """By the package `cryptography`."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update


@cache
def _library() -> Any:
    """The system's libcrypto with its functions declared; None if it is not there or lacks one of them."""
    try:
        library = ctypes.CDLL(SYSTEM_LIBRARY)
        for name, result, arguments in (
            ("EVP_CIPHER_CTX_new", ctypes.c_void_p, []),
            ("EVP_CIPHER_CTX_free", None, [ctypes.c_void_p]),
            ("EVP_CIPHER_CTX_set_padding", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int]),
            ("EVP_aes_128_ecb", ctypes.c_void_p, []),
            ("EVP_EncryptInit_ex", ctypes.c_int, [*[ctypes.c_void_p] * 3, ctypes.c_char_p, ctypes.c_char_p]),
            ("EVP_EncryptUpdate", ctypes.c_int,
             [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]),
        ):  # fmt: skip
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library
