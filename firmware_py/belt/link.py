"""One gateway's session with the belt: handshake, sealed frames, live reports, records on credit. No radio in here.

NimBLE and BTstack send notifications whether anybody subscribed or not, and refuse them when their buffers are full
(facts/FIRMWARE.md): so the session starts with an explicit hello, what does not fit waits in a bounded queue, and what
the queue cannot take is not sent: a live report is superseded a second later, a record is asked for again by its seq.

A stranger may send anything: every frame that is none is counted, and a central that sends nothing else is hung up on.
"""

from protocol.wire import ccm, fragments, frames, session
from protocol.wire.frames import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .config import Config
    from .ring import Ring

    Aes = Callable[[bytes], Callable[[bytes], bytes]]

    class Transport(Protocol):
        """Where fragments go: notify returns False while the stack's buffers are full."""

        value_bytes: int

        def notify(self, fragment: bytes) -> bool: ...

    class Service(Protocol):
        """What the belt itself answers with."""

        def hello(self) -> "tuple[int, ...]": ...
        def absences(self) -> bytes: ...
        def report(self) -> bytes: ...
        def time(self, utc_ms: int, uncertainty_ms: int) -> None: ...
        def configure(self, key: int, value: int) -> "tuple[int, int]": ...
        def command(self, request_id: int, command: int, argument: int) -> "tuple[int, int]": ...
        # values: the frame's fields, its request id first
        def update(self, kind: int, values: "tuple[Any, ...]", tail: bytes) -> "tuple[int, int]": ...


QUEUE_FRAGMENTS_MAX = 24
VALUE_BYTES_DEFAULT = 20  # MTU 23 until the central asks for more
CREDITS_MAX = 64
# Strikes of a central until it is hung up on; a frame that only the key's owner can make clears them.
STRIKES_MAX = 64
HELLO_STRIKES = 8  # each costs the belt two proofs' worth of work: a gateway needs one


class Counters:
    """What went wrong in the air, for whoever looks after the belt."""

    def __init__(self) -> None:
        self.bad_frames = 0
        self.replayed = 0
        self.forged = 0
        self.refused = 0
        self.unsent = 0


