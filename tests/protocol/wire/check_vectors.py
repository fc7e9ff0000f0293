"""Runs the golden wire vectors through protocol/wire; the same file runs on CPython, the unix port and wasm32.

Usage: check_vectors.py ROOT VECTORS.json TABLE_AES(0|1); prints `vectors ok N` or raises.
MicroPython subset. wasm32 has no cryptolib, so the third argument selects the table AES of this test.
"""

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocol.wire.ccm import Aes, EncryptBlock


def _table_aes() -> "Aes":
    """AES-128 encryption from the standard's definition (FIPS 197), small and slow: test code for wasm32 only."""
    power, log = [0] * 256, [0] * 256
    value = 1
    for exponent in range(255):
        power[exponent], log[value] = value, exponent
        value ^= (value << 1) ^ (0x11B if value & 0x80 else 0)
        value &= 0xFF
    box = []
    for byte in range(256):
        inverse = power[(255 - log[byte]) % 255] if byte else 0
        mixed = inverse
        for shift in (1, 2, 3, 4):
            mixed ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
        box.append(mixed ^ 0x63)

    def double(x: int) -> int:
        return (x << 1 ^ (0x1B if x & 0x80 else 0)) & 0xFF

    def expand(key: bytes) -> "list[list[int]]":
        words = [list(key[i : i + 4]) for i in range(0, 16, 4)]
        constant = 1
        for i in range(4, 44):
            word = list(words[i - 1])
            if i % 4 == 0:
                word = [box[b] for b in word[1:] + word[:1]]
                word[0] ^= constant
                constant = double(constant)
            words.append([a ^ b for a, b in zip(words[i - 4], word)])
        return words

    def aes(key: bytes) -> "EncryptBlock":
        words = expand(key)

        def encrypt(block: bytes) -> bytes:
            state = [block[i] ^ words[i // 4][i % 4] for i in range(16)]
            for rnd in range(1, 11):
                state = [box[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
                if rnd < 10:
                    mixed = []
                    for c in range(0, 16, 4):
                        a = state[c : c + 4]
                        whole = a[0] ^ a[1] ^ a[2] ^ a[3]
                        mixed += [a[i] ^ whole ^ double(a[i] ^ a[(i + 1) % 4]) for i in range(4)]
                    state = mixed
                state = [state[i] ^ words[4 * rnd + i // 4][i % 4] for i in range(16)]
            return bytes(state)

        return encrypt

    return aes


def _system_aes() -> "Aes":
    try:
        import cryptolib
    except ImportError:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        return lambda key: Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    return lambda key: cryptolib.aes(key, 1).encrypt


def _unhex(text: str) -> bytes:
    return bytes([int(text[i : i + 2], 16) for i in range(0, len(text), 2)])


def _values(entry: "dict[str, Any]") -> "tuple[Any, ...]":
    return tuple([_unhex(v) if isinstance(v, str) else v for v in entry["values"]])


def check(vectors: "dict[str, Any]", aes: "Aes") -> int:
    """Compare every vector both ways; the number of comparisons made."""
    from protocol.wire import beacon, ccm, fragments, frames, gatt, session

    done = 0

    def same(left: object, right: object, what: str) -> int:
        assert left == right, (what, left, right)
        return 1

    for entry in vectors["frames"]:
        raw, values, tail = _unhex(entry["bytes"]), _values(entry), _unhex(entry["tail"])
        done += same(frames.encode(entry["kind"], values, tail), raw, entry["name"])
        done += same(frames.decode(raw), (entry["kind"], values, tail), entry["name"])
        # A newer sender: one more fixed byte, a higher minor version.
        newer = bytes((raw[0] | 0x0F, raw[1], raw[2] + 1)) + raw[3 : 3 + raw[2]] + b"\x7f" + raw[3 + raw[2] :]
        done += same(frames.decode(newer), (entry["kind"], values, tail), "newer " + entry["name"])
        if entry["kind"] == frames.RECORD:
            body = frames.decode_record(values[3], tail)
            assert body is not None
            done += same(frames.encode_record(values[3], body), tail, "record")

    listed = vectors["absences"]
    pairs = [tuple(pair) for pair in listed["list"]]
    raw = frames.encode_absences(listed["boot_id"], listed["uptime_ms"], pairs)
    done += same(raw, _unhex(listed["bytes"]), "absences")
    done += same(list(frames.decode_absences(frames.decode(raw)[2])), pairs, "absences")

    s = vectors["session"]
    key, serial = _unhex(s["key"]), _unhex(s["serial"])
    script = session.transcript(serial, _unhex(s["gateway_id"]), _unhex(s["belt_nonce"]), _unhex(s["gateway_nonce"]))
    done += same(session.belt_proof(aes, key, script), _unhex(s["belt_proof"]), "belt_proof")
    done += same(session.gateway_proof(aes, key, script), _unhex(s["gateway_proof"]), "gateway_proof")
    up, down = session.session_keys(aes, key, script)
    done += same((up, down), (_unhex(s["up_key"]), _unhex(s["down_key"])), "keys")
    report = [e for e in vectors["frames"] if e["kind"] == frames.REPORT][0]
    frame = _unhex(report["bytes"])
    packet = session.seal(aes(up), s["counter"], frame)
    done += same(packet, _unhex(s["sealed_report"]), "sealed")
    done += same(session.unseal(aes(up), 0, packet), (1, frame), "unsealed")
    pieces, counter = fragments.split(packet, s["value_bytes"], s["first_fragment_counter"])
    done += same(pieces, [_unhex(p) for p in s["fragments"]], "fragments")
    done += same(counter, s["next_fragment_counter"], "fragment counter")
    state, joined = fragments.IDLE, None
    for piece in pieces:
        state, joined = fragments.join(state, piece)
    done += same(joined, packet, "joined")

    b = vectors["beacon"]
    done += same(session.beacon_key(aes, key), _unhex(b["key"]), "beacon key")
    done += same(beacon.from_report(_values(report)), tuple(b["values"]), "beacon values")
    done += same(beacon.pack(tuple(b["values"])), _unhex(b["content"]), "beacon content")
    block = aes(_unhex(b["key"]))
    done += same(beacon.seal(block, serial, b["counter"], _unhex(b["content"])), _unhex(b["sealed"]), "beacon")
    done += same(beacon.unseal(block, serial, 76, _unhex(b["sealed"])), (77, tuple(b["values"])), "beacon")
    done += same(beacon.unseal(block, serial, 77, _unhex(b["sealed"])), None, "beacon replay")
    done += same(len(beacon.advertisement(0xFFFF, _unhex(b["sealed"]))), 31, "advertisement")
    done += same(gatt.serial_of(b["name"]), serial, "name")

    for tampered in (packet[:-1], packet[:6] + bytes((packet[6] ^ 1,)) + packet[7:]):
        try:
            session.unseal(aes(up), 0, tampered)
        except (ccm.TagError, frames.FrameError):
            done += 1
        else:
            raise AssertionError("tampered packet accepted")
    return done


if __name__ == "__main__":
    argv = globals().get("ARGV") or sys.argv
    sys.path.insert(0, argv[1])
    with open(argv[2]) as file:
        loaded = json.load(file)
    print("vectors ok", check(loaded, _table_aes() if argv[3] == "1" else _system_aes()))
