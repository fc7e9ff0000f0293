"""Runs on any interpreter: verifies the cases of a file, `key digest signature` in hex a line; prints 1 or 0."""

import sys

ARGV = globals().get("ARGV") or sys.argv
sys.path.insert(0, ARGV[1])

from binascii import unhexlify  # noqa: E402

from firmware_py.belt.p256 import verify  # noqa: E402

with open(ARGV[2]) as file:
    for line in file:
        key, digest, signature = line.split()
        print(int(verify(unhexlify(key), unhexlify(digest), unhexlify(signature))))
