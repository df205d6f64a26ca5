"""Where a sweep keeps its trials: an SQLite file, or a PostgreSQL server for several machines."""

import fcntl
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
EXPECTED = "expected postgresql://<user>@<host>/<database> or sqlite:///<file>"
PATIENCE = 60  # seconds that a database may be busy or away for
UNREACHABLE = (SQLAlchemyError, StorageInternalError)


def address(url: str) -> URL:
    """The address of a database that workers can share, with the driver that is installed.

    Raises:
        ValueError: If it is none.
    """
    try:
        given = sqlalchemy.make_url(url)
    except (SQLAlchemyError, ValueError) as error:
        raise ValueError(f"storage={url!r}: {EXPECTED}") from error
    if given.drivername not in DRIVERS or given.database in (None, "", ":memory:"):
        raise ValueError(f"storage={str(given)!r}: {EXPECTED}")
    return given.set(drivername=DRIVERS[given.drivername])


def shown(url: URL) -> str:
    """An address without its driver and its password."""
    return str(url.set(drivername=url.drivername.partition("+")[0]))


class Storage(RDBStorage):
    """Optuna's storage, with signs of life that leave no gap.

    Optuna takes a worker for dead where its last sign of life is too old, but not where there was
    none: killed before it, a worker would leave its trial running for ever.

    Args:
        url: The database.
        grace: Seconds without a sign of life after which a worker is taken for dead.
    """

    def __init__(self, url: URL, grace: int) -> None:
        timeout = {"timeout": PATIENCE} if url.drivername == "sqlite" else {}
        super().__init__(
            url.render_as_string(hide_password=False),
            {"pool_pre_ping": True, "connect_args": timeout},
            heartbeat_interval=max(1, grace // 6),
            grace_period=grace,
        )
        # the first connection has shown that there is a database: from now on it is waited for
        sqlalchemy.event.listen(self.engine, "do_connect", connect_patiently)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state == TrialState.RUNNING:
            self.record_heartbeat(trial_id)
        return super().set_trial_state_values(trial_id, state, values)

    def record_heartbeat(self, trial_id: int) -> None:
        with suppress(*UNREACHABLE):  # or the thread that gives signs of life would end
            super().record_heartbeat(trial_id)


def connect_patiently(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
    """Connect to a database, which may be away for some time."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return dialect.connect(*arguments, **options)
        except Exception:  # each database has its own
            if time.monotonic() > end:
                raise
        time.sleep(1)


@contextmanager
def locked(url: URL, name: str) -> Iterator[None]:
    """Keep the other workers of a sweep out; the lock of a killed worker is gone with it."""
    if url.drivername == "sqlite":
        file = Path(f"{url.database}.lock")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        for line in (
            f"set local idle_in_transaction_session_timeout = '{PATIENCE}s'",
            f"select pg_advisory_xact_lock({zlib.crc32(f'sweep {name}'.encode())})",
        ):
            connection.execute(sqlalchemy.text(line))
        yield


def reason(failure: BaseException) -> str:
    """What a database, or what reaches it, said."""
    said = getattr(failure, "orig", None) or failure.__cause__ or failure
    return f"cannot be used: {said}".splitlines()[0]
