"""AES-CCM (RFC 3610) and AES-CMAC (RFC 4493) over a given block cipher, for both ends of the wire.

`encrypt_block(16 bytes) -> 16 bytes` is cryptolib on boards and the unix port, `cryptography` on CPython. CCM has a
13-byte nonce, hence messages under 64 KiB, and a tag of 4 (beacon) or 8 (session) bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    EncryptBlock = Callable[[bytes], bytes]
    Aes = Callable[[bytes], EncryptBlock]

NONCE_BYTES = 13
_BLOCK = 16


class TagError(ValueError):
    """The tag does not fit: not from the holder of the key, or altered on the way."""


def _xor(left: bytes, right: bytes) -> bytes:
    n = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right[:n], "big")).to_bytes(n, "big")


def _mac(encrypt_block: "EncryptBlock", nonce: bytes, plain: bytes, adata: bytes, tag_bytes: int) -> bytes:
    flags = (0x40 if adata else 0) | ((tag_bytes - 2) // 2) << 3 | 1
    x = encrypt_block(bytes((flags,)) + nonce + len(plain).to_bytes(2, "big"))
    blocks = b""
    if adata:
        blocks = len(adata).to_bytes(2, "big") + adata
        blocks += bytes(-len(blocks) % _BLOCK)
    blocks += plain
    blocks += bytes(-len(blocks) % _BLOCK)
    for at in range(0, len(blocks), _BLOCK):
        x = encrypt_block(_xor(x, blocks[at : at + _BLOCK]))
    return x


def _counter_block(encrypt_block: "EncryptBlock", nonce: bytes, index: int) -> bytes:
    return encrypt_block(b"\x01" + nonce + index.to_bytes(2, "big"))


def _crypt(encrypt_block: "EncryptBlock", nonce: bytes, data: bytes) -> bytes:
    out = []
    for at in range(0, len(data), _BLOCK):
        out.append(_xor(data[at : at + _BLOCK], _counter_block(encrypt_block, nonce, at // _BLOCK + 1)))
    return b"".join(out)


def same(left: bytes, right: bytes) -> bool:
    """True if two byte strings are equal, in a time that does not tell where they differ."""
    if len(left) != len(right):
        return False
    difference = 0
    for at in range(len(left)):
        difference |= left[at] ^ right[at]
    return difference == 0


def seal(encrypt_block: "EncryptBlock", nonce: bytes, plain: bytes, adata: bytes, tag_bytes: int) -> bytes:
    """Ciphertext followed by its tag. A nonce (13 bytes) must never come twice under one key."""
    assert len(nonce) == NONCE_BYTES
    tag = _xor(_mac(encrypt_block, nonce, plain, adata, tag_bytes)[:tag_bytes], _counter_block(encrypt_block, nonce, 0))
    return _crypt(encrypt_block, nonce, plain) + tag


def unseal(encrypt_block: "EncryptBlock", nonce: bytes, sealed: bytes, adata: bytes, tag_bytes: int) -> bytes:
    """Plain text of what `seal` gave; TagError if it was made with another key, nonce or associated data."""
    assert len(nonce) == NONCE_BYTES
    if len(sealed) < tag_bytes:
        raise TagError("short")
    plain = _crypt(encrypt_block, nonce, sealed[: len(sealed) - tag_bytes])
    tag = _xor(_mac(encrypt_block, nonce, plain, adata, tag_bytes)[:tag_bytes], _counter_block(encrypt_block, nonce, 0))
    if not same(tag, sealed[len(sealed) - tag_bytes :]):
        raise TagError("tag")
    return plain


def _doubled(block: bytes) -> bytes:
    value = int.from_bytes(block, "big") << 1
    if block[0] & 0x80:
        value ^= 0x87
    return (value & ((1 << 128) - 1)).to_bytes(_BLOCK, "big")


def cmac(encrypt_block: "EncryptBlock", message: bytes) -> bytes:
    """AES-CMAC of `message`, 16 bytes (RFC 4493): the key derivation and the proofs of the handshake use it."""
    subkey = _doubled(encrypt_block(bytes(_BLOCK)))
    whole = len(message) // _BLOCK
    rest = len(message) % _BLOCK
    if message and rest == 0:
        whole -= 1
        last = _xor(message[whole * _BLOCK :], subkey)
    else:
        padded = message[whole * _BLOCK :] + b"\x80"
        last = _xor(padded + bytes(_BLOCK - len(padded)), _doubled(subkey))
    x = bytes(_BLOCK)
    for at in range(0, whole * _BLOCK, _BLOCK):
        x = encrypt_block(_xor(x, message[at : at + _BLOCK]))
    return encrypt_block(_xor(x, last))
