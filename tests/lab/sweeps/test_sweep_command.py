"""``perceptrons sweep``: trials that are ordinary runs, what is wrong in one line, the page."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import postgres
import pytest
import torch
import yaml
from conftest import CONFIGS, ROOT, Command, Finished
from fake_worker import await_true
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from subject import Classifier, Gates
from torchmetrics.classification import BinaryF1Score

from perceptrons.lab.cli.errors import PACKAGE
from perceptrons.lab.sweeps import main, runner

XOR = f"sweep --config {CONFIGS / 'xor.yaml'} --name s"
TINY = "--data.passes 10 --trainer.max_epochs 2"
RUNS = Path("lightning_logs", "s")
RATE = "model.optimizer.lr: {low: 0.001, high: 10.0, log: true}"
LR = "model.optimizer.lr"
DATABASES = "expected postgresql://<user>@<host>/<database> or sqlite:///<file>"
LOGGED = "is not logged; logged are train/accuracy, train/loss, val/accuracy, val/loss"

Swept = Callable[..., Finished]


@pytest.fixture
def swept(command: Command) -> Swept:
    """Runs a sweep of a space, in this process."""

    def run(space: str, line: str = TINY) -> Finished:
        Path("space.yaml").write_text(space)
        return command(f"{XOR} --space space.yaml {line}")

    return run


@pytest.fixture
def trials() -> Iterator[Callable[[], list[FrozenTrial]]]:
    """The trials, as Optuna reads them from the database."""
    storages: list[RDBStorage] = []

    def read() -> list[FrozenTrial]:
        if not storages:
            storages.append(RDBStorage(f"sqlite:///{RUNS}/sweep.db"))
        return optuna.load_study(study_name="s", storage=storages[0]).trials

    yield read
    for storage in storages:
        storage.engine.dispose()


def runs_of(name: str = "s") -> list[Path]:
    found = Path("lightning_logs", name).glob("version_*")
    return sorted(found, key=lambda run: int(run.name.removeprefix("version_")))


def read(run: str | Path, file: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(Path(run, file).read_text())
    return content


def weights(run: str | Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(Path(run, "checkpoints", "last.ckpt"), weights_only=True)
    found: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return found


def same_weights(run: Path, other: Path) -> bool:
    pairs = zip(weights(run).values(), weights(other).values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_trials_are_ordinary_runs_and_the_best_is_made_again_by_its_command(
    swept: Swept, command: Command, trials: Callable[[], list[FrozenTrial]]
) -> None:
    space = (
        f"{LR}: {{low: 0.1, high: 10.0, log: true}}\nmodel.net.hidden: {{choices: [[2], [3, 3]]}}"
    )
    ended = swept(space, f"--trials 3 --pruner none {TINY}")
    assert (ended.status, ended.err) == (0, "")
    for number, (trial, run) in enumerate(zip(trials(), runs_of(), strict=True)):
        given = read(run, "config.yaml")["model"]["init_args"]
        assert given["optimizer"]["init_args"]["lr"] == trial.params[LR]
        assert given["net"]["init_args"]["hidden"] == json.loads(trial.params["model.net.hidden"])
        assert read(run, "metrics.json")["val/loss"] == trial.value
        record = read(run, "provenance.json")
        assert record["sweep"]["trial"] == trial.number == number
        assert record["end"]
    table = re.findall(r"^ *(\d) .* s/version_(\d)", ended.out, re.M)
    by_loss = sorted(trials(), key=lambda trial: trial.value or 0.0)
    assert [int(number) for number, _ in table] == [trial.number for trial in by_loss]
    (best,) = re.findall(rf"^the best: {PACKAGE} (.*)$", ended.out, re.M)
    assert command(f"{best} --name again").status == 0
    (again,) = runs_of("again")
    assert same_weights(again, RUNS / f"version_{table[0][1]}")


def test_the_table_fits_the_terminal(swept: Swept) -> None:
    space = (
        f"{RATE}\nmodel.bias_lr_factor: {{low: 0.5, high: 2.0}}\ndata.passes: {{low: 2, high: 9}}"
    )
    out = swept(space, "--trials 2 --trainer.max_epochs 1").out
    table = out[out.index("\n\n") :]
    assert "bias_lr_factor" in table
    assert max(map(len, table.splitlines())) <= 80


def test_a_small_space_is_run_through_once(swept: Swept) -> None:
    space = "seed_everything: {low: 1, high: 2}\nmodel.net.hidden: {choices: [[2], [3]]}"
    assert swept(space, f"--trials 20 --pruner none {TINY}").status == 0
    given = [read(run, "config.yaml") for run in runs_of()]
    hidden = [each["model"]["init_args"]["net"]["init_args"]["hidden"] for each in given]
    pairs = [(each["seed_everything"], h) for each, h in zip(given, hidden, strict=True)]
    assert sorted(pairs) == [(1, [2]), (1, [3]), (2, [2]), (2, [3])]


def test_bad_trials_are_pruned_and_whole(
    swept: Swept, trials: Callable[[], list[FrozenTrial]]
) -> None:
    ended = swept(RATE, "--trials 9 --data.passes 40 --trainer.max_epochs 3")
    pruned = [trial for trial in trials() if trial.state == TrialState.PRUNED]
    assert pruned
    assert f"9 trials: {9 - len(pruned)} complete, {len(pruned)} pruned, 0 failed" in ended.out
    for trial in pruned:
        assert trial.number >= 5
        assert trial.last_step in (1, 2)  # in the last epoch there is nothing left to save
        run = trial.user_attrs["run"]
        assert read(run, "metrics.json")["updates"] == 40 * trial.last_step
        assert Path(run, "checkpoints", "last.ckpt").is_file()


class F1Classifier(Classifier):
    """Logs a metric of its own."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.f1 = BinaryF1Score()

    def on_train_epoch_end(self) -> None:
        x, y = self.trainer.datamodule.split["train"][:2]  # type: ignore[attr-defined]
        self.log("own/f1", self.f1(self(x).sigmoid(), y))


