"""ECDSA P-256 verification in integers (FIPS 186-5, SP 800-186). Nothing secret comes in here, so time may vary.

A verification is some 5000 multiplications modulo p. Only hosts sign (firmware_py/tooling/image.py).
"""

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5

KEY_BYTES = 64
SIGNATURE_BYTES = 64

TYPE_CHECKING = False
if TYPE_CHECKING:
    Point = tuple[int, int, int]  # Jacobian: x = X / Z^2, y = Y / Z^3; Z = 0 is the point at infinity


def verify(key: bytes, digest: bytes, signature: bytes) -> bool:
    """True if signature (r, s: 32 bytes each, big-endian) is key's (x, y: 32 bytes each) over a SHA-256 digest."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES or len(digest) != 32:
        return False
    x = int.from_bytes(key[:32], "big")
    y = int.from_bytes(key[32:], "big")
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N and is_on_curve(x, y)):
        return False
    w = _inverse(s, N)
    at = _sum_of_multiples(int.from_bytes(digest, "big") * w % N, r * w % N, (x, y, 1))
    if not at[2]:
        return False
    # The x of the sum modulo N, compared without dividing: it is r or r + N.
    zz = at[2] * at[2] % P
    return r * zz % P == at[0] or (r + N < P and (r + N) * zz % P == at[0])


def is_on_curve(x: int, y: int) -> bool:
    """Whether (x, y) is a point of the curve; its order is prime, so any such point will do as a key."""
    return 0 <= x < P and 0 <= y < P and (y * y - (x * x - 3) * x - B) % P == 0


def _sum_of_multiples(u: int, v: int, point: "Point") -> "Point":
    """u * G + v * point, both at once from the highest bit down."""
    base = (GX, GY, 1)
    both = _add(base, point)
    total = (1, 1, 0)
    for bit in range(255, -1, -1):
        total = _double(total)
        which = (u >> bit & 1) | (v >> bit & 1) << 1
        if which == 1:
            total = _add(total, base)
        elif which == 2:
            total = _add(total, point)
        elif which == 3:
            total = _add(total, both)
    return total


def _double(a: "Point") -> "Point":
    x, y, z = a
    if not z or not y:
        return 1, 1, 0
    zz = z * z % P
    yy = y * y % P
    slope = 3 * (x - zz) * (x + zz) % P
    four = 4 * x * yy % P
    x3 = (slope * slope - 2 * four) % P
    return x3, (slope * (four - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(a: "Point", b: "Point") -> "Point":
    if not a[2]:
        return b
    if not b[2]:
        return a
    zz1 = a[2] * a[2] % P
    zz2 = b[2] * b[2] % P
    x1 = a[0] * zz2 % P
    y1 = a[1] * zz2 * b[2] % P
    h = (b[0] * zz1 - x1) % P
    slope = (b[1] * zz1 * a[2] - y1) % P
    if not h:
        return (1, 1, 0) if slope else _double(a)
    hh = h * h % P
    hhh = hh * h % P
    v = x1 * hh % P
    x3 = (slope * slope - hhh - 2 * v) % P
    return x3, (slope * (v - x3) - y1 * hhh) % P, a[2] * b[2] * h % P


def _inverse(a: int, modulus: int) -> int:
    """1 / a modulo a prime, 0 < a < modulus (extended Euclid)."""
    low, high = a, modulus
    factor, other = 1, 0
    while low > 1:
        quotient = high // low
        low, high = high - quotient * low, low
        factor, other = other - quotient * factor, factor
    return factor % modulus
