"""The trials of a sweep, which any number of workers share.

Optuna draws, runs, reports and prunes them. What is added here makes the workers agree: each claims
its next trial under a lock, so that there are never more than were asked for, and what failed or
was left by a worker that is dead is put up again, once.
"""

import copy
import json
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from .space import Space, size
from .storage import UNREACHABLE, Storage, locked, reason, shown

PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "none": optuna.pruners.NopPruner,
}
# what a trial that is resumed keeps of the one that was killed
KEPT = ("token", "run", "host")


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

    def locked(self) -> AbstractContextManager[None]:
        return locked(self.url, self.name)

    def all(self) -> list[FrozenTrial]:
        """All of them, by number."""
        return self.study.get_trials(deepcopy=False)

    def prepare(self) -> bool:
        """Put up the next trial, if one is left; under the lock, under which it is taken too."""
        optuna.storages.fail_stale_trials(self.study)
        for failed in self.to_retry(self.all()):
            self.retry(failed)
        trials = self.all()
        if any(trial.state == TrialState.WAITING for trial in trials):
            return True
        made = sum(not history(trial) for trial in trials)
        if made < self.total:
            self.study.enqueue_trial({})
        return made < self.total

    def to_retry(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those that failed, are to be run again, and are not put up for it yet."""
        put_up = {number for trial in trials for number in history(trial)}
        return [
            trial
            for trial in trials
            if trial.state == TrialState.FAIL
            and trial.number not in put_up
            and "final" not in trial.user_attrs
            and len(history(trial)) < self.retries
        ]

    def retry(self, trial: FrozenTrial) -> None:
        """Put up a trial to be run again: from where it was killed, or anew where it failed."""
        again, killed = copy.deepcopy(trial), "reason" not in trial.user_attrs
        known = again.user_attrs
        again.user_attrs = {key: known[key] for key in KEPT if killed and key in known}
        RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=killed)(self.study, again)

    def put_back(self, number: int) -> None:
        """Leave a trial that was stopped to another worker, or to a later one."""
        study_id = self.storage.get_study_id_from_name(self.name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def settled(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those that have ended for good."""
        again = {number for trial in trials for number in history(trial)}
        again |= {trial.number for trial in self.to_retry(trials)}
        return [it for it in trials if it.state.is_finished() and it.number not in again]


def history(trial: FrozenTrial) -> list[int]:
    """Numbers of the trials that failed and that this one is run for again."""
    return RetryHeartbeatStaleTrialCallback.retry_history(trial)


def silence_optuna() -> None:
    """Keep Optuna from saying what is no news here."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    # a trial that is resumed makes some reports again
    warnings.filterwarnings("ignore", message=".*is ignored because this .* is already reported")