class Link:
    """received() takes fragments from RX, poll() sends what waits; one instance lives as long as the belt runs."""

    def __init__(
        self,
        config: "Config",
        ring: "Ring",
        transport: "Transport",
        service: "Service",
        aes: "Aes",
        random_bytes: "Callable[[int], bytes]",
    ) -> None:
        self._config = config
        self._ring = ring
        self._transport = transport
        self._service = service
        self._aes = aes
        self._random_bytes = random_bytes
        self.counters = Counters()
        self._fragment_counter = 0
        self.is_open = False
        self.disconnected()

    def disconnected(self) -> None:
        """The connection is gone and with it the session and all that waited."""
        self.is_open = False
        self.wants_disconnect = False
        self._join: "tuple[bytes, int]" = fragments.IDLE
        self._queue: "list[bytes]" = []
        self._strikes = 0
        self._script = b""
        self._seal_block: "Callable[[bytes], bytes] | None" = None
        self._open_block: "Callable[[bytes], bytes] | None" = None
        self._sent_counter = 0
        self._received_counter = 0
        self._history: "list[int] | None" = None  # request_id, next seq, first, last, credits

    def received(self, fragment: bytes) -> None:
        """One value written to RX, whatever it holds: frames that are none are counted and dropped whole."""
        try:
            self._join, packet = fragments.join(self._join, fragment)
            if packet:
                self._packet(packet)
        except session.ReplayError:
            self.counters.replayed += 1
            self._strike(1)
        except FrameError:
            self._join = fragments.IDLE
            self.counters.bad_frames += 1
            self._strike(1)
        except ccm.TagError:
            self.counters.forged += 1
            self._strike(1)

    def send(self, frame: bytes) -> bool:
        """Seal a frame and queue it; False (and nothing sent) without a session or without room."""
        if not self.is_open or self._seal_block is None or self._sent_counter == session.COUNTER_MAX:
            return False
        room = self._transport.value_bytes - 1
        needed = (len(frame) + session.SEALED_OVERHEAD_BYTES + room - 1) // room
        if len(self._queue) + needed > QUEUE_FRAGMENTS_MAX:
            self.counters.unsent += 1
            return False
        self._sent_counter += 1
        self._enqueue(session.seal(self._seal_block, self._sent_counter, frame))
        return True

    def send_record(self, seq: int) -> bool:
        """Queue the RECORD frame of one stored record; True also if it is not held any more."""
        if not self.is_open:
            return False
        record = self._ring.read(seq)
        if record is None:
            return True
        boot_id, uptime_ms, kind, body = record
        return self.send(frames.encode(frames.RECORD, (seq, boot_id, uptime_ms, kind), body))

    def poll(self) -> None:
        """Hand waiting fragments to the radio and go on with a history request."""
        self._flush()
        while self._history and self._history[4] and len(self._queue) < QUEUE_FRAGMENTS_MAX // 2:
            if not self._history_step():
                break
            self._flush()

    def _strike(self, weight: int) -> None:
        self._strikes += weight
        if self._strikes >= STRIKES_MAX:
            self.wants_disconnect = True

    def _enqueue(self, packet: bytes) -> None:
        """Into the queue, whole or, where there is no room, not at all."""
        room = self._transport.value_bytes - 1
        if len(self._queue) + (len(packet) + room - 1) // room > QUEUE_FRAGMENTS_MAX:
            self.counters.unsent += 1
            return
        parts, self._fragment_counter = fragments.split(packet, self._transport.value_bytes, self._fragment_counter)
        self._queue.extend(parts)
        self._flush()

    def _flush(self) -> None:
        while self._queue and self._transport.notify(self._queue[0]):
            self._queue.pop(0)

    def _packet(self, packet: bytes) -> None:
        if packet[0] == session.PLAIN:
            kind, values, tail = frames.decode(packet[1:])
            if kind not in frames.PLAIN_KINDS:
                raise FrameError("plain")
        else:
            if self._open_block is None:
                raise FrameError("no session")
            self._received_counter, frame = session.unseal(self._open_block, self._received_counter, packet)
            self._strikes = 0
            kind, values, tail = frames.decode(frame)
        if values is None:
            return  # a newer gateway's kind
        if kind == frames.HELLO_REQUEST:
            self._hello(values[0], values[1])
        elif kind == frames.HELLO_CONFIRM:
            self._confirm(values[0])
        elif packet[0] == session.SEALED:
            self._sealed(kind, values, tail)

    def _hello(self, gateway_id: bytes, gateway_nonce: bytes) -> None:
        self._strike(HELLO_STRIKES)
        if self._config.values["decommissioned"]:
            self._refuse(frames.REFUSED_DECOMMISSIONED)
            return
        belt_nonce = self._random_bytes(session.NONCE_BYTES)
        serial = self._config.serial
        self._script = session.transcript(serial, gateway_id, belt_nonce, gateway_nonce)
        proof = session.belt_proof(self._aes, self._config.key, self._script)
        frame = frames.encode(frames.HELLO, (serial, belt_nonce, proof) + self._service.hello())
        self._enqueue(session.plain_packet(frame))

    def _confirm(self, gateway_proof: bytes) -> None:
        key = self._config.key
        script, self._script = self._script, b""  # one try per challenge
        if not script or not ccm.same(session.gateway_proof(self._aes, key, script), gateway_proof):
            self._refuse(frames.REFUSED_PROOF)
            return
        up, down = session.session_keys(self._aes, key, script)
        self._seal_block = self._aes(up)
        self._open_block = self._aes(down)
        self._sent_counter = 0
        self._received_counter = 0
        self._history = None
        self._strikes = 0
        self.is_open = True
        self.send(self._service.absences())
        self.send(self._service.report())

    def _refuse(self, reason: int) -> None:
        self.counters.refused += 1
        self._strike(1)
        self._enqueue(session.plain_packet(frames.encode(frames.REFUSED, (reason,))))

    def _sealed(self, kind: int, values: "tuple[int, ...]", tail: bytes) -> None:
        if kind == frames.ACK:
            self._ring.ack(values[0])
        elif kind == frames.TIME:
            self._service.time(values[0], values[1])
        elif kind == frames.HISTORY:
            request_id, first, last, credits = values
            last = min(last, self._ring.record_seq)
            self._history = [request_id, max(first, 1), first, last, min(max(credits, 1), CREDITS_MAX)]
        elif kind == frames.CREDIT:
            if self._history and self._history[0] == values[0]:
                self._history[4] = min(self._history[4] + values[1], CREDITS_MAX)
        elif kind == frames.CONFIGURE:
            self.result(values[0], self._service.configure(values[1], values[2]))
        elif kind == frames.COMMAND:
            self.result(values[0], self._service.command(values[0], values[1], values[2]))
        elif kind == frames.CLAIM:
            self._config.set(key=_hex(values[1]), gateway=_hex(values[2]))
            self.result(values[0], (frames.STATUS_DONE, 0))
        elif kind in (frames.UPDATE_BEGIN, frames.UPDATE_DATA, frames.UPDATE_END):
            self.result(values[0], self._service.update(kind, values, tail))

    def result(self, request_id: int, result: "tuple[int, int]") -> None:
        """Answer a request with (status, value); one answered STARTED is answered once more when it is done."""
        self.send(frames.encode(frames.RESULT, (request_id, result[0], result[1])))

    def _history_step(self) -> bool:
        """Send the next record of the request, or its end; False if the queue is full."""
        assert self._history is not None
        request_id, seq, first, last, _ = self._history
        seq = max(seq, self._ring.first_held_seq)
        if seq > last:
            ends = (request_id, first, last, self._ring.oldest_seq, self._ring.record_seq)
            sent = self.send(frames.encode(frames.HISTORY_END, ends))
            if sent:
                self._history = None
            return sent
        sent = self.send_record(seq)
        if sent:
            self._history[1] = seq + 1
            self._history[4] -= 1
        return sent


def _hex(data: "bytes | int") -> str:
    return "".join(["%02x" % byte for byte in data])  # type: ignore[union-attr]
