"""Sweeps: runs that are ordinary, the best found, and any number of workers that may be killed."""

import json
import os
import re
import shlex
import signal
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import postgres
import pytest
import yaml
from children import CONFIGS, Child, await_true, error_line, lacks
from conftest import ROOT, Command, Finished
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from outcome import checkpoint, differences, outcome, points
from sqlalchemy.exc import OperationalError

from perceptrons import figures, sweep
from perceptrons.arguments import ARGUMENTS
from perceptrons.data import Gates

XOR = f"sweep --config {CONFIGS / 'xor.yaml'} --name s"
TINY = "--data.passes 10 --trainer.max_epochs 2"
RUNS = Path("lightning_logs", "s")
SPACE = """
model.optimizer.lr: {low: 0.1, high: 10.0, log: true}
model.net.hidden: {choices: [[2], [3, 3]]}
data.passes: {low: 4, high: 12, step: 4}
seed_everything: {low: 3, high: 7}
"""
RATE = "model.optimizer.lr: {low: 0.001, high: 10.0, log: true}"
FILES = {"checkpoints", "config.yaml", "events.out", "metrics.json", "provenance.json"}
LR = "model.optimizer.lr"
PRUNERS = "choose one of median, hyperband, none"
MEASURES = "choose one of val/loss, val/accuracy, train/loss, train/accuracy"
WAYS = "expected {low: , high: } with step: or log: true, or {choices: [ , ]}"
DATABASES = "expected postgresql://<user>@<host>/<database> or sqlite:///<file>"
PAGE = (ROOT / "docs" / "sweeps.md").read_text()
SWEEPS = sorted((CONFIGS / "sweeps").glob("*.yaml"))

optuna.logging.set_verbosity(optuna.logging.ERROR)

LOCKED = (OperationalError, StorageInternalError)
STORAGES: dict[str, RDBStorage] = {}
Swept = Callable[..., Finished]


@pytest.fixture(autouse=True)
def disconnected() -> Iterator[None]:
    yield
    while STORAGES:
        STORAGES.popitem()[1].engine.dispose()


