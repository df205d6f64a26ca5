"""The trials of a sweep, which any number of workers share.

They are in an SQLite file, or on a PostgreSQL server for several machines. Optuna draws, runs,
reports and prunes them. What is added here makes the workers agree: each claims its next trial
under a lock, so that there are never more than were asked for, and what failed or was left by a
worker that is dead is put up again, once.
"""

import copy
import fcntl
import json
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from .space import Space, size

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
EXPECTED = "expected postgresql://<user>@<host>/<database> or sqlite:///<file>"
PATIENCE = 60  # seconds that a database may be busy or away for
UNREACHABLE = (SQLAlchemyError, StorageInternalError)
PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "none": optuna.pruners.NopPruner,
}


class Trials:
    """The trials of a sweep, made or joined.

    Args:
        url: Database that they are kept in.
        name: The sweep's name.
        settings: What all its trials have in common, which stays as it was at first.
        space: What the trials' own settings may be.
        total: How many are asked for, those that are run again not counted.
        pruner: A name in ``PRUNERS``.
        retries: How often a trial that failed is run again.
        grace: Seconds without a sign of life after which a worker is taken for dead.

    Raises:
        ValueError: If the database cannot be used, or its sweep of that name has other settings.
    """

    def __init__(
        self,
        url: URL,
        name: str,
        settings: dict[str, Any],
        space: Space,
        total: int = 50,
        pruner: str = "median",
        retries: int = 2,
        grace: int = 60,
    ) -> None:
        silence_optuna()
        self.url, self.name, self.settings = url, name, settings
        self.space, self.retries, self.total = space, retries, int(min(total, size(space)))
        try:
            with self.locked():  # workers that start at once would make the tables twice
                self.storage = Storage(url, grace)
                self.study = optuna.create_study(
                    storage=self.storage,
                    study_name=name,
                    direction=settings["direction"],
                    pruner=PRUNERS[pruner](),
                    load_if_exists=True,
                )
                self.check_settings()
        except (*UNREACHABLE, OSError, ImportError, RuntimeError) as failure:
            raise ValueError(f"storage={shown(url)!r}: {reason(failure)}") from failure

    def check_settings(self) -> None:
        """Write down what all trials have in common, or find that it was something else."""
        known = self.study.user_attrs
        for key, value in json.loads(json.dumps(self.settings, default=str)).items():
            if known.get(key, value) != value:
                has = f"the sweep of this name in {shown(self.url)} has another {key}"
                raise ValueError(f"name={self.name!r}: {has}; choose another name")
            if key not in known:
                self.study.set_user_attr(key, value)

    def close(self) -> None:
        self.storage.engine.dispose()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other workers out; the lock of a killed worker is gone with it."""
        if self.url.drivername == "sqlite":
            file = Path(f"{self.url.database}.lock")
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            return
        key = zlib.crc32(f"sweep {self.name}".encode())
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                f"set local idle_in_transaction_session_timeout = '{PATIENCE}s'"
            )
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({key})")
            yield

    def all(self) -> list[FrozenTrial]:
        """All of them, by number."""
        return self.study.get_trials(deepcopy=False)

    def prepare(self) -> bool:
        """Put up the next trial, if one is left; under the lock, under which it is taken too."""
        optuna.storages.fail_stale_trials(self.study)
        trials = latest(self.all())
        for failed in filter(self.to_retry, trials):
            self.retry(failed)
        if any(trial.state == TrialState.WAITING or self.to_retry(trial) for trial in trials):
            return True
        if len(trials) < self.total:
            self.study.enqueue_trial({})
        return len(trials) < self.total

    def to_retry(self, trial: FrozenTrial) -> bool:
        """Whether a trial failed, and may go well another time."""
        again = "final" not in trial.user_attrs and len(history(trial)) < self.retries
        return trial.state == TrialState.FAIL and again

    def retry(self, trial: FrozenTrial) -> None:
        """Put up a trial to be run again: from where it was killed, or anew where it failed."""
        again, killed = copy.deepcopy(trial), "reason" not in trial.user_attrs
        if not killed:
            again.user_attrs = {}
        RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=killed)(self.study, again)

    def put_back(self, number: int) -> None:
        """Leave a trial that was stopped to another worker, or to a later one."""
        study_id = self.storage.get_study_id_from_name(self.name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def settled(self) -> list[FrozenTrial]:
        """Those that have ended for good."""
        ended = (trial for trial in latest(self.all()) if trial.state.is_finished())
        return [trial for trial in ended if not self.to_retry(trial)]


def latest(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Trials without those that another was put up for: as many as were made without retries."""
    earlier = {number for trial in trials for number in history(trial)}
    return [trial for trial in trials if trial.number not in earlier]


def history(trial: FrozenTrial) -> list[int]:
    """Numbers of the trials that failed and that this one is run for again."""
    return RetryHeartbeatStaleTrialCallback.retry_history(trial)


def silence_optuna() -> None:
    """Keep Optuna from saying what is no news here."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    # a trial that is resumed makes some reports again
    warnings.filterwarnings("ignore", message=".*is ignored because this .* is already reported")


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
    for _ in range(PATIENCE):
        with suppress(Exception):  # each database has its own
            return dialect.connect(*arguments, **options)
        time.sleep(1)
    return dialect.connect(*arguments, **options)


def reason(failure: BaseException) -> str:
    """What a database, or what reaches it, said."""
    said = getattr(failure, "orig", None) or failure.__cause__ or failure
    return f"cannot be used: {said}".splitlines()[0]
