"""Programs of others against emulated belts behind real BlueZ: their own environment (tools/foreign), their own job.

Only `make hil-foreign` collects them: the folder has to be named to pytest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from firmware_py.belt.config import Config
from hil.synth import load
from tests.ward import Tier, Ward, open_ward


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here is collected unless asked for by name."""
    return None if any("hil_foreign" in argument for argument in config.args) else True


@pytest_asyncio.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    """One belt that was told to expose the standard services (what CMD_EXPOSE_STANDARD sets; in force from a start)."""
    async with open_ward(Tier("box"), tmp_path, [load("short_exit")], begun_s=30) as opened:
        belt = opened.fleet.belts[0]
        Config(str(belt.state_directory)).set(expose_standard=True)
        await opened.fleet.power_cut(belt, off_s=0.2)
        yield opened