def test_any_metric_that_is_logged_can_be_maximised(
    swept: Swept, trials: Callable[[], list[FrozenTrial]]
) -> None:
    module = f"--model {__name__}.F1Classifier --model.net MLP --model.net.hidden [2]"
    ended = swept(RATE, f"--trials 2 {module} --monitor own/f1 --mode max --pruner none {TINY}")
    assert ended.status == 0, ended
    for trial in trials():
        assert read(trial.user_attrs["run"], "metrics.json")["own/f1"] == trial.value
        assert len(trial.intermediate_values) == 2
    shown = [float(each) for each in re.findall(r"^ *\d  +(\S+)  s/version", ended.out, re.M)]
    assert shown == sorted(shown, reverse=True)


def test_a_loss_that_is_not_finite_fails_once_with_its_reason(
    swept: Swept, trials: Callable[[], list[FrozenTrial]]
) -> None:
    space = f"{LR}: {{choices: [1.0, 1.0e+30]}}"
    ended = swept(space, f"--trials 2 --model.net.activation relu {TINY}")
    assert ended.status == 0
    (failed,) = (trial for trial in trials() if trial.state == TrialState.FAIL)
    assert failed.params == {LR: 1e30}
    assert failed.user_attrs["reason"].startswith("the loss is not finite at update")
    assert "2 trials: 1 complete, 0 pruned, 1 failed" in ended.out


class NaNClassifier(Classifier):
    """Logs a metric that is not a number."""

    def on_train_epoch_end(self) -> None:
        self.log("own/f1", float("nan"))


def test_a_metric_that_is_no_number_fails_once_with_its_reason(
    swept: Swept, trials: Callable[[], list[FrozenTrial]]
) -> None:
    module = f"--model {__name__}.NaNClassifier --model.net MLP --model.net.hidden [2]"
    ended = swept(RATE, f"--trials 1 {module} --metric own/f1 --mode max --pruner none {TINY}")
    assert "1 trials: 0 complete, 0 pruned, 1 failed" in ended.out
    (failed,) = trials()
    assert failed.user_attrs["reason"] == "metric='own/f1': nan is not a number"


def test_a_trial_whose_run_was_over_when_its_worker_ended_gives_what_the_run_measured(
    command: Command,
) -> None:
    assert command(f"fit --config {CONFIGS / 'xor.yaml'} --name s {TINY}").status == 0
    value = runner.run(None, "val/loss", ["fit", "--resume", str(RUNS / "version_0")])
    assert value == read(RUNS / "version_0", "metrics.json")["val/loss"]


