"""Writes protocol/vectors/wire.json: the golden bytes of every frame, the beacon and a session, from fixed inputs.

Run it only when the wire is changed on purpose: the tests compare every implementation with the committed file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol.wire import beacon, fragments, frames, gatt, session

SERIAL = bytes.fromhex("5342303030303031")
GATEWAY = b"gw-00001"
KEY = bytes(range(16))
NONCES = bytes(range(16, 32)), bytes(range(32, 48))
TARGET = Path(__file__).parent.parent / "protocol" / "vectors" / "wire.json"

# Fixed fields of each kind; bytes are written as hex. Extremes stand beside ordinary values.
SAMPLES: list[tuple[int, tuple[Any, ...], bytes]] = [
    (frames.HELLO_REQUEST, (GATEWAY, NONCES[1]), b""),
    (frames.HELLO, (SERIAL, NONCES[0], bytes(8), 1, 7, 86_400_000, 3, 0, 1, 0, 1234, 1000, 1), b""),
    (frames.HELLO_CONFIRM, (b"confirm!",), b""),
    (frames.REFUSED, (frames.REFUSED_PROOF,), b""),
    (frames.REPORT, (2, 0, 7200, 3, 1234, 7, 86_400_000, 623, 88, 0, 142, 90, 0, 0, 11, 254, 8), b""),
    (frames.REPORT, (0, 1, 4_294_967_295, 65535, 4_294_967_295, 4_294_967_295, 2**64 - 1, 65535, 0, 1, 65535, 0, 1,
                     100, 65535, 255, 65535), b""),
    (frames.RECORD, (1234, 7, 86_400_000, frames.RECORD_MINUTE), frames.encode_record(
        frames.RECORD_MINUTE, (60, 0, 0, 623, 601, 660, 58, 142, 138, 151, 55, 3, 0, 41, 1, 0, 0, 0))),
    (frames.RECORD, (1235, 7, 86_401_000, frames.RECORD_OCCUPANCY), frames.encode_record(
        frames.RECORD_OCCUPANCY, (2, 0, 0, 6, 4))),
    (frames.RECORD, (1236, 7, 86_990_000, frames.RECORD_ABSENCE), frames.encode_record(
        frames.RECORD_ABSENCE, (86_985_000, 590))),
    (frames.RECORD, (1237, 7, 87_000_000, frames.RECORD_FAULT), frames.encode_record(frames.RECORD_FAULT, (2, -5))),
    (frames.RECORD, (1238, 8, 900, frames.RECORD_BOOT), frames.encode_record(frames.RECORD_BOOT, (1, 0, 1, 0))),
    (frames.RECORD, (1239, 8, 5000, frames.RECORD_TURN_OVER), frames.encode_record(frames.RECORD_TURN_OVER, (70,))),
    (frames.HISTORY_END, (9, 1000, 1234, 1000, 1240), b""),
    (frames.RESULT, (9, frames.STATUS_REFUSED, -1), b"absence open"),
    (frames.RAW, (123_456_789, 4242, 0), bytes.fromhex("00020102ff01")),
    (frames.TIME, (1_795_000_000_000, 20), b""),
    (frames.ACK, (1234,), b""),
    (frames.HISTORY, (9, 1000, 1234, 32), b""),
    (frames.CREDIT, (9, 32), b""),
    (frames.CONFIGURE, (10, frames.KEY_ADVERTISE_MS, 250), b""),
    (frames.COMMAND, (11, frames.CMD_IDENTIFY, 10), b""),
    (frames.CLAIM, (12, bytes(range(48, 64)), GATEWAY), b""),
    (frames.UPDATE_BEGIN, (13, 65_536, bytes(32)), b""),
    (frames.UPDATE_DATA, (13, 4096), b"\xde\xad\xbe\xef"),
    (frames.UPDATE_END, (13,), bytes(64)),
]


def aes(key: bytes) -> Any:
    """encrypt_block of AES-128 under `key`."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def build() -> dict[str, Any]:
    """The whole vector file as JSON-able data."""
    script = session.transcript(SERIAL, GATEWAY, *NONCES)
    up, down = session.session_keys(aes, KEY, script)
    report = next(s for s in SAMPLES if s[0] == frames.REPORT)
    sealed = session.seal(aes(up), 1, frames.encode(report[0], report[1]))
    pieces, counter = fragments.split(sealed, 20, 62)
    content = beacon.from_report(report[1])
    beacon_key = session.beacon_key(aes, KEY)
    return {
        "frames": [
            {"name": frames.LAYOUTS[kind][0], "kind": kind, "values": [_plain(v) for v in values], "tail": tail.hex(),
             "bytes": frames.encode(kind, values, tail).hex()}
            for kind, values, tail in SAMPLES
        ],
        "absences": {"boot_id": 7, "uptime_ms": 5000, "list": [[600, 1500], [30, 200]],
                     "bytes": frames.encode_absences(7, 5000, [(600, 1500), (30, 200)]).hex()},
        "session": {
            "serial": SERIAL.hex(), "gateway_id": GATEWAY.hex(), "key": KEY.hex(), "belt_nonce": NONCES[0].hex(),
            "gateway_nonce": NONCES[1].hex(), "belt_proof": session.belt_proof(aes, KEY, script).hex(),
            "gateway_proof": session.gateway_proof(aes, KEY, script).hex(), "up_key": up.hex(), "down_key": down.hex(),
            "counter": 1, "sealed_report": sealed.hex(), "value_bytes": 20, "first_fragment_counter": 62,
            "fragments": [piece.hex() for piece in pieces], "next_fragment_counter": counter,
        },
        "beacon": {
            "key": beacon_key.hex(), "counter": 77, "values": list(content), "content": beacon.pack(content).hex(),
            "sealed": beacon.seal(aes(beacon_key), SERIAL, 77, beacon.pack(content)).hex(),
            "name": gatt.name_of(SERIAL).decode(),
        },
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(build(), indent=1) + "\n", encoding="ascii")
    print(f"wrote {TARGET}")
