"""A hostile central against the belt: whatever it sends costs bounded memory, stops nothing, and is counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_py.belt.app import Belt
from firmware_py.belt.link import HELLO_STRIKES, QUEUE_FRAGMENTS_MAX, STRIKES_MAX
from firmware_py.belt.radio import CENTRAL_CONNECT, CENTRAL_DISCONNECT, GATTS_WRITE, QUEUE_BYTES_MAX, EventQueue
from hil.synth import Synth, load
from protocol.wire import fragments, frames, gatt, session
from tests.firmware_py.belt.test_app import BoardInMemory, Gateway, _beacon, _run
from tests.firmware_py.belt.test_link import Rig
from tests.interpreters import run_unix, run_wasm

HERE = Path(__file__).parent
HELLO = session.plain_packet(frames.encode(frames.HELLO_REQUEST, (bytes(8), bytes(16))))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def board(tmp_path: Path) -> BoardInMemory:
    return BoardInMemory(tmp_path)


@pytest.fixture
def gateway(board: BoardInMemory) -> Gateway:
    return Gateway(Belt(board), board)


def test_hellos_that_nobody_fetches_answers_to_fill_no_memory(rig: Rig) -> None:
    rig.air.room = 0
    rig.air.value_bytes = 20
    for _ in range(900):
        rig.write(HELLO)
    assert len(rig.link._queue) <= QUEUE_FRAGMENTS_MAX
    assert rig.link.counters.unsent > 800


def test_a_central_that_only_asks_who_it_is_is_hung_up_on(rig: Rig) -> None:
    hellos = 0
    while not rig.link.wants_disconnect:
        rig.write(HELLO)
        hellos += 1
    assert hellos == STRIKES_MAX // HELLO_STRIKES


@pytest.mark.parametrize("size", [0, 1, 2, 3, 19, 20, 100, 244, 512])
def test_values_of_any_size_are_counted_and_end_the_connection(rig: Rig, size: int) -> None:
    noise = random.Random(size)
    sent = 0
    while not rig.link.wants_disconnect:
        rig.link.received(noise.randbytes(size))
        sent += 1
        assert sent < 100 * STRIKES_MAX
    counters = rig.link.counters
    assert counters.bad_frames + counters.refused >= STRIKES_MAX // 2


def test_a_gateway_on_a_bad_radio_is_not_hung_up_on(rig: Rig) -> None:
    rig.open()
    for i in range(10 * STRIKES_MAX):
        rig.link.received(b"\x05noise")
        if i % 10 == 0:
            rig.send(frames.ACK, (0,))
    assert not rig.link.wants_disconnect
    assert rig.link.counters.bad_frames == 10 * STRIKES_MAX


def test_a_recording_played_back_without_end_is_counted_and_hung_up_on(rig: Rig) -> None:
    rig.open()
    packet = rig.seal(frames.COMMAND, (7, frames.CMD_IDENTIFY, 9))
    rig.write(packet)
    while not rig.link.wants_disconnect:
        rig.write(packet)
    assert rig.link.counters.replayed == STRIKES_MAX
    assert rig.answers.asked == [("command", frames.CMD_IDENTIFY, 9)]


def test_a_frame_without_end_is_dropped_at_its_limit(rig: Rig) -> None:
    rig.link.received(bytes((fragments.FIRST,)) + bytes(243))
    for counter in range(1, 10_000):
        rig.link.received(bytes((counter & fragments.COUNTER_MASK,)) + bytes(243))
        assert len(rig.link._join[0]) <= fragments.PACKET_BYTES_MAX
    assert rig.link.counters.bad_frames > 9_000


def test_half_a_handshake_opens_nothing_and_the_next_one_still_works(rig: Rig) -> None:
    for _ in range(STRIKES_MAX // HELLO_STRIKES - 1):
        rig.hello()
        assert not rig.link.is_open
    rig.link.disconnected()
    assert rig.open().link.is_open


def test_a_flood_of_writes_takes_bounded_memory_and_hides_no_disconnect() -> None:
    queue = EventQueue()
    for _ in range(10_000):
        queue.put(GATTS_WRITE, 0, bytes(gatt.RX_BUFFER_BYTES))
    queue.put(CENTRAL_DISCONNECT, 0, b"")
    queue.put(CENTRAL_CONNECT, 1, b"")
    kinds, waiting = [], 0
    while (event := queue.get()) is not None:
        kinds.append(event[0])
        waiting += len(event[2])
    assert kinds[-2:] == [CENTRAL_DISCONNECT, CENTRAL_CONNECT]
    assert waiting <= QUEUE_BYTES_MAX
    assert queue.dropped == 10_000 - QUEUE_BYTES_MAX // gatt.RX_BUFFER_BYTES
    assert not any(queue._values)


def test_the_queue_counts_its_bytes_right_for_ever() -> None:
    queue = EventQueue()
    noise = random.Random(1)
    for _ in range(20_000):
        queue.put(GATTS_WRITE, 0, bytes(noise.randrange(513)))
        if noise.random() < 0.6:
            queue.get()
    while queue.get() is not None:
        pass
    before = queue.dropped
    queue.put(GATTS_WRITE, 0, bytes(512))
    assert queue.dropped == before


def test_junk_without_pause_stops_neither_samples_nor_watchdog_nor_beacon(gateway: Gateway) -> None:
    """The stack's callback refills the queue as fast as the loop takes from it."""
    belt, board = gateway.belt, gateway.board
    received = belt.link.received

    def refilling(fragment: bytes) -> None:
        received(fragment)
        board.ble.write(bytes(20))

    belt.link.received = refilling  # type: ignore[method-assign]
    board.ble.write(bytes(20))
    _run(belt, board, 20)
    assert board.fed >= 18
    assert _beacon(board)[0] >= 20
    assert board.ble.hung_up
    assert belt.link.counters.bad_frames >= STRIKES_MAX


