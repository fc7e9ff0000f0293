"""host: a command whose caller gave up does not spoil the commands after it, as it does in Bumble's own host."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bumble import hci
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from hil.radio.host import SteadyHost
from hil.radio.link import AdapterController, VirtualLink

COMMANDS: tuple[Any, ...] = (
    hci.HCI_Read_BD_ADDR_Command, hci.HCI_LE_Read_Buffer_Size_Command, hci.HCI_Read_BD_ADDR_Command
)  # fmt: skip
ANSWERS = [command.return_parameters_class for command in COMMANDS]


async def answers_after_a_cancelled_command(kind: type[Host]) -> list[type]:
    """What three commands at once are answered with, after one whose caller was cancelled while it was under way."""
    controller = AdapterController("hci", link=VirtualLink(), public_address="00:5B:1E:00:00:01")
    host = kind(controller, AsyncPipeSink(controller))
    await host.reset()
    given_up = asyncio.create_task(host.send_command(hci.HCI_Read_Local_Version_Information_Command()))
    await asyncio.sleep(0)
    given_up.cancel()
    async with asyncio.timeout(5):
        answers: list[Any] = await asyncio.gather(*(host.send_command(command()) for command in COMMANDS))
    return [type(answer.return_parameters) for answer in answers]


async def test_each_command_gets_its_own_answer() -> None:
    assert await answers_after_a_cancelled_command(SteadyHost) == ANSWERS


async def test_bumbles_own_host_still_mixes_them_up() -> None:
    """A canary: when this fails, SteadyHost may go."""
    with pytest.raises((AssertionError, TimeoutError)):
        assert await answers_after_a_cancelled_command(Host) == ANSWERS
