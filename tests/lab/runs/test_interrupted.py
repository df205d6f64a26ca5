"""Interrupted equals uninterrupted: killed or stopped at any moment, and resumed."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from children import (
    PATIENCE,
    Child,
    Prepare,
    error_line,
    killed_at_call,
    killed_at_save,
)
from conftest import CONFIGS, Command, Finished
from lightning.pytorch.callbacks import Callback
from run_outcome import checkpoint, differences, outcome, points

from perceptrons.data import Gates
from perceptrons.lab.data.loader import Rows, TableLoader

RUN = Path("lightning_logs", "r", "version_0")
FILE = RUN / "checkpoints" / "last.ckpt"
FIT = f"fit --name r --config {CONFIGS}"
RESUME = f"fit --resume {RUN} --trust test_interrupted"
KILLED = -signal.SIGKILL
STAGES = ("half written", "before", "after")
STATUS: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}
SECONDS = 10.0  # within which a process that is asked to end does
TRAINED = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "random", "loops")
# what the quick runs in this process add to their config
SHORT = "--data.passes 20 --trainer.max_epochs 2"
EVALUATIONS = ("validate", "test", "predict")

both_signals = pytest.mark.parametrize(
    "number", STATUS, ids=lambda number: signal.Signals(number).name
)


class Draws(Callback):
    """Draws from every global generator at the end of each epoch."""

    def __init__(self) -> None:
        self.drawn: list[list[float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.drawn.append([random.random(), float(np.random.rand()), torch.rand(()).item()])

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self.drawn}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.drawn = state_dict["drawn"]


class SlowLoader(TableLoader):
    """Hands out a batch, and then nothing for longer than any test waits."""

    def __iter__(self) -> Iterator[Rows]:
        for batch in super().__iter__():
            yield batch
            print("waiting")
            time.sleep(2 * PATIENCE)


class SlowToTrain(Gates):
    def train_dataloader(self) -> TableLoader:
        return SlowLoader(self.on_device("train"), passes=2)


class SlowToEvaluate(Gates):
    def val_dataloader(self) -> dict[str, TableLoader]:
        return {"val": SlowLoader(self.on_device("val"), passes=2)}

    def test_dataloader(self) -> TableLoader:
        return SlowLoader(self.on_device("test"), passes=2)

    def predict_dataloader(self) -> TableLoader:
        return SlowLoader((self.predicted,), passes=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run of two epochs."""
    directory = tmp_path_factory.mktemp("made")
    assert Child(f"{FIT}/xor.yaml {SHORT}", directory).wait().status == 0
    return directory


@pytest.fixture
def run(made: Path, in_tmp: Path) -> Path:
    """A run of two epochs in the test's own directory."""
    shutil.copytree(made / "lightning_logs", in_tmp / "lightning_logs")
    return RUN


# killed with kill -9, and resumed

CASES = {
    "full batch": "xor.yaml --data.passes 60 --trainer.max_epochs 8",
    "Adam, StepLR": "xor.yaml --data.passes 30 --trainer.max_epochs 8 --data.shuffle true"
    " --data.batch_size 3 --model.optimizer Adam --model.optimizer.lr 0.05"
    " --model.scheduler StepLR --model.scheduler.step_size 100 --model.scheduler.gamma 0.9",
}


def at_random(moments: random.Random, reports: int) -> Prepare:
    return killed_at_call(moments.randint(1, reports), moments.randint(1, 10_000))


def at_a_save(moments: random.Random, saves: int) -> Prepare:
    name = moments.choice(["best.ckpt", "last.ckpt"])
    return killed_at_save(name, moments.randint(1, saves), moments.choice(STAGES))


def directories(parent: Path, *names: str) -> list[Path]:
    made = [parent / name for name in names]
    for directory in made:
        directory.mkdir()
    return made


def ends(*children: Child) -> list[int]:
    return [child.wait().status for child in children]


