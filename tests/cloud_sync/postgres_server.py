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


class PostgresServer:
    """One server and its data, which can be away for a while."""

    def __init__(self, name: str, options: Sequence[str] = FAST) -> None:
        # Not below the checkout: the server's own user may have no way into that.
        self._folder = Path(tempfile.mkdtemp(prefix=f"sleepbelt-postgres-{name}-"))
        self._user = _as_user(self._folder)
        data = self._folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        initdb = [*self._user, _program("initdb"), "-D", str(data), "-A", "trust", "-U", "sleepbelt", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions"]  # fmt: skip
        done = subprocess.run(initdb, cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"initdb in {self._folder} failed (may user postgres enter it?): {done.stderr}"
        self._control = [*self._user, _program("pg_ctl"), "-D", str(data), "-l", str(self._folder / "log"), "-w"]
        self._settings = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                          *options]  # fmt: skip
        self.url = f"postgresql://sleepbelt@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        self._ctl("-o", " ".join(self._settings), "start")

    def stop(self) -> None:
        """At once and without a checkpoint: the next start recovers from the log."""
        self._ctl("-m", "immediate", "stop")

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ctl(self, *arguments: str) -> None:
        subprocess.run([*self._control, *arguments], cwd=self._folder, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def postgres_server(name: str = "tests", options: Sequence[str] = FAST) -> Iterator[str]:
    """The URL of an empty-able database on a server that runs for the duration of the block."""
    server = PostgresServer(name, options)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
        server.remove()


def emptied(url: str) -> str:
    """The same database with nothing in it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url
