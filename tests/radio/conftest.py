"""The same radio tests on every tier: Bumble (`make test`), `--radio box` (`make hil`), or `--hci` with `--bluez`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.ward import Tier, Ward, open_ward, tier_of

LONG = ("test_must_show.py", "test_two_adapters.py")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What takes minutes is not for `make test`: only where this folder is named."""
    named = any("radio" in Path(argument.split("::")[0]).parts for argument in config.args)
    return True if collection_path.name in LONG and not named else None


@pytest.fixture(scope="session")
def tier(pytestconfig: pytest.Config) -> Tier:
    return tier_of(pytestconfig)


@pytest_asyncio.fixture
async def ward(tier: Tier, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Ward]:
    async with open_ward(tier, tmp_path, getattr(request, "param", 1)) as opened:
        yield opened
