"""Where a sweep keeps its trials: an SQLite file or a PostgreSQL server, with a lock on it."""

import fcntl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
EXPECTED = "expected postgresql://<user>@<host>/<database> or sqlite:///<file>"
PATIENCE = 60  # seconds that a database may be busy or away for
UNREACHABLE = (SQLAlchemyError, StorageInternalError)


class SweepError(ValueError):
    """A sweep that cannot be joined."""


class Database:
    """A database that workers share.

    Args:
        url: Where it is.

    Attributes:
        url: The same, with the driver that is installed.
        place: The same without a password, to be shown.

    Raises:
        SweepError: If it is none that they can share.
    """

    def __init__(self, url: str) -> None:
        try:
            given = sqlalchemy.make_url(url)
        except SQLAlchemyError as mistake:
            raise SweepError(f"storage={url!r}: {EXPECTED}") from mistake
        self.place = str(given)
        in_memory = given.database in (None, "", ":memory:")
        if given.drivername not in DRIVERS or in_memory:
            raise SweepError(f"storage={self.place!r}: {EXPECTED}")
        self.url: URL = given.set(drivername=DRIVERS[given.drivername])

    @property
    def file(self) -> Path | None:
        return Path(str(self.url.database)) if self.url.drivername == "sqlite" else None

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep the other workers of a sweep out; the lock of a killed worker is gone with it."""
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.with_name(f"{self.file.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            return
        key = zlib.crc32(f"{__package__} {name}".encode())
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            for line in (
                f"set local idle_in_transaction_session_timeout = '{PATIENCE}s'",
                f"select pg_advisory_xact_lock({key})",
            ):
                connection.execute(sqlalchemy.text(line))
            yield

    def opened(self, interval: int, grace: int) -> RDBStorage:
        """The database as Optuna uses it.

        Args:
            interval: Seconds between two signs of life.
            grace: Seconds without one after which a worker is taken for dead.
        """
        connect = {"timeout": PATIENCE} if self.file else {}
        return RDBStorage(
            self.url.render_as_string(hide_password=False),
            {"pool_pre_ping": True, "connect_args": connect},
            heartbeat_interval=interval,
            grace_period=grace,
        )


def patiently(action: Callable[[], T]) -> T:
    """What an action on a database returns, tried again while the database is away.

    Raises:
        ConnectionError: If it stays away.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return action()
        except UNREACHABLE as failure:
            if time.monotonic() > end:
                raise ConnectionError(f"storage: {why(failure)}") from failure
        time.sleep(1)


def why(failure: BaseException) -> str:
    """What a database, or what reaches it, said first."""
    said = getattr(failure, "orig", None) or failure.__cause__ or failure
    return f"cannot be used: {str(said).strip().splitlines()[0]}"