@pytest.fixture
def swept(command: Command) -> Swept:
    """Runs a sweep of a space, in this process."""

    def run(space: str, line: str = TINY) -> Finished:
        Path("space.yaml").write_text(space)
        return command(f"{XOR} --space space.yaml {line}")

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A directory with a sweep of five trials, and what it said."""
    directory = tmp_path_factory.mktemp("made")
    (directory / "space.yaml").write_text(SPACE)
    line = f"{XOR} --space space.yaml --trials 5 --trainer.max_epochs 2 --pruner none"
    ended = Child(line, directory).wait()
    assert ended.status == 0, ended
    return directory, ended


def runs_of(directory: Path, name: str = "s") -> list[Path]:
    found = (directory / "lightning_logs" / name).glob("version_*")
    return sorted(found, key=lambda run: int(run.name.removeprefix("version_")))


def file_url(directory: Path) -> str:
    return f"sqlite:///{directory / RUNS}/sweep.db?timeout=1"


def trials(url: str) -> list[FrozenTrial]:
    """The trials, as Optuna reads them from the database."""
    if url not in STORAGES:
        STORAGES[url] = RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    return optuna.load_study(study_name="s", storage=STORAGES[url]).trials


def metrics(run: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(run, "metrics.json").read_text())
    return content


def settings(run: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(Path(run, "config.yaml").read_text())
    return content


def origin(run: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(run, "provenance.json").read_text())
    return content


# what a sweep makes


def test_each_trial_is_an_ordinary_run_inside_the_space(made: tuple[Path, Finished]) -> None:
    drawn = []
    for run in runs_of(made[0]):
        assert {path.name.partition(".tfevents")[0] for path in run.iterdir()} == FILES
        given = settings(run)
        assert 0.1 <= given["model"]["optimizer"]["init_args"]["lr"] <= 10
        assert given["model"]["net"]["init_args"]["hidden"] in ([2], [3, 3])
        assert given["data"]["init_args"]["passes"] in (4, 8, 12)
        assert given["seed_everything"] in range(3, 8)
        assert metrics(run)["updates"] == 2 * given["data"]["init_args"]["passes"]
        drawn.append(json.dumps(given))
    assert len(set(drawn)) == 5


def test_a_trial_and_its_run_know_of_each_other(made: tuple[Path, Finished]) -> None:
    for number, trial in enumerate(trials(file_url(made[0]))):
        run = trial.user_attrs["run"]
        assert origin(run)["sweep"]["trial"] == trial.number == number
        assert metrics(run)["val/loss"] == trial.value
        assert settings(run)["seed_everything"] == trial.params["seed_everything"]


def test_the_best_is_named_by_a_command_that_makes_it_again(
    made: tuple[Path, Finished], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, ended = made
    by_loss = sorted(runs_of(directory), key=lambda run: float(metrics(run)["val/loss"]))
    table = re.findall(r"^\d+ .* (\S+)$", ended.out, re.M)[:5]
    assert table == [str(run.relative_to(directory)) for run in by_loss]
    (named,) = re.findall(r"^the best: perceptrons (.*)$", ended.out, re.M)
    assert named == f"fit --config {table[0]}/config.yaml"
    monkeypatch.chdir(directory)
    assert command(f"{named} --name again").status == 0
    (again,) = runs_of(directory, "again")
    assert not differences(checkpoint(again)["state_dict"], checkpoint(by_loss[0])["state_dict"])


@pytest.mark.slow
def test_the_same_sweep_again_gives_the_same_runs(
    made: tuple[Path, Finished], swept: Swept
) -> None:
    assert swept(SPACE, "--trials 5 --trainer.max_epochs 2 --pruner none").status == 0
    losses = [metrics(run)["val/loss"] for run in runs_of(Path())]
    assert losses == [metrics(run)["val/loss"] for run in runs_of(made[0])]
    assert len(set(losses)) == 5


def test_an_accuracy_is_maximised(swept: Swept) -> None:
    ended = swept(RATE, f"--trials 4 --metric val/accuracy --data.gate and {TINY}")
    shown = re.findall(r"^\d+ +(\S+) .*version_\d+$", ended.out, re.M)
    reached = [float(metrics(run)["val/accuracy"]) for run in runs_of(Path())]
    assert [float(value) for value in shown] == sorted(reached, reverse=True)
    assert len(set(reached)) > 1


def test_trials_counts_those_of_the_sweep_in_all(swept: Swept) -> None:
    for asked, there in ((2, 2), (1, 2), (3, 3)):
        ended = swept(RATE, f"--trials {asked} {TINY}")
        assert ended.status == 0
        assert "the best: " in ended.out
        assert len(runs_of(Path())) == there


def test_a_space_with_an_end_is_run_through_once(swept: Swept) -> None:
    space = "seed_everything: {low: 1, high: 2}\nmodel.net.hidden: {choices: [[2], [3]]}"
    ended = swept(space, f"--trials 20 --pruner none {TINY}")
    assert ended.status == 0
    assert "has 4 sets of values" in ended.out
    given = [settings(run) for run in runs_of(Path())]
    pairs = [(it["seed_everything"], it["model"]["net"]["init_args"]["hidden"]) for it in given]
    assert sorted(pairs) == [(1, [2]), (1, [3]), (2, [2]), (2, [3])]


def test_runs_worse_than_the_median_end_early_and_whole(swept: Swept) -> None:
    """From when five trials have come to their end on, by what their events say."""
    ended = swept(RATE, "--trials 10 --data.passes 40 --trainer.max_epochs 3")
    complete: list[list[float]] = []
    for trial in trials(file_url(Path())):
        run = Path(trial.user_attrs["run"])
        losses = [loss for update, loss in points(run)["val/loss"] if update > 0]
        bad = [
            len(complete) >= 5 and min(losses[:at]) > statistics.median(o[at - 1] for o in complete)
            for at in range(1, len(losses) + 1)
        ]
        early = True in bad[:2]  # in the last epoch there is nothing left to save
        assert len(losses) == (bad.index(True) + 1 if early else 3), trial.number
        assert metrics(run)["updates"] == 40 * len(losses)
        assert metrics(run)["val/loss"] == pytest.approx(losses[-1], rel=1e-6)
        assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
        assert trial.state == (TrialState.PRUNED if early else TrialState.COMPLETE)
        complete += [] if early else [losses]
    assert 5 <= len(complete) < 10
    counts = f"{len(complete)} complete, {10 - len(complete)} ended early, 0 failed"
    assert f"10 trials: {counts}" in ended.out
    assert not ended.err


def test_a_progress_bar_is_for_a_terminal(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not swept(RATE, f"--trials 1 {TINY}").err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "1/1" in swept(RATE, f"--trials 1 {TINY}").err


@pytest.mark.parametrize(
    ("flags", "drawn"), [("", 0), pytest.param("--figures true", 1, marks=pytest.mark.slow)]
)
def test_figures_are_drawn_where_they_are_asked_for(
    flags: str, drawn: int, swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, text = ARGUMENTS["figures"]
    monkeypatch.setitem(ARGUMENTS, "figures", (kind, True, text))  # as it is but for tests
    monkeypatch.setattr(figures, "BESIDE", {})
    assert swept(RATE, f"--trials 1 {flags} {TINY}").status == 0
    assert len(figures.BESIDE) == drawn
    figures.wait()
    (run,) = runs_of(Path())
    assert settings(run)["figures"]
    assert len(checkpoint(run)["figures"]["updates"]) == 3  # from which they can be drawn


# what fails


def test_a_loss_that_is_not_finite_fails_once_with_its_reason(swept: Swept) -> None:
    space = "model.optimizer.lr: {choices: [1.0, 1e30]}"
    ended = swept(space, f"--trials 2 --model.net.activation relu {TINY}")
    assert ended.status == 0
    by_state = {trial.state: trial for trial in trials(file_url(Path()))}
    failed = by_state[TrialState.FAIL]
    assert failed.params == {"model.optimizer.lr": "1e30"}
    assert failed.user_attrs["reason"].startswith("the loss is not finite at update")
    assert f"failed: {failed.user_attrs['reason']}" in ended.out
    assert "2 trials: 1 complete, 0 ended early, 1 failed" in ended.out


class Flaky(Gates):
    """Fails the first two times in a directory."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        failures = len(list(Path().glob("failure*")))
        if runs_of(Path()) and failures < 2:
            Path(f"failure{failures}").touch()
            raise RuntimeError("out of order")


