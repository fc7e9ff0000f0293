"""A PostgreSQL server of our own in a temporary folder, as an unprivileged user: for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

FAST = ("-c", "fsync=off")  # the tests' data may die with the machine


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    program = str(found[-1]) if found else shutil.which(name)
    assert program, f"{name} is missing: these tests need the PostgreSQL server (apt-get install postgresql)"
    return program


def _as_user(folder: Path) -> list[str]:
    """postgres refuses to run as root: then its own system user runs it."""
    if os.getuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["runuser", "-u", "postgres", "--"]


@contextmanager
def postgres_server(name: str = "tests", options: Sequence[str] = FAST) -> Iterator[str]:
    """The URL of an empty-able database on a server that runs for the duration of the block."""
    # Not below the checkout: the server's own user may have no way into that.
    folder = Path(tempfile.mkdtemp(prefix=f"sleepbelt-postgres-{name}-"))
    user = _as_user(folder)
    data = folder / "data"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    initdb = [*user, _program("initdb"), "-D", str(data), "-A", "trust", "-U", "sleepbelt", "-E", "UTF8",
              "--locale=C.UTF-8", "--no-sync", "--no-instructions"]  # fmt: skip
    done = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"initdb in {folder} failed (may user postgres enter it?): {done.stderr}"
    control = [*user, _program("pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w"]
    settings = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", *options]
    subprocess.run([*control, "-o", " ".join(settings), "start"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://sleepbelt@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


def emptied(url: str) -> str:
    """The same database with nothing in it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url