@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_and_resumed_ends_as_if_never_stopped(case: str, tmp_path: Path) -> None:
    fit, moments = f"{FIT}/{CASES[case]}", random.Random(case)
    whole, one, other = directories(tmp_path, "whole", "one", "other")
    uninterrupted = Child(fit, whole)
    first = Child(fit, one, at_random(moments, 4)), Child(fit, other, at_a_save(moments, 5))
    assert ends(*first) == [KILLED, KILLED]
    assert ends(Child(RESUME, one, at_random(moments, 2)), Child(RESUME, other)) == [KILLED, 0]
    assert ends(Child(RESUME, one), uninterrupted) == [0, 0]
    for killed in (one, other):
        assert not differences(outcome(whole / RUN), outcome(killed / RUN))


def test_a_run_killed_before_its_first_checkpoint_starts_anew_and_says_so(tmp_path: Path) -> None:
    fit = f"{FIT}/{CASES['full batch']}"
    whole, killed = directories(tmp_path, "whole", "killed")
    uninterrupted, early = Child(fit, whole), Child(fit, killed, killed_at_call(1, 3000))
    assert ends(uninterrupted, early) == [0, KILLED]
    resumed = Child(RESUME, killed).wait()
    assert resumed.out.splitlines()[0].endswith("has no checkpoint yet: it starts anew")
    assert not differences(outcome(whole / RUN), outcome(killed / RUN))


def test_a_run_killed_before_its_settings_were_written_is_none(tmp_path: Path) -> None:
    died = Child(f"{FIT}/xor.yaml", tmp_path, killed_at_save("config.yaml", 1, "half written"))
    assert died.wait().status == KILLED
    resumed, listed = Child("fit --resume last", tmp_path), Child("runs", tmp_path)
    assert "resume='last': no such run" in error_line(resumed.wait(), 2)
    assert listed.wait().out == "no runs in lightning_logs\n"


def test_nothing_half_written_is_left_once_a_killed_run_has_ended(tmp_path: Path) -> None:
    fit = f"{FIT}/xor.yaml {SHORT}"
    assert Child(fit, tmp_path, killed_at_save("last.ckpt", 2, "before")).wait().status == KILLED
    assert Child(RESUME, tmp_path).wait().status == 0
    left = {path.name for path in (tmp_path / RUN / "checkpoints").iterdir()}
    assert left == {"best.ckpt", "last.ckpt"}


# stopped by Ctrl-C and by SIGTERM

LONG = (
    f"{FIT}/xor.yaml --data.passes 10000000 --data.shuffle true --data.batch_size 3"
    " --model.optimizer Adam --model.optimizer.lr 0.01"
)


def trained(run: Path) -> dict[str, Any]:
    content = checkpoint(run)
    return {name: content[name] for name in TRAINED}


def stop_training(number: int, directory: Path, line: str = LONG) -> tuple[Finished, int]:
    """Stop a run inside its first epoch; how it ends, and after how many updates."""
    child = Child(line, directory)
    child.wait_for("epoch")
    time.sleep(0.2)
    finished, seconds = child.signal(number)
    assert finished.status == STATUS[number]
    assert seconds < SECONDS
    return finished, checkpoint(directory / RUN)["global_step"]


