"""The same radio tests on every tier: Bumble (`make test`), `--radio box` (`make hil`), or `--hci` with `--bluez`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.ward import Tier, Ward, open_ward, tier_of

LATE_REAL_S, LATE_REAL_S_CROWDED = 2.0, 10.0


@pytest.fixture(scope="session")
def late_real_s(pytestconfig: pytest.Config) -> float:
    """How late an alarm of a compressed night may be, in real time; nothing may be early.

    Where these tests are named (`make hil`) they have the machine to themselves, in `make test` perhaps not.
    """
    named = any("radio" in Path(argument.split("::")[0]).parts for argument in pytestconfig.args)
    return LATE_REAL_S if named else LATE_REAL_S_CROWDED


@pytest.fixture(scope="session")
def tier(pytestconfig: pytest.Config) -> Tier:
    return tier_of(pytestconfig)


@pytest_asyncio.fixture
async def ward(tier: Tier, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Ward]:
    async with open_ward(tier, tmp_path, getattr(request, "param", 1)) as opened:
        yield opened
