"""hands: hardware is touched off the loop; what hangs there holds up nobody, and nothing piles up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from gpiozero import GPIOZeroError

from gateway.alerter.hands import WAITING_MAX, Hands


async def test_an_action_is_done_in_another_thread_and_gives_its_result() -> None:
    hands = Hands("light")
    assert await hands.do(threading.get_ident) != threading.get_ident()
    hands.close(lambda: None)


@pytest.mark.parametrize("error", [GPIOZeroError("no pin"), OSError("no pin"), RuntimeError("no pin")])
async def test_what_the_hardware_says_is_an_oserror(error: Exception) -> None:
    def fail() -> None:
        raise error

    hands = Hands("light")
    with pytest.raises(OSError, match="no pin"):
        await hands.do(fail)
    assert await hands.do(lambda: 5) == 5
    hands.close(lambda: None)


async def test_behind_an_action_that_hangs_only_a_few_wait() -> None:
    released, hangs = threading.Event(), threading.Event()
    hands = Hands("light")

    def hang() -> None:
        hangs.set()
        released.wait(10)

    waiting = [asyncio.create_task(hands.do(hang))]
    await asyncio.sleep(0)
    assert hangs.wait(5)
    waiting += [asyncio.create_task(hands.do(lambda: None)) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="does not answer"):
        await hands.do(lambda: None)
    hands.close(lambda: None)
    released.set()
    await asyncio.gather(*waiting)


def test_a_process_ends_although_an_action_hangs() -> None:
    program = (
        "import asyncio, contextlib, time\nfrom gateway.alerter.hands import Hands\n"
        "async def main():\n"
        "    with contextlib.suppress(TimeoutError):\n"
        "        await asyncio.wait_for(Hands('light').do(lambda: time.sleep(600)), 0.1)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True, timeout=20)
