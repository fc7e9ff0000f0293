"""What the stores need of a database, in SQL that SQLite and PostgreSQL both speak; values are marked by `?`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from cloud_sync.receiver.stores.base import StoreError

__all__ = ["Database", "Rows", "transaction"]


class Rows(Protocol):
    """The answer to one statement."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Database(Protocol):
    """One connection, used by one thread. `errors` are what its methods raise when the database fails."""

    errors: tuple[type[Exception], ...]
    data_errors: tuple[type[Exception], ...]  # those that say that a value is at fault
    where: str  # for people; never a password
    for_update: str  # ends a SELECT whose rows are to be locked: empty where BEGIN locks everything

    def begin(self) -> None:
        """Begin a writing transaction, on a new connection if the old one broke."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """Give up the transaction, if there is one; never raises."""
        ...

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Rows: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None: ...

    def insert(self, table: str, types: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str = "") -> None:
        """Insert many rows at once, of all columns in their order; `types` are PostgreSQL's names of them."""
        ...

    def prepare_days(self, start_utc_ms: Iterable[int], now_utc_ms: int) -> None:
        """Called before `begin` with the instants of vitals to be written: a chance to make their partitions."""
        ...

    def close(self) -> None: ...


@contextmanager
def transaction(database: Database, what: str) -> Iterator[Database]:
    """All of the block in one transaction, or StoreError ("cannot <what> in ...") and nothing."""
    try:
        database.begin()
        yield database
        database.commit()
    except database.errors as error:
        database.rollback()
        raise StoreError(f"cannot {what} in {database.where}: {error}") from error
    except BaseException:
        database.rollback()
        raise
