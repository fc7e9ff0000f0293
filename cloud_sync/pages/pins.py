"""PINs of the staff: which are acceptable, and how they are kept (scrypt, RFC 7914)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from itertools import pairwise

from protocol.phrase import Phrase

PIN_HASH_PREFIX = "scrypt$"
PIN_LENGTH_MIN, PIN_LENGTH_MAX = 4, 64

# 8 MiB for one check: the gateway lives in 64 MiB, and checks one PIN at a time.
_LOG2_N, _R, _P = 13, 8, 2
_SALT_BYTES, _KEY_BYTES = 16, 32


class PinError(ValueError):
    """A PIN is refused; the message says why and never repeats it."""


def check_pin(pin: str) -> None:
    """Raises PinError for a PIN that is too short, too long or easily guessed."""
    if not PIN_LENGTH_MIN <= len(pin) <= PIN_LENGTH_MAX:
        raise PinError(
            Phrase(
                "a PIN has {pin_length_min} to {pin_length_max} characters",
                pin_length_min=PIN_LENGTH_MIN,
                pin_length_max=PIN_LENGTH_MAX,
            )
        )
    if len({(ord(b) - ord(a)) % 10 for a, b in pairwise(pin)}) == 1 and pin.isdigit():
        raise PinError(Phrase("a PIN of equal or counting digits is guessed first: choose another"))


def hash_pin(pin: str) -> str:
    """The text to store for a PIN: `scrypt$log2n$r$p$salt$key` in hex. Raises PinError as `check_pin`."""
    check_pin(pin)
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{PIN_HASH_PREFIX}{_LOG2_N}${_R}${_P}${salt.hex()}${_derive(pin, salt, _LOG2_N, _R, _P).hex()}"


def pin_matches(pin: str, stored: str) -> bool:
    """True if `stored` is the hash of `pin`; False also for a stored text that is no hash. Takes about 50 ms."""
    try:
        log2_n, r, p, salt, key = stored.removeprefix(PIN_HASH_PREFIX).split("$")
        derived = _derive(pin, bytes.fromhex(salt), int(log2_n), int(r), int(p))
        return hmac.compare_digest(derived, bytes.fromhex(key))
    except ValueError:
        return False


def spend_same_time(pin: str) -> None:
    """Does the work of one check for an account that does not exist, so that its absence cannot be timed."""
    _derive(pin, bytes(_SALT_BYTES), _LOG2_N, _R, _P)


def _derive(pin: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    if not 1 <= log2_n <= 17:
        raise ValueError("scrypt cost out of range")
    encoded = pin.encode("utf-8", "surrogatepass")[:1024]
    return hashlib.scrypt(encoded, salt=salt, n=1 << log2_n, r=r, p=p, maxmem=256 << 20, dklen=_KEY_BYTES)
