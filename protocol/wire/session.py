"""The authenticated session: proofs, fresh keys, sealed frames.

    gateway                                   belt
    HELLO_REQUEST gateway_id, gateway_nonce ->
                     <- HELLO serial, belt_nonce, belt_proof, ...
    HELLO_CONFIRM gateway_proof ->
    both: sealed frames, counters from 1, one key a direction

Both prove that they hold the belt's key (the claim secret of the label until the belt is claimed, the bound key after)
over both nonces and both names; the session's keys come from the same transcript, so a recorded session opens nothing.
`aes(key) -> encrypt_block` is passed in by the caller. Sealed packet: marker 1, counter u32 LE, ciphertext, tag 8.
A plain packet: marker 0, frame; only `frames.PLAIN_KINDS` are accepted that way.
"""

from . import ccm
from .frames import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ccm import Aes, EncryptBlock

KEY_BYTES = 16
NONCE_BYTES = 16
PROOF_BYTES = 8
SERIAL_BYTES = 8
TAG_BYTES = 8
PLAIN, SEALED = 0, 1
SEALED_OVERHEAD_BYTES = 1 + 4 + TAG_BYTES
COUNTER_MAX = 0xFFFFFFFF


class ReplayError(FrameError):
    """A sealed packet whose counter was already used: repeated, reordered or replayed; count and drop it."""


def transcript(serial: bytes, gateway_id: bytes, belt_nonce: bytes, gateway_nonce: bytes) -> bytes:
    """What both sides prove and derive from; fixed widths, so no two field sets give the same bytes."""
    assert len(serial) == SERIAL_BYTES and len(gateway_id) == SERIAL_BYTES
    assert len(belt_nonce) == NONCE_BYTES and len(gateway_nonce) == NONCE_BYTES
    return b"sleepbelt-1" + serial + gateway_id + belt_nonce + gateway_nonce


def belt_proof(aes: "Aes", key: bytes, script: bytes) -> bytes:
    """8 bytes that only a holder of `key` can make for this transcript, from the belt."""
    return ccm.cmac(aes(key), b"B" + script)[:PROOF_BYTES]


def gateway_proof(aes: "Aes", key: bytes, script: bytes) -> bytes:
    """8 bytes that only a holder of `key` can make for this transcript, from the gateway."""
    return ccm.cmac(aes(key), b"G" + script)[:PROOF_BYTES]


def session_keys(aes: "Aes", key: bytes, script: bytes) -> "tuple[bytes, bytes]":
    """(belt-to-gateway key, gateway-to-belt key), 16 bytes each, fresh for this transcript."""
    block = aes(key)
    return ccm.cmac(block, b"U" + script), ccm.cmac(block, b"D" + script)


def beacon_key(aes: "Aes", key: bytes) -> bytes:
    """The key of the belt's beacons: derived, so that beacons and proofs never use one key for two purposes."""
    return ccm.cmac(aes(key), b"A" + b"sleepbelt-beacon-1")


def plain_packet(frame: bytes) -> bytes:
    """Packet that carries a frame outside the session (handshake only)."""
    return bytes((PLAIN,)) + frame


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(4, "little") + bytes(ccm.NONCE_BYTES - 4)


def seal(encrypt_block: "EncryptBlock", counter: int, frame: bytes) -> bytes:
    """Packet that carries `frame` sealed under `counter`; counters rise by one from 1 and never come twice."""
    assert 0 < counter <= COUNTER_MAX
    head = bytes((SEALED,)) + counter.to_bytes(4, "little")
    return head + ccm.seal(encrypt_block, _nonce(counter), frame, head, TAG_BYTES)


def unseal(encrypt_block: "EncryptBlock", last_counter: int, packet: bytes) -> "tuple[int, bytes]":
    """(counter, frame) of a sealed packet; FrameError, ReplayError or ccm.TagError if it is none for this session."""
    if len(packet) < SEALED_OVERHEAD_BYTES or packet[0] != SEALED:
        raise FrameError("not sealed")
    counter = int.from_bytes(packet[1:5], "little")
    if counter <= last_counter:
        raise ReplayError("counter")
    return counter, ccm.unseal(encrypt_block, _nonce(counter), packet[5:], packet[:5], TAG_BYTES)