@pytest.mark.parametrize("stopped", [False, True])
def test_a_trial_that_ends_by_itself_is_not_pruned(stopped: bool) -> None:
    pruner = SimpleNamespace(report=lambda *_: None, should_prune=lambda: True)
    watch = runner.Watch("val/loss", pruner, "s")  # type: ignore[arg-type]
    progress = {"current_epoch": 3, "max_epochs": 30, "max_steps": -1, "global_step": 5}
    trainer: Any = SimpleNamespace(
        callback_metrics={"val/loss": torch.tensor(1.0)}, should_stop=stopped, **progress
    )
    watch.on_train_epoch_end(trainer, None)
    assert watch.pruned is not stopped
    assert trainer.should_stop


class Flaky(Gates):
    """Fails the first time that a run begins in a directory."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if runs_of() and not Path("failed").exists():
            Path("failed").touch()
            raise RuntimeError("out of order")


def test_what_fails_by_the_machine_is_run_again(
    swept: Swept, trials: Callable[[], list[FrozenTrial]]
) -> None:
    ended = swept(RATE, f"--trials 1 --data {__name__}.Flaky {TINY}")
    assert ended.status == 0, ended
    assert [trial.state.name for trial in trials()] == ["FAIL", "COMPLETE"]
    assert "out of order" in trials()[0].user_attrs["reason"]


LINES = {
    "--trials 0": "--trials: '0': must be from 1 to 1000000",
    "--trials many": "--trials: 'many': must be from 1 to 1000000",
    "--grace 99999999999999999999": "--grace: '99999999999999999999': must be from 2 to 86400",
    "--pruner medain": "--pruner: invalid choice: 'medain' (choose from 'median', 'hyperband',"
    " 'none'); did you mean median?",
    "--metric val/los --mode min": f"metric='val/los': {LOGGED}; did you mean val/loss?",
    "--metric val/f1": "mode: missing; is val/f1 to be low or high? --mode min or --mode max",
    "--mode up": "--mode/--direction: invalid choice: 'up' (choose from 'min', 'max',"
    " 'minimize', 'maximize')",
    "--name a/b": "name='a/b': must be the name of a directory, without slashes, and no dot first",
    "--resume last": "resume: not in a sweep, whose trials are whole runs from the start",
    "--seeds 3": "seeds=3: a study is not swept; leave seeds out",
    "--config study.yaml": "folds=2: a study is not swept; leave folds out",
    "--storage mysql://a:secret@b/c": f"storage='mysql://a:***@b/c': {DATABASES}",
    "--storage here": f"storage='here': {DATABASES}",
    "--space nowhere.yaml": "space='nowhere.yaml': no such file",
    f"--{LR} 1": f"{LR}: is in space.yaml already; leave out the flag",
}


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_flag_costs_one_line_and_no_run(line: str, swept: Swept) -> None:
    Path("study.yaml").write_text("folds: 2")
    ended = swept(RATE, line)
    assert (ended.status, ended.err) == (2, f"error: {LINES[line]}\n")
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize(
    ("space", "line"),
    [
        (
            "trainer.max_epoch: {low: 1, high: 2}",
            r"trainer\.max_epoch: .*did you mean \S*max_epochs",
        ),
        (f"{LR}: {{low: -1.0, high: 2.0}}", r"learning rate: -1\.0"),
        (
            "model.net.hidden: {choices: [[2], [x]]}",
            r"model\.net\.hidden.*'?x'?.*\(in space.yaml\)",
        ),
    ],
)
def test_a_wrong_end_of_a_range_costs_one_line_and_no_run(
    space: str, line: str, swept: Swept
) -> None:
    ended = swept(space)
    assert ended.status == 2
    assert re.search(line, ended.err), ended.err
    assert ended.err.count("\n") == 1
    assert not Path("lightning_logs").exists()


def test_a_database_that_cannot_be_reached_costs_one_line(swept: Swept) -> None:
    ended = swept(RATE, "--storage postgresql://me@/x?host=/nowhere")
    assert ended.status == 2
    assert re.match(r"error: storage='postgresql://me@/x.*': cannot be used: ", ended.err)
    assert ended.err.count("\n") == 1


def test_without_optuna_one_line_says_what_to_install(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "find_spec", lambda name: None)
    ended = swept(RATE)
    assert ended.status == 2
    assert ended.err == "error: sweep: Optuna is not installed; pip install -e '.[sweep]' does it\n"


def process(line: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", PACKAGE, *line.split()]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_stopped_sweep_resumes_its_trial_to_the_same_weights(
    in_tmp: Path, command: Command, trials: Callable[[], list[FrozenTrial]]
) -> None:
    Path("space.yaml").write_text(RATE)
    line = f"{XOR} --space space.yaml --trials 1 --data.passes 2000 --trainer.max_epochs 3"
    worker = process(line)
    await_true(lambda: (RUNS / "version_0" / "checkpoints" / "last.ckpt").exists())
    time.sleep(0.2)  # into the second epoch
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=60)
    assert (worker.returncode, err) == (143, "")
    assert "stopped; the same command resumes the sweep" in out
    assert [trial.state for trial in trials()] == [TrialState.WAITING]
    assert command(line).status == 0
    (run,) = runs_of()
    assert len(read(run, "provenance.json")["resumed"]) == 1
    assert command(f"fit --config {run}/config.yaml --name alone").status == 0
    assert same_weights(run, *runs_of("alone"))


@pytest.mark.slow
def test_jobs_are_processes_that_end_with_the_one_that_started_them(in_tmp: Path) -> None:
    Path("space.yaml").write_text(RATE)
    line = f"{XOR} --space space.yaml --trials 1000 --jobs 2 --data.passes 400"
    parent = process(line)
    await_true(lambda: len(runs_of()) > 2 or parent.poll() is not None)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.kill()
    parent.communicate(timeout=60)
    assert len(children) == 2
    await_true(lambda: not any(alive(int(child)) for child in children))


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


# what is written of it


@pytest.fixture(scope="module")
def page() -> str:
    path = ROOT / "docs" / "sweeps.md"
    return path.read_text() if path.exists() else pytest.skip("the page is the template's")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    if not postgres.PROGRAMS:
        pytest.skip("there is no PostgreSQL server here, as of Debian's package postgresql")
    with postgres.server() as url:
        yield url


def test_the_commands_of_the_page_run(
    page: str, command: Command, request: pytest.FixtureRequest
) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)
    lines = [
        shlex.split(line) for block in blocks for line in block.replace("\\\n", "").splitlines()
    ]
    assert len(lines) == 5
    for number, (program, *words) in enumerate(lines):
        assert program == PACKAGE
        line = " ".join(words)
        if "--storage" in line:
            url = request.getfixturevalue("database")
            line = re.sub(r"postgresql://\S+", url, line)
        line = re.sub(r"--(jobs|trials) \d+", "", line)
        ended = command(f"{line} --trials 1 --name page{number} {TINY}")
        assert ended.status == 0, ended
        assert len(runs_of(f"page{number}")) == 1


def test_the_space_of_the_page_is_one(page: str, swept: Swept) -> None:
    (space,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    assert swept(space, "--trials 1 --trainer.max_epochs 1").status == 0


def test_every_flag_of_the_page_is_in_the_help(page: str, command: Command) -> None:
    helped = command("sweep --help").out + "--figures --resume"
    flags = set(re.findall(r"`(--\w+)", page))
    assert {"--trials", "--storage", "--jobs", "--pruner", "--retries", "--grace"} <= flags
    assert [flag for flag in flags if flag not in helped] == []


@pytest.mark.parametrize(
    "space", sorted((CONFIGS / "sweeps").glob("*.yaml")), ids=lambda it: it.stem
)
def test_a_space_opens_with_its_command_and_the_result(page: str, space: Path) -> None:
    said = "".join(line.lstrip("#") for line in space.read_text().splitlines() if line[0] == "#")
    command_, arrow, result = said.partition(" -> ")
    line = f"--config configs/xor.yaml --space configs/sweeps/{space.name}"
    assert f"perceptrons sweep {line}" in command_
    assert arrow
    assert re.search(r"\d", result)
    assert f"configs/sweeps/{space.name}" in page