def test_after_the_flood_the_next_gateway_is_served(gateway: Gateway) -> None:
    board = gateway.board
    noise = random.Random(3)
    for _ in range(3000):
        board.ble.write(noise.randbytes(noise.randrange(245)))
        if noise.random() < 0.2:
            gateway.belt.step()
    assert board.ble.hung_up
    board.ble.handler(CENTRAL_DISCONNECT, (0, 1, b""))
    gateway.belt.step()
    board.ble.notified.clear()
    assert Gateway(gateway.belt, board).handshake().belt.link.is_open


def test_a_second_central_takes_the_place_of_one_whose_end_was_not_told(gateway: Gateway) -> None:
    gateway.handshake()
    board = gateway.board
    board.ble.handler(CENTRAL_CONNECT, (5, 1, b""))
    gateway.belt.step()
    assert board.ble.hung_up == [0]
    assert not gateway.belt.link.is_open
    board.ble.handler(CENTRAL_DISCONNECT, (0, 1, b""))  # of the old one: the new one stays
    gateway.belt.step()
    assert not board.ble.advertisement["connectable"]


def test_a_strange_mtu_is_brought_into_what_the_standard_allows(gateway: Gateway) -> None:
    for mtu, room in ((0, 20), (1, 20), (23, 20), (65_535, gatt.MTU - 3)):
        gateway.board.ble.handler(21, (0, mtu))
        gateway.belt.step()
        assert gateway.belt._radio.value_bytes == room


@pytest.mark.parametrize("run", [run_unix, run_wasm])
def test_the_real_interpreters_keep_their_heap_among_hostile_centrals(run: Callable[..., str], tmp_path: Path) -> None:
    """check_hostile.py: floods, replays, endless frames and half handshakes; the belt serves its gateway after each."""
    samples = tmp_path / "counts.bin"
    samples.write_bytes(Synth(load("short_exit"), rate_hz=50).all().astype("<i2").tobytes())
    state = [str(tmp_path / "state")] if run is run_unix else []
    words = run(HERE / "check_hostile.py", str(samples), str(HERE / "check_belt_memory.py"), *state).split()
    figures = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert figures["frames"] >= 10_000
    assert figures["dropped"] + figures["bad"] + figures["refused"] + figures["replayed"] >= 5_000
    assert figures["hung_up"] >= 36
    assert figures["fed"] >= figures["seconds"] - 2
    assert figures["grown"] <= 512
