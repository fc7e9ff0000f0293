"""Real BlueZ in the loop: a fresh box for each test, emulated belts with the real firmware, the gateway's own radio.

These need QEMU and take a minute, so only `make hil` collects them: the folder has to be named to pytest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.hil_box.failure_table import FailureTable
from tests.ward import Tier, Ward, open_ward


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here is collected unless asked for by name."""
    return None if any("hil_box" in argument for argument in config.args) else True


@pytest.fixture(scope="session")
def table() -> FailureTable:
    return FailureTable()


@pytest_asyncio.fixture
async def ward(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Ward]:
    async with open_ward(Tier("box"), tmp_path, getattr(request, "param", 1)) as opened:
        yield opened