def test_what_fails_is_run_again_with_the_same_values(swept: Swept) -> None:
    ended = swept(RATE, f"--trials 1 --data test_sweep.Flaky {TINY}")
    assert ended.status == 0
    made = trials(file_url(Path()))
    states = [TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.state for trial in made] == states
    reasons = [trial.user_attrs.get("reason", "") for trial in made]
    assert ["out of order" in reason for reason in reasons] == [True, True, False]
    assert len({trial.params["model.optimizer.lr"] for trial in made}) == 1
    assert "1 trials: 1 complete" in ended.out


def test_what_keeps_failing_is_given_up(swept: Swept) -> None:
    ended = swept(RATE, f"--trials 1 --retries 1 --data test_sweep.Flaky {TINY}")
    assert error_line(ended, 1) == "perceptrons: error: no trial came to its end"
    assert [trial.state for trial in trials(file_url(Path()))] == [TrialState.FAIL] * 2


def test_values_that_do_not_go_together_fail_their_own_trials(swept: Swept) -> None:
    space = "data.inputs: {choices: [2, 3]}\ndata.gate: {choices: ['0110', xor]}"
    assert swept(space, "--trials 4 --trainer.max_epochs 1").status == 0
    (failed,) = (it for it in trials(file_url(Path())) if it.state == TrialState.FAIL)
    assert failed.params == {"data.inputs": 3, "data.gate": "0110"}
    assert failed.user_attrs["reason"].startswith("data.gate='0110': a truth table of 3 inputs")


# what is mistaken

