"""A signed image over the virtual air into a real emulated belt: it restarts into it, keeps it or goes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bleak import BleakClient
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_py.belt.app import VERSION
from firmware_py.tooling.build import image_of_folder
from firmware_py.tooling.compile import BOARDS, compile_board
from firmware_py.tooling.image import make_image, public_bytes
from hil.clock import HilClock
from hil.fleet import DrivenBelt, Fleet
from hil.radio.bumble_backend import radio_classes
from hil.radio.hci_server import serve_adapters
from hil.radio.link import VirtualLink
from hil.synth import load
from hil.update_client import DATA_BYTES, UpdateClient, UpdateError
from protocol.clock_scale import ClockScale

SPEED = 4.0  # seconds of a belt in one: it looks at its radio four times as often; in bed for 150 of its seconds
SECRET = bytes(range(16))
KEY = ec.derive_private_key(0xABCDEF, ec.SECP256R1())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("emulated")
    compile_board(BOARDS["emulated"], folder)
    return image_of_folder(folder / "slot", 0, VERSION, KEY)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """An emulated belt that knows the key."""
    state = tmp_path / "belt"
    state.mkdir()
    identity = {"serial": "45" * 8, "claim_secret": SECRET.hex(), "update_key": public_bytes(KEY).hex()}
    (state / "identity.json").write_text(json.dumps(identity))
    clock, link = HilClock(ClockScale(0, 0, SPEED)), VirtualLink()
    server = await serve_adapters(link, tmp_path / "h.sock")
    fleet = Fleet(clock, link, clock.now_ms())
    fleet.add(load("short_exit"), state, None)
    await fleet.start()
    try:
        yield fleet
    finally:
        await fleet.stop()
        server.close()


@pytest.fixture
def belt(fleet: Fleet, tmp_path: Path) -> tuple[DrivenBelt, str]:
    """The belt and the adapter by which it is reached."""
    return fleet.belts[0], f"unix:{tmp_path}/h.sock"


def _client(belt: DrivenBelt, adapter: str, key: bytes = SECRET) -> UpdateClient:
    address = belt.ready()["address"]
    return UpdateClient(BleakClient(address, backend=radio_classes(adapter)[1]), key)


async def _restarted(belt: DrivenBelt, times: int) -> None:
    async with asyncio.timeout(15):
        while belt.restarts < times or belt.host.now_ms < 100:  # noqa: ASYNC110 - the fleet has no event for it
            await asyncio.sleep(0.05)


async def test_an_update_is_resumed_installed_and_confirmed_by_a_session(
    belt: tuple[DrivenBelt, str], image: bytes
) -> None:
    driven, adapter = belt
    state = driven.state_directory

    def give_up(done: int, total: int) -> None:
        if done > 4000:
            raise OSError("carried out of reach")

    with pytest.raises(UpdateError, match="run the same command again"):
        await _client(driven, adapter).update(image, give_up)
    begun_at = await _client(driven, adapter).update(image)
    assert begun_at > 4000
    await _restarted(driven, 1)
    assert (state / "slot").read_text() == "b"
    assert (state / "trial").read_text() == "b1"
    # Any session confirms; this one asks for what the belt refuses: an image of another size than its slots have.
    with pytest.raises(UpdateError, match="larger than a slot"):
        await _client(driven, adapter).update(bytes(1 << 20))
    assert not (state / "trial").exists()


async def test_a_trial_that_ends_in_a_power_cut_is_reverted(
    fleet: Fleet, belt: tuple[DrivenBelt, str], image: bytes
) -> None:
    driven, adapter = belt
    await _client(driven, adapter).update(image)
    await _restarted(driven, 1)
    # By the fleet, which stops driving the belt meanwhile.
    await fleet.power_cut(driven, 0.1)
    assert (driven.state_directory / "slot").read_text() == "a"


async def test_an_update_interrupted_at_each_chunk_goes_on_where_it_was_and_an_older_one_is_refused(
    belt: tuple[DrivenBelt, str], image: bytes
) -> None:
    """Signed, for this board, whole, and older than what runs: five kilobytes of it in thirteen connections."""
    files = {"firmware_py/main.mpy": image[:5000]}
    older = make_image(files, 0, (VERSION[0], VERSION[1], VERSION[2] - 1) if VERSION[2] else (0, 0, 9), KEY)
    driven, adapter = belt
    shown: list[tuple[int, int]] = []

    def one_chunk(done: int, total: int) -> None:
        shown.append((done, total))
        if len(shown) % 2 == 0:
            raise OSError("carried out of reach")

    refusals = 0
    while refusals == 0:
        with pytest.raises(UpdateError) as told:
            await _client(driven, adapter).update(older, one_chunk)
        refusals += "refused" in str(told.value)
        assert len(shown) < 60
        shown += [(-1, 0)] * (len(shown) % 2)  # each connection begins with a chunk
    offsets = sorted({done for done, _ in shown if done >= 0})
    assert offsets == [*range(0, len(older), DATA_BYTES), len(older)]
    assert not (driven.state_directory / "slot").exists()
    assert driven.restarts == 0


async def test_a_wrong_belt_key_is_named(belt: tuple[DrivenBelt, str], image: bytes) -> None:
    with pytest.raises(UpdateError, match="another key"):
        await _client(*belt, key=bytes(16)).update(image)
