"""A disk whose power fails: an apsw VFS that keeps what was synced and loses a random part of what was not.

Everything lives in memory. At a cut each file becomes its last synced contents plus a random subset, by 512-byte
sectors, of the writes since; the `hostile` device also fills 4 KiB blocks that were being written with garbage
(facts/SYNC.md, "Local store"). The files' names also exist, empty, in the real folder, for code that lists it.
apsw brings a SQLite of its own, so `SimulatedDisk.open` gives connections that look like those of stdlib sqlite3.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

__all__ = ["PowerCut", "SimulatedDisk"]

SECTOR = 512
BLOCK = 4096
APPLIED_RATIOS = (0.0, 0.2, 0.5, 0.8, 1.0)


class PowerCut(Exception):
    """The power is gone; every further access to the disk raises this too."""


class _File:
    """What the process sees, what a cut cannot take, and the writes between the two in order."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.durable = bytearray()
        self.unsynced: list[tuple[int, bytes | None]] = []  # (offset, data), or (size, None) for a truncation

    def write(self, offset: int, data: bytes) -> None:
        _put(self.seen, offset, data)
        self.unsynced.append((offset, data))

    def truncate(self, size: int) -> None:
        del self.seen[size:]
        self.unsynced.append((size, None))

    def sync(self) -> None:
        if self.unsynced:
            self.durable = bytearray(self.seen)
            self.unsynced.clear()

    def cut(self, draw: random.Random, hostile: bool) -> None:
        """Lose what was not synced, but for the sectors that the draw lets survive."""
        ratio = draw.choice(APPLIED_RATIOS)
        image = self.durable
        blocks: set[int] = set()
        for offset, data in self.unsynced:
            if data is None:
                if draw.random() < 0.5:
                    del image[offset:]
                continue
            for start, piece in _sectors(offset, data):
                if draw.random() < ratio:
                    _put(image, start, piece)
                    blocks.add(start // BLOCK)
        if hostile and self.unsynced:
            last_offset, last_data = self.unsynced[-1]
            if last_data is not None:
                blocks.update((last_offset // BLOCK, (last_offset + len(last_data) - 1) // BLOCK))
            for block in draw.sample(sorted(blocks), min(len(blocks), draw.choice((0, 1, 1, 2)))):
                end = min(len(image), (block + 1) * BLOCK)
                image[block * BLOCK : end] = draw.randbytes(max(0, end - block * BLOCK))
        self.seen = bytearray(image)
        self.unsynced.clear()


def _put(image: bytearray, offset: int, data: bytes) -> None:
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        step = SECTOR - (offset + position) % SECTOR
        yield offset + position, data[position : position + step]
        position += step


class SimulatedDisk:
    """One disk; `open(path)` is a connection on it. `cut_in(n)` lets the power fail at the n-th write or sync."""

    def __init__(self, folder: Path, seed: int, hostile: bool) -> None:
        self.folder, self.hostile = folder, hostile
        self.draw = random.Random(seed)
        self.files: dict[str, _File] = {}
        self.operations = 0
        self._left: int | None = None
        self._is_off = False
        self._name = f"power-cut-{id(self)}"
        self._vfs = _Vfs(self._name, self)
        self._connections: list[_Connection] = []

    def open(self, path: Path) -> sqlite3.Connection:
        """A connection as `gateway.store_repair.open_file` gives, on this disk."""
        flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        with _errors():
            inner = apsw.Connection(f"{path.absolute().as_uri()}?psow=0", flags=flags, vfs=self._name)
        connection = _Connection(inner)
        self._connections.append(connection)
        return connection  # type: ignore[return-value]  # it has what the store uses of sqlite3.Connection

    def cut_in(self, operations: int) -> None:
        self._left = operations

    def step(self) -> None:
        """Called before each write or sync; after the cut, before each access."""
        self.operations += 1
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._is_off = True
        if self._is_off:
            raise PowerCut

    @property
    def is_off(self) -> bool:
        return self._is_off

    def restart(self) -> None:
        """What the power's return finds: every file as the cut left it, no connection open."""
        self._is_off = True
        for connection in self._connections:
            connection.abandon()
        self._connections.clear()
        for file in self.files.values():
            file.cut(self.draw, self.hostile)
        self._is_off, self._left = False, None

    def write_out(self, folder: Path) -> None:
        """The files as real ones in another folder."""
        for name, file in self.files.items():
            (folder / Path(name).name).write_bytes(file.seen)


class _Quiet:
    def excepthook(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """A cut is no news; apsw would print it where SQLite's own interface cannot carry it."""
        return True


class _Vfs(_Quiet, apsw.VFS):
    def __init__(self, name: str, disk: SimulatedDisk) -> None:
        self._disk = disk
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        psow = name.uri_boolean("psow", True) if isinstance(name, apsw.URIFilename) else True
        if path not in self._disk.files:
            self._disk.files[path] = _File()
            Path(path).touch()
        flags[1] = flags[0]
        return _VfsFile(self._disk, self._disk.files[path], psow)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.step()
        if self._disk.files.pop(filename, None) is None:
            raise apsw.IOError
        Path(filename).unlink(missing_ok=True)

    def xAccess(self, pathname: str, flags: int) -> bool:
        file = self._disk.files.get(pathname)
        return file is not None and (flags != apsw.SQLITE_ACCESS_EXISTS or len(file.seen) > 0)

    def xFullPathname(self, filename: str) -> str:
        return str(Path(filename).absolute())


class _VfsFile(_Quiet, apsw.VFSFile):
    def __init__(self, disk: SimulatedDisk, file: _File, powersafe: bool) -> None:
        self._disk, self._file, self._powersafe = disk, file, powersafe
        self._lock = 0

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if not self._disk.is_off:
            self._file.write(offset, bytes(data))  # a cut in the middle of a write leaves a part of it
        self._disk.step()

    def xTruncate(self, size: int) -> None:
        self._disk.step()
        self._file.truncate(size)

    def xSync(self, flags: int) -> None:
        self._disk.step()
        self._file.sync()

    def xFileSize(self) -> int:
        return len(self._file.seen)

    def xClose(self) -> None: ...

    def xLock(self, level: int) -> None:
        self._lock = level

    def xUnlock(self, level: int) -> None:
        self._lock = level

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return BLOCK

    def excepthook(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return True

    def xDeviceCharacteristics(self) -> int:
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE) if self._powersafe else 0


class _errors:
    """apsw's errors as sqlite3's, with the code that the store looks at."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.Error):
            turned = sqlite3.DatabaseError(str(error))
            turned.sqlite_errorcode = int(getattr(error, "extendedresult"))  # noqa: B009 - apsw's stubs lack it
            raise turned from error


class _Cursor:
    def __init__(self, cursor: apsw.Cursor, rowcount: int) -> None:
        self._rows = iter(cursor)
        self.rowcount = rowcount

    def fetchone(self) -> Any:
        with _errors():
            return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        with _errors():
            return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        with _errors():
            yield from self._rows


class _Connection:
    """The part of sqlite3.Connection (isolation_level None) that the store uses."""

    def __init__(self, inner: apsw.Connection) -> None:
        self._inner = inner

    @property
    def in_transaction(self) -> bool:
        return bool(self._inner.in_transaction)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> _Cursor:
        with _errors():
            before = self._inner.total_changes()
            cursor = self._inner.execute(sql, tuple(values))
            return _Cursor(cursor, self._inner.total_changes() - before)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with _errors():
            self._inner.executemany(sql, [tuple(row) for row in rows])

    def executescript(self, sql: str) -> None:
        with _errors():
            for _ in self._inner.execute(sql):
                pass

    def __enter__(self) -> _Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inner.in_transaction:
            self.execute("COMMIT" if kind is None else "ROLLBACK")

    def close(self) -> None:
        with _errors():
            self._inner.close()

    def abandon(self) -> None:
        """Forget it without touching the disk again, as a process does that has no power."""
        with suppress(apsw.Error, PowerCut):
            self._inner.close(True)