LINES = {
    "--trials 0": "trials=0: must be at least 1",
    "--trials many": "trials='many': expected int",
    "--trials": "--trials: expected one argument",
    "--trails 3": "--trails: no such argument; did you mean --trials?",
    "--pruner medain": f"pruner='medain': {PRUNERS}; did you mean median?",
    "--metric val/los": f"metric='val/los': {MEASURES}; did you mean val/loss?",
    "--direction up": "direction='up': choose one of minimize, maximize",
    "--name a/b": "name='a/b': must be the name of a directory, without slashes",
    "--resume last": "resume: not in a sweep, whose runs all start anew",
    "--storage mysql://a:secret@b/c": f"storage='mysql://a:***@b/c': {DATABASES}",
    "--storage here": f"storage='here': {DATABASES}",
    "--space nowhere.yaml": "space='nowhere.yaml': no such file",
    "--seed_everythin 3": "--seed_everythin: no such argument; did you mean --seed_everything?",
    f"--{LR} 1": f"{LR}: is in space.yaml already; leave out the flag",
    "--trainer.accelerator cpu --trainer.devices 2": "trainer.devices: a trial of a sweep has one"
    " process; several at once by --jobs",
    "--trainer.fast_dev_run true": "trainer.fast_dev_run: not in a sweep, which is made of whole"
    " runs",
}
SPACES = {
    f"{LR}: {{low: 3, high: 2}}": f"{LR}.low=3: is above high, which is 2",
    f"{LR}: {{low: -1.0, high: 2.0}}": f"{LR}=-1.0: Invalid learning rate: -1.0",
    f"{LR}: {{low: 0, high: 2, log: true}}": f"{LR}.low=0: must be above 0 for its logarithm",
    f"{LR}: {{low: 1e-3}}": f"{LR}.high: missing; {WAYS}",
    f"{LR}: {{low: .nan, high: 1}}": f"{LR}.low=nan: expected a number",
    f"{LR}: [1, 2]": f"{LR}=[1, 2]: {WAYS}",
    "data: {passes: {low: 1, high: 2}}": f"data.passes: no such key; {WAYS}, and names in full",
    "trainer.max_epoch: {low: 1, high: 2}": "--trainer.max_epoch: no such argument; did you mean"
    " --trainer.max_epochs?",
    "model.net.hidden: {choices: []}": "model.net.hidden.choices=[]: expected a list",
    "model.net.hidden: {choices: [[2], [2]]}": "model.net.hidden.choices: [2] is there twice",
    "model.net.hidden: {choices: [[2], [x]]}": "model.net.hidden='x': expected int",
    "seed_everything: {low: 0.5, high: 2}": "seed_everything=0.5: expected int or true or false",
    "data.passes: {low: 1, high: 10, step: 4}": "data.passes.step=4: does not lead from 1 to 10",
    "name: {choices: [a, b]}": "name: is the same in all trials",
}


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_flag_costs_one_line_and_no_run(line: str, swept: Swept) -> None:
    assert error_line(swept(RATE, line), 2) == f"perceptrons: error: {LINES[line]}"
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize("space", SPACES)
def test_a_wrong_space_costs_one_line_and_no_run(space: str, swept: Swept) -> None:
    line = f"perceptrons: error: {SPACES[space]} (in space.yaml)"
    assert error_line(swept(space), 2) == line
    assert not Path("lightning_logs").exists()


def test_another_sweep_of_the_same_name_is_refused(swept: Swept) -> None:
    assert swept(RATE, f"--trials 1 {TINY}").status == 0
    for what, space, flags in (
        ("space", RATE.replace("10.0", "9.0"), TINY),
        ("flags", RATE, TINY.replace("10", "11")),
        ("metric", RATE, f"{TINY} --metric train/loss"),
    ):
        line = error_line(swept(space, f"--trials 2 {flags}"), 2)
        assert re.search(f"name='s': the sweep of this name in .* has another {what};", line)
    assert len(runs_of(Path())) == 1


def test_without_optuna_one_line_says_what_to_install(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "find_spec", lambda name: None)
    assert error_line(swept(RATE), 2).endswith("pip install -e '.[sweep]' does it")


def test_nothing_else_needs_optuna(tmp_path: Path) -> None:
    fit = f"fit --config {CONFIGS / 'xor.yaml'} {TINY}"
    assert Child(fit, tmp_path, partial(lacks, "optuna")).wait().status == 0


# stopped, killed, shared


def at_work(child: Child, url: str) -> FrozenTrial | None:
    """The trial that a worker is in the middle of, after a report of it."""
    own = f":{child.process.pid}"
    for trial in trials(url):
        if trial.state == TrialState.RUNNING and trial.user_attrs.get("worker", "").endswith(own):
            return trial if trial.intermediate_values else None
    return None


