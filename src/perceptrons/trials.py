"""The trials of a sweep, which any number of workers share.

Optuna keeps the trials and draws their values. What is added here makes the workers agree: under a
lock one at a time looks for the next trial, so that there are never more than were asked for, and
what a worker leaves that was killed or has failed is taken up, once.
"""

import json
import math
import os
import platform
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from perceptrons.database import UNREACHABLE, Database, SweepError, patiently, why
from perceptrons.sampling import draw
from perceptrons.space import Choices, Range, Space, size

PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": optuna.pruners.MedianPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "none": optuna.pruners.NopPruner,
}
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
RUNNING, WAITING = TrialState.RUNNING, TrialState.WAITING


class Ended(NamedTuple):
    """How a trial ended.

    Attributes:
        value: What it reached; ``None`` where it failed.
        reason: Why it failed.
        final: Whether it would fail again.
    """

    value: float | None = None
    reason: str = ""
    final: bool = False


class Trials:
    """The trials of a sweep, made or joined.

    Args:
        database: Where they are kept.
        name: The sweep's name.
        settings: What all its trials have in common, which stays as it was at first.
        space: What the trials' own settings may be.
        pruner: A name in ``PRUNERS``.
        retries: How often a trial that failed is run again.
        grace: Seconds without a sign of life after which a worker is taken for dead.

    Raises:
        SweepError: If the database cannot be reached, or its sweep of that name has other settings.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        settings: dict[str, Any],
        space: Space,
        pruner: str,
        retries: int,
        grace: int,
    ) -> None:
        quiet()
        self.database, self.name, self.settings = database, name, settings
        self.space, self.retries, self.interval = space, retries, max(1, grace // 6)
        self.distributions = {key: distribution(each) for key, each in space.items()}
        try:
            with database.locked(name):  # workers that start at once would make the tables twice
                self.storage = database.opened(self.interval, grace)
                self.study = optuna.create_study(
                    storage=self.storage,
                    study_name=name,
                    direction=settings["direction"],
                    pruner=PRUNERS[pruner](),
                    load_if_exists=True,
                )
                self.id = self.joined()
        except (*UNREACHABLE, OSError, ImportError, RuntimeError) as failure:
            raise SweepError(f"storage={database.place!r}: {why(failure)}") from failure

    def joined(self) -> str:
        """The sweep's own id, once its settings are found to be these."""
        known = self.study.user_attrs
        for key, value in json.loads(json.dumps(self.settings, default=str)).items():
            if known.get(key, value) != value:
                raise SweepError(
                    f"name={self.name!r}: the sweep of this name in {self.database.place} has"
                    f" another {key}; choose another name"
                )
            if key not in known:
                self.study.set_user_attr(key, value)
        if "id" not in known:
            self.study.set_user_attr("id", uuid.uuid4().hex)
        return str(self.study.user_attrs["id"])

    def close(self) -> None:
        self.storage.engine.dispose()

    def all(self) -> list[FrozenTrial]:
        """All of them, by number."""
        return patiently(self.study.get_trials)

    def settled(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those that have ended for good."""
        again = {number for trial in trials for number in earlier(trial)}
        again |= {trial.number for trial in self.to_retry(trials)}
        finished = [trial for trial in trials if trial.state.is_finished()]
        return [trial for trial in finished if trial.number not in again]

    def trial_id(self, trial: optuna.Trial) -> int:
        study_id = patiently(partial(self.storage.get_study_id_from_name, self.name))
        find = self.storage.get_trial_id_from_study_id_trial_number
        return patiently(partial(find, study_id, trial.number))

    def claim(self, total: int) -> optuna.Trial | None:
        """The next trial to run, if one is left of ``total``."""
        return patiently(partial(self.claim_now, total))

    def claim_now(self, total: int) -> optuna.Trial | None:
        with self.database.locked(self.name):
            self.fail_abandoned()
            for failed in self.to_retry(self.all()):
                self.retry(failed)
            trials = self.all()
            made = [trial for trial in trials if not earlier(trial)]
            waiting = any(trial.state == WAITING for trial in trials)
            if len(made) >= total and not waiting:
                return None
            if not waiting and size(self.space) < math.inf:
                values = draw(self.space, self.distributions, trials, self.study.direction)
                self.study.enqueue_trial(values)
            # seeded by the number: a sweep made again draws the same, and no two workers do
            self.study.sampler = optuna.samplers.TPESampler(seed=len(trials))
            trial = self.study.ask(self.distributions)
            self.storage.record_heartbeat(self.trial_id(trial))
            trial.set_user_attr("worker", f"{platform.node()}:{os.getpid()}")
            return trial

    def fail_abandoned(self) -> None:
        """Fail the trials of workers that are dead."""
        optuna.storages.fail_stale_trials(self.study)
        for trial in self.all():
            if trial.state == RUNNING and "worker" not in trial.user_attrs:  # it died in a claim
                self.study.tell(trial.number, state=FAIL)

    def to_retry(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Those that failed, are to be run again, and are not put up for it yet."""
        put_up = {number for trial in trials for number in earlier(trial)}
        return [
            trial
            for trial in trials
            if trial.state == FAIL
            and trial.number not in put_up
            and "final" not in trial.user_attrs
            and len(earlier(trial)) < self.retries
        ]

    def retry(self, trial: FrozenTrial) -> None:
        """Put up a trial to be run again: from where it was killed, or anew where it failed."""
        known = trial.user_attrs
        kept = () if "reason" in known else ("run", "host", "pruned")
        trial.user_attrs = {key: known[key] for key in kept if key in known}
        trial.user_attrs["before"] = known.get("worker")
        RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(self.study, trial)

    def first_number(self, trial: optuna.Trial) -> int:
        """A trial's number, or that of the first of those that it is run again for."""
        frozen = patiently(partial(self.storage.get_trial, self.trial_id(trial)))
        return [*earlier(frozen), trial.number][0]

    def note(self, trial: optuna.Trial, **attributes: Any) -> None:
        for key, value in attributes.items():
            patiently(partial(trial.set_user_attr, key, value))

    def put_back(self, trial: optuna.Trial) -> None:
        """Leave a trial that was stopped to another worker, or a later one."""
        with suppress(UpdateFinishedTrialError, *UNREACHABLE):
            self.storage.set_trial_state_values(self.trial_id(trial), WAITING)

    def finish(self, trial: optuna.Trial, ended: Ended) -> None:
        """Record how a trial ended."""
        # where this worker was taken for dead, it is another's now
        with suppress(UpdateFinishedTrialError, ValueError):
            patiently(partial(self.tell, trial, ended))

    def tell(self, trial: optuna.Trial, ended: Ended) -> None:
        if ended.value is not None:
            pruned = "pruned" in trial.user_attrs
            self.study.tell(trial, *((None, PRUNED) if pruned else (ended.value, COMPLETE)))
            return
        trial.set_user_attr("reason", ended.reason)
        if ended.final:
            trial.set_user_attr("final", True)
        self.study.tell(trial, state=FAIL)

    def unpromising(self, trial: optuna.Trial, report: int, value: float, last: bool) -> bool:
        """Take a report of a trial; whether it is not worth going on.

        Raises:
            UpdateFinishedTrialError: If this worker was taken for dead, and the trial is another's.
        """
        try:
            trial.report(value, report)
            pruned = not last and trial.should_prune()
            if pruned:
                trial.set_user_attr("pruned", True)
        except UNREACHABLE:
            return False
        return pruned

    @contextmanager
    def alive(self, trial: optuna.Trial) -> Iterator[None]:
        """Give signs of life for a trial."""
        trial_id, over = self.trial_id(trial), threading.Event()

        def beat() -> None:
            while not over.wait(self.interval):
                with suppress(*UNREACHABLE):
                    self.storage.record_heartbeat(trial_id)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def earlier(trial: FrozenTrial) -> list[int]:
    """Numbers of the trials that failed and that this one is run for again."""
    return RetryHeartbeatStaleTrialCallback.retry_history(trial)


def distribution(each: Range | Choices) -> BaseDistribution:
    if isinstance(each, Choices):
        return CategoricalDistribution(each.labels)
    if each.whole:
        return IntDistribution(int(each.low), int(each.high), each.log, int(each.step or 1))
    return FloatDistribution(each.low, each.high, each.log, each.step)


def quiet() -> None:
    """Keep Optuna from saying what is no news here."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    # signs of life are given by `alive`
    warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used with")
    # a trial that is gone on with makes some reports again
    warnings.filterwarnings("ignore", message=".*is ignored because this .* is already reported")
