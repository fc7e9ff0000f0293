"""A whole gateway as a process, on a radio that says nothing: `python -m tests.gateway.spoken_gateway CONFIG`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.app import Gateway
from gateway.config import load_config
from tests.gateway.small_gateway import SpokenRadio


async def main() -> None:
    radio = SpokenRadio()
    gateway = await Gateway.start(load_config(Path(sys.argv[1])), lambda *_: radio)
    print("ready", flush=True)
    await gateway.run()


if __name__ == "__main__":
    asyncio.run(main())