def test_the_program_itself_ends_with_the_status_of_ctrl_c(tmp_path: Path) -> None:
    module = [sys.executable, "-u", "-m", "perceptrons", *LONG.split()]
    with subprocess.Popen(
        module, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        while "epoch" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert (tmp_path / RUN / "checkpoints" / "last.ckpt").exists()


@both_signals
def test_a_stopped_run_saves_its_last_update_and_goes_on_with_the_next(
    number: int, tmp_path: Path
) -> None:
    stopped, same, further = directories(tmp_path, "stopped", "same", "further")
    finished, updates = stop_training(number, stopped)
    assert updates > 1
    assert f"stopped after update {updates}; to resume:" in finished.out
    assert f"perceptrons fit --resume {RUN}" in finished.out
    assert json.loads((stopped / RUN / "metrics.json").read_text())["updates"] == updates
    at_stop = trained(stopped / RUN)
    more = f"--trainer.max_steps {updates + 100}"
    short, longer = f"{LONG} --trainer.max_steps {updates}", f"{LONG} {more}"
    resumed = Child(f"{RESUME} {more}", stopped)
    assert ends(Child(short, same), Child(longer, further), resumed) == [0, 0, 0]
    without_loops = at_stop | {"loops": None}, trained(same / RUN) | {"loops": None}
    assert not differences(*without_loops)  # which know that max_steps ends an epoch
    assert not differences(outcome(further / RUN), outcome(stopped / RUN))


def test_a_stopped_run_says_nothing_that_is_no_news(tmp_path: Path) -> None:
    finished, _ = stop_training(signal.SIGTERM, tmp_path)
    assert finished.err == ""


def test_a_run_that_accumulates_gradients_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    accumulated = f"{LONG} --trainer.accumulate_grad_batches 50"
    whole, stopped = directories(tmp_path, "whole", "stopped")
    _, updates = stop_training(signal.SIGTERM, stopped, accumulated)
    end = f"--trainer.max_steps {updates + 10}"
    assert ends(Child(f"{accumulated} {end}", whole), Child(f"{RESUME} {end}", stopped)) == [0, 0]
    assert not differences(trained(whole / RUN), trained(stopped / RUN))


@both_signals
def test_a_second_signal_does_not_wait_for_the_update(number: int, tmp_path: Path) -> None:
    child = Child(f"{LONG} --data test_interrupted.SlowToTrain", tmp_path)
    child.wait_for("waiting")
    finished, seconds = child.signal(number, number)
    assert finished.status == STATUS[number]
    assert seconds < SECONDS
    assert "Traceback" not in finished.err


@pytest.mark.parametrize("verb", EVALUATIONS)
def test_a_signal_ends_what_is_not_training_at_once(verb: str, tmp_path: Path) -> None:
    line = f"{verb} --config {CONFIGS}/xor.yaml --data test_interrupted.SlowToEvaluate"
    for number, child in [(number, Child(line, tmp_path)) for number in STATUS]:
        child.wait_for("waiting")
        finished, seconds = child.signal(number)
        assert finished.status == STATUS[number]
        assert seconds < SECONDS
        assert "Traceback" not in finished.err


# a part of numpy, which takes a signal there for a failed import
NUMPY = "numpy.core.multiarray" if np.__version__ < "2" else "numpy._core.multiarray"
# has a signal come at the import of a module
INTERRUPTED = """
import os, signal, sys

module = sys.argv.pop(1)

class Interrupt:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
import perceptrons.__main__
perceptrons.__main__.main()
"""


@pytest.mark.parametrize("module", ["torch", NUMPY, "lightning"])
def test_ctrl_c_during_the_imports_ends_with_its_status(module: str) -> None:
    words = [sys.executable, "-c", INTERRUPTED, module, "fit"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")


# resumed on purpose


def test_a_finished_run_resumed_changes_nothing(command: Command, run: Path) -> None:
    before, file = outcome(run), FILE.read_bytes()
    assert command(RESUME).status == 0
    assert not differences(before, outcome(run))
    assert file == FILE.read_bytes()


EXTENDED = {
    "Adam, StepLR": "--config configs/xor.yaml --data.shuffle true --data.batch_size 3"
    " --model.optimizer Adam --model.scheduler StepLR --model.scheduler.step_size 7",
    "EarlyStopping": "--config configs/and.yaml --trainer.callbacks+=EarlyStopping"
    " --trainer.callbacks.monitor val/loss --trainer.callbacks.min_delta 0.03",
}


@pytest.mark.parametrize("case", EXTENDED)
def test_a_run_resumed_for_more_epochs_is_the_run_that_had_them_from_the_start(
    command: Command, case: str
) -> None:
    fit = f"fit --name r {EXTENDED[case]} --data.passes 20"
    assert command(f"{fit} --trainer.max_epochs 6").status == 0
    assert command(f"{fit} --trainer.max_epochs 2").status == 0
    longer, extended = RUN, RUN.with_name("version_1")
    assert command(f"fit --resume {extended} --trainer.max_epochs 6").status == 0
    assert not differences(outcome(longer), outcome(extended))
    one, other = (yaml.safe_load((run / "config.yaml").read_text()) for run in (longer, extended))
    assert one == other


def test_resume_last_goes_on_with_the_newest_run(command: Command) -> None:
    for name in ("one", "other", "other"):
        assert command(f"fit --config configs/xor.yaml {SHORT} --name {name}").status == 0
    resumed = command("fit --resume last --trainer.max_epochs 3")
    assert "run:  lightning_logs/other/version_1" in resumed.out
    resumed = command("fit --resume last --name one --trainer.max_epochs 4")
    assert "run:  lightning_logs/one/version_0" in resumed.out


def test_an_older_run_does_not_become_the_newest_by_being_tested(command: Command) -> None:
    for name in ("one", "other"):
        assert command(f"fit --config configs/xor.yaml {SHORT} --name {name}").status == 0
    assert command("test --ckpt_path lightning_logs/one/version_0").status == 0
    resumed = command("fit --resume last")
    assert "run:  lightning_logs/other/version_0" in resumed.out


@pytest.mark.parametrize(
    "setting",
    [
        "--model.optimizer.lr 0.1",
        "--data.passes 3",
        "--seed_everything 3",
        "--config configs/and.yaml",
        "--ckpt_path last",
        "--trainer.accumulate_grad_batches 2",
    ],
)
def test_another_setting_is_refused_and_the_run_left_alone(
    command: Command, run: Path, setting: str
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    line = error_line(command(f"{RESUME} {setting}"), 2)
    assert setting.split()[0].lstrip("-") in line
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("end", ["--trainer.max_epochs 1", "--trainer.max_steps 3"])
def test_a_run_is_not_ended_before_where_it_is(command: Command, run: Path, end: str) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    line = error_line(command(f"{RESUME} {end}"), 2)
    assert re.search(r"max_\w+=\d: the checkpoint has done \d+ already$", line)
    error_line(command(f"fit --config configs/xor.yaml --ckpt_path {run} {end}"), 2)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_run_gone_on_with_in_its_first_second_has_its_curve_in_order(command: Command) -> None:
    while time.time() % 1 > 0.3:
        time.sleep(0.01)
    assert command(f"fit --config configs/xor.yaml --name r {SHORT}").status == 0
    (first,) = (path for path in RUN.glob("events*") if path.suffix[1:].isdigit())
    # a process with a lower number comes first by name
    first.rename(first.with_name(re.sub(r"\.\d+\.\d+$", ".99999999.0", first.name)))
    assert command(f"{RESUME} --trainer.max_epochs 4").status == 0
    assert [step for step, _ in points(RUN)["val/loss"]] == [0, 20, 40, 60, 80]


def test_a_resumed_run_has_the_random_numbers_that_were_next(command: Command) -> None:
    draws = "--trainer.callbacks+=test_interrupted.Draws"
    fit = f"fit --config configs/xor.yaml --name r {SHORT} {draws}"
    assert command(f"{fit} --trainer.max_epochs 4").status == 0
    assert command(fit).status == 0
    random.seed(9)
    np.random.seed(9)
    torch.manual_seed(9)
    extended = RUN.with_name("version_1")
    assert (
        command(f"fit --resume {extended} --trainer.max_epochs 4 --trust test_interrupted").status
        == 0
    )
    assert len(checkpoint(extended)["callbacks"]["Draws"]["drawn"]) == 4
    assert not differences(outcome(RUN), outcome(extended))


def test_a_run_goes_on_whose_callback_has_a_device_for_a_default(command: Command) -> None:
    averaging = "--trainer.callbacks+=StochasticWeightAveraging --trainer.callbacks.swa_lrs 0.1"
    assert command(f"fit --config configs/xor.yaml --name r {SHORT} {averaging}").status == 0
    assert "Unable" not in (RUN / "config.yaml").read_text()
    assert command(f"{RESUME} --trainer.max_epochs 4").status == 0


# started from a checkpoint


def settings(run: Path) -> Any:
    return yaml.safe_load((run / "config.yaml").read_text())


@pytest.mark.usefixtures("run")
def test_flags_win_over_the_config_that_wins_over_the_checkpoint(command: Command) -> None:
    Path("mine.yaml").write_text("{data: {init_args: {passes: 7}}, model: {loss: mse}}")
    flags = "--config mine.yaml --data.passes 5 --trainer.max_epochs 4"
    started = command(f"fit --ckpt_path {FILE} {flags}")
    assert started.status == 0, started.err
    given = settings(Path("lightning_logs", "mine", "version_0"))
    assert given["data"]["init_args"]["passes"] == 5  # flag
    assert given["model"]["init_args"]["loss"] == "mse"  # config
    assert given["model"]["init_args"]["net"]["init_args"]["hidden"] == [2]  # checkpoint
    assert given["seed_everything"] == 777  # checkpoint
    assert given["trainer"]["log_every_n_steps"] == 1000  # default


@pytest.mark.usefixtures("run")
def test_a_learning_rate_that_is_asked_for_is_trained_with(command: Command) -> None:
    flags = "--name faster --model.optimizer.lr 0.3 --trainer.max_epochs 3"
    assert command(f"fit --ckpt_path {FILE} {flags}").status == 0
    (state,) = checkpoint(Path("lightning_logs", "faster", "version_0"))["optimizer_states"]
    assert [group["lr"] for group in state["param_groups"]] == [0.3]


@pytest.mark.usefixtures("run")
def test_a_learning_rate_that_is_asked_for_keeps_the_factors_and_the_schedule(
    command: Command,
) -> None:
    flags = "--model.bias_lr_factor 5 --model.scheduler CosineAnnealingWarmRestarts"
    first = f"fit --config configs/xor.yaml --data.passes 5 --name slow {flags}"
    flags = "--name fast --model.optimizer.lr 0.1 --trainer.max_epochs 3"
    assert command(f"{first} --model.scheduler.T_0 10 --trainer.max_epochs 2").status == 0
    assert command(f"fit --ckpt_path slow/version_0 {flags}").status == 0
    (state,) = checkpoint(Path("lightning_logs", "fast", "version_0"))["optimizer_states"]
    low, high = (group["lr"] for group in state["param_groups"])
    assert high == pytest.approx(5 * low)
    assert low == pytest.approx(0.05)  # half way through a wave of ten updates


def test_a_run_that_max_steps_has_ended_goes_on_with_more(command: Command) -> None:
    fit = "fit --config configs/blobs.yaml --figures false --data.batch_size 10 --data.passes 10"
    for name, steps in (("short", 30), ("long", 40)):  # whole passes: max_steps ends an epoch
        assert command(f"{fit} --name {name} --trainer.max_steps {steps}").status == 0
    short, long = Path("lightning_logs/short/version_0"), Path("lightning_logs/long/version_0")
    assert command(f"fit --resume {short} --trainer.max_steps 40").status == 0
    assert not differences(*(checkpoint(run)["state_dict"] for run in (short, long)))


def test_a_run_that_max_time_has_ended_goes_on_with_more(command: Command) -> None:
    fit = f"{LONG} --figures false --trainer.max_time 00:00:00:"
    assert command(f"{fit}01").status == 0
    updates = checkpoint(Path(RUN))["global_step"]
    assert "nothing was left to do" in command(RESUME).out
    assert command(f"{RESUME} --trainer.max_time 00:00:00:02").status == 0
    assert checkpoint(Path(RUN))["global_step"] > updates


@pytest.mark.parametrize("setting", ["model.optimizer Adam", "model.bias_lr_factor 0.5"])
@pytest.mark.usefixtures("run")
def test_another_optimizer_than_the_checkpoints_is_refused(command: Command, setting: str) -> None:
    started = command(f"fit --ckpt_path {FILE} --{setting} --trainer.max_epochs 3")
    assert "optimizer" in error_line(started, 2) or "groups" in started.err
    assert len([*Path("lightning_logs").glob("*/version_*")]) == 1


def printed(table: str) -> dict[str, str]:
    """The numbers that an evaluation printed, by name."""
    return dict(re.findall(r"^ *(\w+/\w+) +([\d.%]+)$", table, re.M))


def as_fit_prints(name: str, value: float) -> str:
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.6f}"


@pytest.mark.parametrize("asked", [str(RUN), str(FILE), "last", "best"])
def test_a_test_gives_the_very_number_that_fit_wrote_and_writes_no_new_run(
    command: Command, run: Path, asked: str
) -> None:
    tested = command(f"test --ckpt_path {asked}")
    assert tested.status == 0
    assert tested.err == ""
    written, shown = outcome(run)["metrics"], printed(tested.out)
    for name, value in shown.items():
        assert value == as_fit_prints(name, written[name.replace("test", "val")])
    assert set(shown) == {"test/loss", "test/accuracy"}
    assert [path.name for path in Path("lightning_logs").glob("*/*")] == ["version_0"]
    # where TensorBoard shows it: at the update of the checkpoint
    assert points(run)["test/loss"] == [(40, written["val/loss"])]


def test_the_best_checkpoint_is_that_of_the_lowest_loss(command: Command) -> None:
    steps = "--data.shuffle true --data.batch_size 5 --model.optimizer.lr 100"  # large ones
    fit = f"fit --config configs/blobs.yaml --name r --data.passes 3 --trainer.max_epochs 5 {steps}"
    assert command(fit).status == 0
    update, lowest = min(points(RUN)["val/loss"][1:], key=lambda point: point[1])
    assert lowest < outcome(RUN)["metrics"]["val/loss"]
    assert checkpoint(RUN, "best")["global_step"] == update
    assert printed(command("test --ckpt_path best").out)["test/loss"] == f"{lowest:.6f}"


def test_a_truncated_last_checkpoint_is_passed_over_and_said_to_be(
    command: Command, run: Path
) -> None:
    FILE.write_bytes(FILE.read_bytes()[:1000])
    tested = command("test --ckpt_path last")
    assert tested.status == 0
    passed_over, taken, *_ = tested.out.splitlines()
    assert (
        passed_over
        == f"passed over {str(FILE)!r}: is cut short, or no checkpoint, or would run code"
    )
    assert taken == f"checkpoint: {run / 'checkpoints' / 'best.ckpt'}"


def test_an_earlier_run_stands_in_for_one_with_nothing_readable(
    command: Command, run: Path
) -> None:
    newer = run.with_name("version_1")
    shutil.copytree(run, newer)
    for path in newer.glob("checkpoints/*.ckpt"):
        path.write_bytes(b"")
    tested = command("test --config configs/xor.yaml --name r --ckpt_path last")
    assert tested.status == 0
    assert tested.out.count("passed over") == 2
    assert f"checkpoint: {FILE}" in tested.out


def test_a_run_with_a_truncated_last_checkpoint_goes_on_from_its_best(tmp_path: Path) -> None:
    fit = f"{FIT}/{CASES['Adam, StepLR']}"
    whole, killed = directories(tmp_path, "whole", "killed")
    uninterrupted = Child(fit, whole)
    assert ends(Child(fit, killed, killed_at_save("last.ckpt", 7, "after"))) == [KILLED]
    os.truncate(killed / FILE, 1000)
    resumed = Child(RESUME, killed).wait()
    assert "passed over" in resumed.out
    assert ends(uninterrupted) == [0]
    assert not differences(outcome(whole / RUN), outcome(killed / RUN))


@pytest.mark.xfail(strict=True, reason="nothing is saved where nothing is left to train")
def test_a_finished_run_with_a_truncated_last_checkpoint_gets_a_whole_one(
    command: Command, run: Path
) -> None:
    os.truncate(FILE, 1000)
    assert command(RESUME).status == 0
    assert checkpoint(run)["global_step"] == 40
