"""A run that is killed, or told to stop, ends as one that was never interrupted."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import subject  # noqa: F401
from conftest import CONFIGS, ROOT
from run_outcome import differences, outcome

PATIENCE = 120.0
ADAM = "--model.optimizer torch.optim.Adam --model.optimizer.lr 0.01"
CASES = {
    "killed": (signal.SIGKILL, "--data.passes 300 --trainer.max_epochs 40"),
    "stopped": (signal.SIGTERM, f"--data.passes 300 --trainer.max_epochs 40 {ADAM}"),
    "batches": (
        signal.SIGKILL,
        "--data.passes 150 --data.batch_size 3 --data.shuffle true --trainer.max_epochs 40",
    ),
}
START = "import sys, {0}.__main__ as start; start.main()".format


def fit(directory: Path, words: str) -> "subprocess.Popen[str]":
    package = next(path.parent.name for path in ROOT.glob("src/*/__init__.py"))
    command = [sys.executable, "-c", START(package), "fit", "--figures", "false", *words.split()]
    return subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process: "subprocess.Popen[str]") -> int:
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, -signal.SIGKILL, 128 + signal.SIGTERM), said
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_interrupted_equals_uninterrupted(case: str, tmp_path: Path) -> None:
    number, settings = CASES[case]
    words = f"--config {CONFIGS}/xor.yaml --name run {settings}"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for directory in (whole, cut):
        directory.mkdir()
    first = fit(whole, words)
    ended(first)
    run = cut / "lightning_logs/run/version_0"
    process = fit(cut, words)
    end = time.monotonic() + PATIENCE
    while not (run / "checkpoints/last.ckpt").exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(process.pid, number)
    assert ended(process) != 0, "it ended before it was interrupted"
    ended(fit(cut, f"--resume {run}"))
    assert not differences(outcome(run), outcome(whole / "lightning_logs/run/version_0"))


CAPABILITIES = "-dac_override,-dac_read_search,-fowner"  # by which root writes everywhere


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_a_run_that_cannot_be_written_to_is_evaluated(tmp_path: Path) -> None:
    words = f"--config {ROOT}/configs/xor.yaml --data.passes 2 --trainer.max_epochs 1"
    ended(fit(tmp_path, words))
    run = tmp_path / "lightning_logs/xor/version_0"
    before = sorted(run.rglob("*"))
    for path in (run, *before):
        path.chmod(path.stat().st_mode & ~0o222)
    limited = ["setpriv", "--bounding-set", CAPABILITIES, "--inh-caps", CAPABILITIES]
    start = [*limited, sys.executable, "-c", START("perceptrons")]
    for verb in ("validate", "predict"):
        file = run / "checkpoints/last.ckpt"
        finished = subprocess.run(
            [*start, verb, "--ckpt_path", str(file)], cwd=tmp_path, capture_output=True, text=True
        )
        assert finished.returncode == 0, finished.stderr
        assert "cannot be written to: the results are not kept" in finished.stdout
        assert ("val/loss" if verb == "validate" else "probability") in finished.stdout
        assert not finished.stderr
    for path in (run, *before):
        path.chmod(0o755)
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize("words", ["--help", "--version", "fit --help", "runs"])
def test_a_full_disk_for_the_output_is_one_line(words: str, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        finished = subprocess.run(
            [sys.executable, "-c", START("perceptrons"), *words.split()],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert finished.returncode == (0 if words == "runs" else 1)
    assert finished.stderr in ("", "error: output: No space left on device\n")


@pytest.mark.slow
def test_a_disk_that_takes_no_more_events_is_one_line(tmp_path: Path) -> None:
    words = "--data.passes 1 --trainer.max_epochs 600 --figures false"
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            START("perceptrons"),
            "fit",
            *f"--config {CONFIGS}/xor.yaml {words}".split(),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_DIR": "none"},  # or the tree's changes could be too large first
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    assert finished.returncode == 1
    assert "File too large" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