def writable(url: str) -> bool:
    """Whether a database can be written to at once, where it is a file."""
    kind, _, rest = url.partition(":///")
    if kind != "sqlite":
        return True
    with closing(sqlite3.connect(rest.partition("?")[0], timeout=0)) as file:
        try:
            file.execute("begin immediate")
        except sqlite3.OperationalError:
            return False
    return True


def caught(children: list[Child], url: str) -> tuple[Child, FrozenTrial]:
    """A worker, suspended in the middle of a trial."""
    for child in children:
        child.wait_for("trials are done")  # to read the database would be to make its tables
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for child in children:
            assert child.process.exitcode is None, child.wait()
            os.kill(child.process.pid or 0, signal.SIGSTOP)
            with suppress(*LOCKED):  # it may be writing
                if (trial := at_work(child, url)) and writable(url):
                    return child, trial
            os.kill(child.process.pid or 0, signal.SIGCONT)
            time.sleep(0.05)
    raise AssertionError("no worker came to a trial")


def check_settled(url: str, count: int, runs: list[Path]) -> list[FrozenTrial]:
    """No trial is lost, none was run twice, and there are as many as were asked for."""
    made = trials(url)
    again = [trial.system_attrs.get("retry_history", []) for trial in made]
    assert sum(not history for history in again) == count
    given_up = {number for history in again for number in history}
    ended = [trial for trial in made if trial.number not in given_up]
    assert [trial.state for trial in ended] == [TrialState.COMPLETE] * count
    assert {Path(trial.user_attrs["run"]) for trial in ended} == {run.resolve() for run in runs}
    assert len(runs) == count
    for trial in ended:
        assert metrics(trial.user_attrs["run"])["val/loss"] == trial.value
        assert origin(trial.user_attrs["run"])["end"]
    return made


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    if not postgres.PROGRAMS:
        pytest.skip("there is no PostgreSQL server here, as of Debian's package postgresql")
    with postgres.server() as url:
        yield url


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"])
def shared(request: pytest.FixtureRequest, in_tmp: Path) -> tuple[str, str]:
    """Where two workers keep their trials: the address, and the flag for it."""
    if request.param == "sqlite":
        return file_url(in_tmp), ""
    url: str = request.getfixturevalue("database")
    return url, f"--storage {url}"


def test_a_killed_workers_trial_is_gone_on_with_by_another(
    shared: tuple[str, str], in_tmp: Path, command: Command
) -> None:
    url, flag = shared
    (in_tmp / "space.yaml").write_text(SPACE.replace("data.passes", "# "))
    line = f"{XOR} --space space.yaml --trials 4 --data.passes 300 --trainer.max_epochs 4"
    line += f" --pruner none --grace 4 {flag}"
    workers = [Child(line, in_tmp) for _ in range(2)]
    victim, trial = caught(workers, url)
    assert victim.signal(signal.SIGKILL)[0].status == -signal.SIGKILL
    (other,) = (worker for worker in workers if worker is not victim)
    ended = other.wait()
    assert ended.status == 0, ended
    assert f"trial {trial.number}: failed: its worker was killed" in ended.out
    made = check_settled(url, 4, runs_of(in_tmp))
    (failed,) = (it for it in made if it.state == TrialState.FAIL)
    (again,) = (it for it in made if it.system_attrs.get("retry_history") == [failed.number])
    assert failed.number == trial.number
    assert again.params == trial.params
    run = Path(trial.user_attrs["run"])
    assert again.user_attrs["run"] == str(run)
    assert len(origin(run)["resumed"]) == 1
    assert command(f"fit --config {run}/config.yaml --name alone").status == 0
    assert not differences(outcome(run), outcome(*runs_of(in_tmp, "alone")))


