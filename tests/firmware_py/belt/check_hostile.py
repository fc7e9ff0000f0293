# mypy: ignore-errors
"""Runs on the unix port and on wasm32: a whole belt among hostile centrals, and its own gateway after each of them.

Arguments: ROOT SAMPLES HARNESS [STATE], HARNESS being check_belt_memory.py. Prints figures as `NAME NUMBER`; that the
gateway was not served after an attack is an exception.
"""

import gc
import sys

ARGV = globals().get("ARGV") or sys.argv
STATE = ARGV[4] if len(ARGV) > 4 else "/state"
harness = {"ARGV": ARGV, "STATE": STATE}
with open(ARGV[3]) as file:
    exec(file.read(), harness)
run = harness["run"]
begin, make, live = harness["begin"], harness["make"], harness["live"]
open_session, packets = harness["open_session"], harness["packets"]

ROUNDS = 60
LOOP_WRITES = 25  # that come in while the loop is busy once
IDENTIFY = 1

figures = {"frames": 0, "settled": 0}
noise = [12345]


def drawn(below):
    noise[0] = (noise[0] * 1103515245 + 12345) & 0x3FFFFFFF
    return (noise[0] >> 8) % below


def write(value):
    figures["frames"] += 1
    run["board"].ble.write(value)
    if figures["frames"] % LOOP_WRITES == 0:
        run["belt"].step()


def connect():
    run["board"].ble.handler(1, (0, 1, b""))
    run["belt"].step()


def disconnect():
    run["board"].ble.handler(2, (0, 1, b""))
    run["belt"].step()
    assert not run["belt"].link.is_open


def junk():
    for _ in range(500):
        write(bytes([drawn(256) for _ in range(drawn(245))]))


def half_open():
    from protocol.wire import frames, session

    packets(run["board"], session.plain_packet(frames.encode(frames.HELLO_REQUEST, (bytes(8), bytes(16)))))
    before = run["board"].ble.hung_up
    live(32)
    assert run["board"].ble.hung_up > before


def hellos():
    from protocol.wire import fragments, frames, session

    hello = session.plain_packet(frames.encode(frames.HELLO_REQUEST, (bytes(8), bytes(16))))
    for _ in range(40):
        for part in fragments.split(hello, 20, 0)[0]:
            write(part)


def replays():
    from protocol.wire import fragments, frames, session

    down = open_session(run["board"])
    sealed = session.seal(down, 1, frames.encode(frames.COMMAND, (7, IDENTIFY, 1)))
    before = run["board"].identified
    for _ in range(80):
        for part in fragments.split(sealed, 20, 0)[0]:
            write(part)
        run["belt"].step()
    assert run["board"].identified == before + 1


def long_frame():
    write(bytes([0x80]) + bytes(243))
    for i in range(1, 400):
        write(bytes([i & 0x3F]) + bytes(243))


ATTACKS = (junk, half_open, hellos, replays, long_frame)


def served():
    """The belt's own gateway gets a session and an answer."""
    from protocol.wire import frames, session

    down = open_session(run["board"])
    before = run["board"].identified
    packets(run["board"], session.seal(down, 1, frames.encode(frames.COMMAND, (9, IDENTIFY, 1))))
    assert run["board"].identified == before + 1
    disconnect()


def report():
    counters = run["belt"].link.counters
    print("frames", figures["frames"])
    print("dropped", run["belt"]._radio.events.dropped)
    print("bad", counters.bad_frames)
    print("refused", counters.refused)
    print("replayed", counters.replayed)
    print("hung_up", run["board"].ble.hung_up)
    print("fed", run["board"].fed)
    print("seconds", run["board"].now_ms // 1000)
    print("grown", figures["grown"])


def step():
    """One attack; False at the end. The heap is measured after the collection that came before this call."""
    at = run["steps"]
    run["steps"] += 1
    if at == 0:
        begin()
        make()
        return True
    if at == len(ATTACKS) + 1:
        figures["settled"] = gc.mem_alloc()
    if at > ROUNDS:
        figures["grown"] = gc.mem_alloc() - figures["settled"]
        report()
        return False
    connect()
    ATTACKS[(at - 1) % len(ATTACKS)]()
    disconnect()
    served()
    return True


if sys.platform not in ("webassembly", "emscripten"):
    gc.collect()
    while step():
        gc.collect()
