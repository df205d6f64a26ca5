"""Any number of workers share a sweep: they may race, be killed and be suspended."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import postgres
import pytest
from fake_worker import SPACE, await_true, ended, joined, started
from optuna.trial import FrozenTrial, TrialState

from perceptrons.lab.sweeps.runner import FailedError, Watch
from perceptrons.lab.sweeps.standings import Standings
from perceptrons.lab.sweeps.trials import Trials, history
from perceptrons.lab.sweeps.worker import Worker

STATES = (TrialState.COMPLETE, TrialState.FAIL)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    if not postgres.PROGRAMS:
        pytest.skip("there is no PostgreSQL server here, as of Debian's package postgresql")
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/sweep.db"
    made: str = request.getfixturevalue("server")
    return made


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweep.db"


@pytest.fixture
def trials(url: str) -> Iterator[Trials]:
    """The sweep, as one sees it who does not work; it has a name of its own in each test."""
    with closing(joined(url)) as made:
        yield made
        if not url.startswith("sqlite"):
            import optuna

            optuna.delete_study(study_name="s", storage=made.storage)


def settled(trials: Trials, count: int) -> list[FrozenTrial]:
    """All trials, once it is found that none is lost and there are as many as were asked for."""
    every = trials.all()
    assert [trial.state for trial in trials.settled()] == [TrialState.COMPLETE] * count
    assert sum(not history(trial) for trial in every) == count
    return every


def commands(directory: Path) -> list[tuple[int, list[str]]]:
    """Number and words of each command that was run."""
    return [tuple(json.loads(line)) for line in (directory / "log").read_text().splitlines()]


def running(trials: Trials) -> FrozenTrial | None:
    """A trial in the middle of its run."""
    every = (trial for trial in trials.all() if trial.state == TrialState.RUNNING)
    return next((trial for trial in every if trial.intermediate_values), None)


def test_workers_that_race_run_each_trial_once_and_none_too_many(
    url: str, trials: Trials, tmp_path: Path
) -> None:
    workers = [started(url, tmp_path, total=7) for _ in range(3)]
    assert [ended(worker) for worker in workers] == [0, 0, 0]
    settled(trials, 7)
    assert Counter(number for number, _ in commands(tmp_path)) == dict.fromkeys(range(7), 1)
    assert len({trial.params["x"] for trial in trials.all()}) == 7


def test_a_killed_workers_trial_is_resumed_by_another(
    url: str, trials: Trials, tmp_path: Path
) -> None:
    victim = started(url, tmp_path, grace=2)
    await_true(lambda: running(trials))
    os.kill(victim.pid or 0, signal.SIGKILL)
    assert ended(victim) == -signal.SIGKILL
    left = next(trial for trial in trials.all() if trial.state == TrialState.RUNNING)
    assert ended(started(url, tmp_path, grace=2)) == 0
    every = settled(trials, 4)
    (again,) = (trial for trial in every if history(trial) == [left.number])
    assert again.params == left.params
    assert ["fit", "--resume", left.user_attrs["run"]] in [words for _, words in commands(tmp_path)]
    assert again.user_attrs["run"] == left.user_attrs["run"]


def test_a_worker_killed_before_its_first_sign_of_life_leaves_nothing_running(
    url: str, trials: Trials, tmp_path: Path
) -> None:
    assert ended(started(url, tmp_path, dies_in_claim=True, grace=2)) == -signal.SIGKILL
    assert [trial.state for trial in trials.all()] == [TrialState.RUNNING]
    assert ended(started(url, tmp_path, grace=2)) == 0
    settled(trials, 4)


def test_a_worker_suspended_too_long_gives_its_trial_up(
    url: str, trials: Trials, tmp_path: Path
) -> None:
    sleeper = started(url, tmp_path, total=2, grace=2)
    await_true(lambda: running(trials))
    os.kill(sleeper.pid or 0, signal.SIGSTOP)
    assert ended(started(url, tmp_path, total=2, grace=2)) == 0
    os.kill(sleeper.pid or 0, signal.SIGCONT)
    assert ended(sleeper) == 0
    settled(trials, 2)


def test_a_worker_asked_to_end_puts_its_trial_back(file: str, tmp_path: Path) -> None:
    def stop(words: list[str], watch: Watch) -> float:
        watch.begin(tmp_path)
        raise SystemExit(143)

    with closing(joined(file)) as trials, pytest.raises(SystemExit):
        Worker(trials, ["fit"], stop, Standings(trials)).work()
    with closing(joined(file)) as trials:
        (trial,) = trials.all()
        assert trial.state == TrialState.WAITING
        assert trial.params


class Fails:
    """A run that fails the first times."""

    def __init__(self, times: int, **how: Any) -> None:
        self.left, self.how = times, how

    def __call__(self, words: list[str], watch: Watch) -> float:
        self.left -= 1
        if self.left >= 0:
            raise FailedError("out of order", **self.how)
        return 1.0


@pytest.mark.parametrize(
    ("run", "states"),
    [
        (Fails(2), "FAIL FAIL COMPLETE"),
        (Fails(9), "FAIL FAIL FAIL"),
        (Fails(1, final=True), "FAIL"),
    ],
    ids=["again", "given up", "final"],
)
def test_what_fails_is_run_again_so_often(run: Fails, states: str, file: str) -> None:
    with closing(joined(file, total=1, retries=2)) as trials:
        Worker(trials, ["fit"], run, Standings(trials)).work()
        every = trials.all()
        assert [trial.state.name for trial in every] == states.split()
        assert len({trial.params["x"] for trial in every}) == 1
        assert {it.user_attrs.get("reason") for it in every} >= {"out of order"}


def test_a_sweep_keeps_what_its_trials_have_in_common(file: str) -> None:
    joined(file).close()
    other = {"metric": "val/f1", "direction": "minimize"}
    with pytest.raises(ValueError, match=r"^name='s': the sweep .* has another metric; choose"):
        Trials(joined(file).url, "s", other, SPACE)


def test_more_trials_are_made_where_more_are_asked_for_later(file: str, tmp_path: Path) -> None:
    for asked, there in ((2, 2), (1, 2), (3, 3)):
        with closing(joined(file, total=asked)) as trials:
            Worker(trials, ["fit"], lambda *_: 1.0, Standings(trials)).work()
            settled(trials, there)
