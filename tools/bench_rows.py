"""Rows of the benchmark: a name, a value with its unit, and, where there is one, what it is held against."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

BYTECODE = Path(__file__).resolve().parents[1] / "build" / "bytecode"
GATEWAY_IMPORTS = (
    "import asyncio, sqlite3, ssl, bleak, aiomqtt, msgpack, zstandard, gateway.app, cloud_sync.uplink, uvicorn,"
    " gateway.cli, gateway.commands.run, gateway.web.board, gateway.web.provision_page, gateway.web.manage"
)


@dataclass(frozen=True)
class Row:
    """One figure; `limit` is a budget (lower is better), `peer` another product's figure, `ratio` value / that."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    peer: float | None = None
    source: str = ""  # of limit or peer
    ratio: float | None = None


def row(
    name: str, value: float, unit: str, limit: float | None = None, peer: float | None = None, source: str = ""
) -> Row:
    """A row with its ratio worked out."""
    against = limit if limit is not None else peer
    return Row(name, round(value, 4), unit, limit, peer, source, round(value / against, 4) if against else None)


@cache
def appliance_environment() -> dict[str, str]:
    """For a gateway that is measured: with bytecode at hand, as the package has it (its postinst compiles it once)."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    subprocess.run([sys.executable, "-c", GATEWAY_IMPORTS], env=environment, check=True)
    return environment


def print_rows(rows: Iterable[Row]) -> None:
    """The rows as one JSON list on stdout, as `tools.bench` reads them."""
    print(json.dumps([{k: v for k, v in asdict(item).items() if v not in (None, "")} for item in rows], indent=1))