@pytest.mark.slow
def test_a_worker_that_was_suspended_too_long_gives_its_trial_up(in_tmp: Path) -> None:
    (in_tmp / "space.yaml").write_text(RATE)
    line = f"{XOR} --space space.yaml --trials 2 --data.passes 300 --trainer.max_epochs 4"
    workers = [Child(f"{line} --pruner none --grace 2", in_tmp) for _ in range(2)]
    sleeper, trial = caught(workers, file_url(in_tmp))
    (other,) = (worker for worker in workers if worker is not sleeper)
    assert other.wait().status == 0
    ended, _ = sleeper.signal(signal.SIGCONT)
    assert (ended.status, ended.err) == (0, "")
    left = Path(trial.user_attrs["run"])
    whole = [run for run in runs_of(in_tmp) if run.resolve() != left]
    check_settled(file_url(in_tmp), 2, whole)
    assert not (left / "metrics.json").exists()


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_with_what_it_was_at(in_tmp: Path, command: Command) -> None:
    (in_tmp / "space.yaml").write_text(RATE)
    line = f"{XOR} --space space.yaml --trials 1 --data.passes 2000 --trainer.max_epochs 4"
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        worker, trial = caught([Child(line, in_tmp)], file_url(in_tmp))
        os.kill(worker.process.pid or 0, signal.SIGCONT)
        ended, seconds = worker.signal(number)
        assert (ended.status, ended.err) == (status, "")
        assert "stopped; the same command goes on" in ended.out
        assert seconds < 3
        (waiting,) = (it for it in trials(file_url(in_tmp)) if it.state == TrialState.WAITING)
        assert waiting.number == trial.number
    ended = Child(line, in_tmp).wait()
    assert ended.status == 0, ended
    check_settled(file_url(in_tmp), 1, runs_of(in_tmp))
    assert len(trials(file_url(in_tmp))) == 1
    (run,) = runs_of(in_tmp)
    assert len(origin(run)["resumed"]) == 2
    assert command(f"fit --config {run}/config.yaml --name alone").status == 0
    assert not differences(outcome(run), outcome(*runs_of(in_tmp, "alone")))


def gone(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.slow
def test_jobs_are_processes_that_end_with_the_one_that_started_them(in_tmp: Path) -> None:
    (in_tmp / "space.yaml").write_text(RATE)
    line = f"{XOR} --space space.yaml --trials 1000 --jobs 2 --data.passes 400"
    parent = Child(line, in_tmp)
    parent.wait_for("trials are done")

    def workers() -> set[int]:
        with suppress(*LOCKED):
            found = [it.user_attrs.get("worker", "") for it in trials(file_url(in_tmp))]
            return {int(worker.rpartition(":")[2]) for worker in found if worker}
        return set()

    await_true(lambda: len(workers()) == 2 or parent.process.exitcode is not None)
    assert parent.process.pid not in workers()
    assert parent.signal(signal.SIGTERM)[0].status == 143
    assert all(gone(worker) for worker in workers())
    assert TrialState.RUNNING not in {trial.state for trial in trials(file_url(in_tmp))}


# what is written of it


def test_the_commands_of_the_page_run(command: Command, request: pytest.FixtureRequest) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) == 4
    for number, (program, *words) in enumerate(lines):
        assert program == "perceptrons"
        line = " ".join(words)
        if "--storage" in line:
            if not postgres.PROGRAMS:
                continue
            line = re.sub(r"postgresql://\S+", request.getfixturevalue("database"), line)
        line = re.sub(r"--jobs \d+", "--jobs 1", re.sub(r"--trials \d+", "--trials 1", line))
        assert command(f"{line} --name page{number} {TINY}").status == 0, line
        assert len(runs_of(Path(), f"page{number}")) == 1


def test_the_space_of_the_page_is_one(swept: Swept) -> None:
    (space,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    assert swept(space, "--trials 1 --trainer.max_epochs 1").status == 0


def test_every_flag_of_the_page_is_in_the_help(command: Command) -> None:
    helped = command("sweep --help").out + " ".join(f"--{name}" for name in ARGUMENTS)
    flags = set(re.findall(r"`(--\w+)", PAGE))
    assert {"--trials", "--storage", "--jobs", "--pruner", "--retries", "--grace"} <= flags
    assert [flag for flag in flags if flag not in helped] == []


@pytest.mark.parametrize("space", SWEEPS, ids=lambda path: path.stem)
def test_a_space_opens_with_its_command_and_the_result(space: Path) -> None:
    said = "".join(line.lstrip("#") for line in space.read_text().splitlines() if line[0] == "#")
    command_, arrow, result = said.partition(" -> ")
    line = f"--config configs/xor.yaml --space configs/sweeps/{space.name}"
    assert f"perceptrons sweep {line}" in command_
    assert arrow
    assert re.search(r"\d", result)
    assert f"configs/sweeps/{space.name}" in PAGE
