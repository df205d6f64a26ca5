"""Run directories: one each, whole, and enough to make the run again; and what faults leave."""

import json
import pickle
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from children import CONFIGS, Child
from conftest import Command
from outcome import checkpoint, differences

from perceptrons import load_run

FIT = f"fit --config {CONFIGS / 'xor.yaml'} --data.passes 20 --trainer.max_epochs 3"
RUNS = Path("lightning_logs", "xor")


def test_eight_runs_started_at_once_are_eight_whole_runs(tmp_path: Path) -> None:
    children = [Child(FIT, tmp_path) for _ in range(8)]
    assert [child.wait().status for child in children] == [0] * 8
    runs = sorted(path.name for path in (tmp_path / RUNS).iterdir())
    assert runs == [f"version_{number}" for number in range(8)]
    weights = [checkpoint(tmp_path / RUNS / run)["state_dict"] for run in runs]
    assert not [line for each in weights for line in differences(weights[0], each)]
    for run in runs:
        names = {path.name.partition(".tfevents")[0] for path in (tmp_path / RUNS / run).iterdir()}
        made = {"checkpoints", "config.yaml", "events.out", "metrics.json", "provenance.json"}
        assert names == made


def test_the_settings_in_the_provenance_make_the_run_again(command: Command) -> None:
    line = "--data.shuffle true --data.batch_size 3 --model.net.hidden [3,2] --data.gate 0111"
    assert command(f"{FIT} {line} --model.optimizer Adam --model.optimizer.lr 0.1").status == 0
    settings = json.loads((RUNS / "version_0" / "provenance.json").read_text())["settings"]
    assert "--data.gate=0111" in settings
    name, *words = shlex.split(settings)
    assert name == "perceptrons"
    assert command(" ".join(words)).status == 0
    one, other = (checkpoint(RUNS / f"version_{number}")["state_dict"] for number in (0, 1))
    assert not differences(one, other)


def test_a_notebook_gets_the_trained_classifier_and_its_data(command: Command) -> None:
    assert command(f"fit --config {CONFIGS / 'and.yaml'}").status == 0
    torch.manual_seed(5)
    before = torch.get_rng_state()
    classifier, data = load_run("lightning_logs/and/version_0")
    assert torch.equal(before, torch.get_rng_state())
    x, y = data.split["all"]
    assert torch.equal(classifier.predict_step((x,)).classes, y.int())
    assert not classifier.training


def test_looking_at_the_runs_needs_no_torch(command: Command, in_tmp: Path) -> None:
    assert command(FIT).status == 0
    assert command(f"{FIT} --model.net.hidden [4]").status == 0
    program = (
        "import sys; sys.argv = ['perceptrons', 'runs', *sys.argv[1:]]\n"
        "from perceptrons.__main__ import main; main(); assert 'torch' not in sys.modules"
    )

    def look(*words: str) -> str:
        line = [sys.executable, "-c", program, *words]
        return subprocess.run(line, capture_output=True, text=True, check=True, cwd=in_tmp).stdout

    newest, oldest = json.loads(look("--json"))
    assert (newest["version"], oldest["version"]) == (1, 0)
    assert (newest["model.net.hidden"], oldest["model.net.hidden"]) == ([4], [2])
    assert newest["updates"] == 60
    assert look("--csv", "--sort", "version").splitlines()[1].startswith("xor,0,")
    compared = look("--diff", "xor/version_0", "xor/version_1")
    assert "model.net.hidden  [2]" in compared


def small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))


def test_a_full_disk_costs_one_line_and_no_checkpoint(tmp_path: Path) -> None:
    fit = f"{FIT} --trainer.max_epochs 1000"
    ended = Child(fit, tmp_path, small_files_only).wait()
    assert ended.status == 1
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("perceptrons: error: File too large")
    run = tmp_path / RUNS / "version_0"
    assert checkpoint(run)["global_step"] > 0
    assert not list(run.glob("checkpoints/.*"))


def test_a_metrics_file_that_cannot_be_written_does_not_lose_the_weights(command: Command) -> None:
    assert command(FIT).status == 0
    run = RUNS / "version_0"
    (run / "metrics.json").unlink()
    (run / "metrics.json").mkdir()
    ended = command(f"fit --resume {run} --trainer.max_epochs 5")
    assert ended.status == 1
    assert len(ended.err.splitlines()) == 1
    assert checkpoint(run)["global_step"] == 100


def test_runs_that_have_no_place_are_one_line(command: Command) -> None:
    Path("lightning_logs").write_text("")
    ended = command(FIT)
    assert ended.status == 1
    assert ended.err.startswith("perceptrons: error: Not a directory: ")
    assert len(ended.err.splitlines()) == 1


class Intruder:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_strangers_checkpoint_runs_no_code(form: str, command: Command) -> None:
    stranger = Path("stranger.ckpt")
    content = {"state_dict": {"net.layers.0.weight": Intruder()}}
    if form == "torch":
        torch.save(content, stranger)
    else:
        stranger.write_bytes(pickle.dumps(content))
    for verb in ("fit", "test", "predict"):
        ended = command(f"{verb} --config {CONFIGS / 'xor.yaml'} --ckpt_path stranger.ckpt")
        assert ended.status == 2
        assert len(ended.err.splitlines()) == 1
    assert not Path("ran").exists()
