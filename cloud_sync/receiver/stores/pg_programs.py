"""PostgreSQL's own pg_dump and pg_restore: found, given the database without its password on the command line, run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from psycopg import pq

from cloud_sync.receiver.stores.base import StoreError

__all__ = ["dump", "restore"]

VERSIONS = Path("/usr/lib/postgresql")  # Debian's


def dump(url: str, file: Path, snapshot: str) -> None:
    """Write the database as an exported snapshot saw it, in pg_dump's custom format; StoreError says why not."""
    # The bodies are compressed already; the rest is small.
    _run(url, "pg_dump", "--format=custom", "--compress=1", "--no-owner", "--no-privileges", f"--snapshot={snapshot}",
         f"--file={file}")  # fmt: skip


def restore(url: str, file: Path) -> None:
    """Fill an empty database from such a file, whole or not at all; StoreError says why not."""
    # Without --dbname it would print SQL; an empty one leaves the name to libpq, as the connection's does.
    _run(url, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--dbname=",
         str(file))  # fmt: skip


def _run(url: str, program: str, *arguments: str) -> None:
    environment = {**os.environ, **_environment(url)}
    command = [_found(program), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StoreError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _environment(url: str) -> Mapping[str, str]:
    """The URL's parts as libpq's variables: other users read a command line, but not the environment."""
    given = pq.Conninfo.parse(url.encode())
    return {one.envvar.decode(): one.val.decode() for one in given if one.envvar and one.val is not None}


def _found(program: str) -> str:
    """The newest of Debian's versions, else the one on the path: it may be no older than the server."""
    versions = sorted(VERSIONS.glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    path = str(versions[-1]) if versions else shutil.which(program)
    if path is None:
        raise StoreError(f"{program} is missing: apt-get install postgresql-client")
    return path
