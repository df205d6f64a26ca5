"""``perceptrons completion``: what shells make of its script, asked and by Tab."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from children import PATIENCE
from conftest import ROOT, Command

from perceptrons import completion
from perceptrons.commands import COMMANDS
from perceptrons.data import GATES

SHELLS = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}
# asks as bash does when Tab is pressed after some words; what is completed comes line by line
ASK = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_perceptrons
printf '%s\\n' "${COMPREPLY[@]}"
"""

needs = {
    shell: pytest.mark.skipif(not shutil.which(shell), reason=f"there is no {shell} here")
    for shell in SHELLS
}
in_each_shell = pytest.mark.parametrize(
    "shell", [pytest.param(shell, marks=needs[shell]) for shell in SHELLS]
)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the command prints for each shell, in a file."""
    written = {}
    for shell in SHELLS:
        printed = StringIO()
        with redirect_stdout(printed):
            completion.main([shell])
        written[shell] = tmp_path_factory.mktemp("completion") / shell
        written[shell].write_text(printed.getvalue())
    return written


def completed(script: Path, words: str, path: str = "") -> list[str]:
    """What bash completes the last word of a line to, with programs of a path to help it."""
    bash = str(shutil.which("bash"))
    typed = ["--norc", "-c", ASK, bash, str(script), "perceptrons", *words.split(" ")]
    ended = subprocess.run(
        [bash, *typed], cwd=ROOT, env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert not ended.stderr
    return ended.stdout.split()


@contextmanager
def terminal(shell: str, script: Path) -> Iterator[int]:
    """A shell at a terminal, which has read the script; gives the terminal's file."""
    process, screen = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        home = {"HOME": str(script.parent), "TERM": "dumb", "PATH": os.environ["PATH"]}
        os.execvpe(shell, [shell, *SHELLS[shell]], home)
    try:
        os.write(screen, f"source {script}; echo read''y\n".encode())
        await_shown(screen, "ready")
        yield screen
    finally:
        os.close(screen)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def await_shown(screen: int, text: str) -> None:
    """Wait until a terminal shows a text."""
    shown, end = "", time.monotonic() + PATIENCE
    while text not in shown:
        assert time.monotonic() < end, shown
        if select.select([screen], [], [], 0.1)[0]:
            shown += os.read(screen, 65536).decode(errors="replace")


@needs["bash"]
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", {"fit", "validate", "test", "predict", *COMMANDS}),
        ("ex", {"export", "export-replica"}),
        ("--v", {"--version"}),
        ("fit --trainer.max_", {f"--trainer.max_{end}" for end in ("epochs", "steps", "time")}),
        ("fit --seed", {"--seed_everything"}),
        ("fit --config configs/spi", {"configs/spiral.yaml"}),
        ("fit --config configs/xor.yaml --data Ga", {"Gates"}),
        ("predict --data.help Ga", {"Gates"}),
        ("fit --data.gate ", {*GATES, "all"}),
        ("fit --model.net ", {"MLP", "Perceptron"}),
        ("fit --model.net.hid", {"--model.net.hidden"}),
        ("fit --model.net.activation t", {"tanh"}),
        ("fit --model.loss ", {"bce", "mse", "cross_entropy"}),
        ("fit --model.optimizer Adag", {"Adagrad"}),
        (
            "fit --model.optimizer.momentum 0.9 --model.optimizer.nest",
            {"--model.optimizer.nesterov"},
        ),
        ("fit --model.compile ", {"true", "false"}),
        ("fit --trainer.accelerator ", {"auto", "cpu", "cuda", "gpu", "mps", "tpu"}),
        ("fit --trainer.callbacks+ EarlyS", {"EarlyStopping"}),
        ("fit --print_config --data.pas", {"--data.passes"}),
        ("fit --resume doc", {"docs"}),
        ("runs --di", {"--diff"}),
        ("plot lightning_l", {"lightning_logs"}),
        ("export --format ", {"onnx", "torch"}),
        ("sweep --spa", {"--space"}),
        ("sweep --space configs/sweeps/x", {"configs/sweeps/xor.yaml"}),
        ("sweep --trainer.max_e", {"--trainer.max_epochs"}),
        ("completion ", {"bash", "zsh"}),
    ],
)
def test_bash_completes(scripts: dict[str, Path], words: str, expected: set[str]) -> None:
    assert set(completed(scripts["bash"], words)) == expected


@needs["bash"]
@pytest.mark.parametrize("verb", ["fit", "predict", "runs", "sweep", "export"])
def test_bash_completes_every_flag_that_the_help_has(
    scripts: dict[str, Path], command: Command, verb: str
) -> None:
    shown = re.findall(r"^  (?:-\w.*, )?(--[\w.-]+)", command(f"{verb} --help").out, re.M)
    assert shown
    assert set(shown) <= set(completed(scripts["bash"], f"{verb} --"))


@needs["bash"]
def test_nothing_is_started_to_complete_a_word(scripts: dict[str, Path], tmp_path: Path) -> None:
    assert completed(scripts["bash"], "fit --data.gate xn", path=str(tmp_path)) == ["xnor"]


@in_each_shell
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("perceptrons export-r\t", "export-replica "),
        ("perceptrons export --fo\t", "--format "),
        ("perceptrons fit --data.gate xn\t", "xnor "),
        ("perceptrons fit --config configs/spi\t", "configs/spiral.yaml "),
    ],
)
def test_tab_completes_at_a_terminal(
    scripts: dict[str, Path], shell: str, typed: str, shown: str
) -> None:
    with terminal(shell, scripts[shell]) as screen:
        os.write(screen, typed.encode())
        await_shown(screen, shown)


@in_each_shell
def test_a_file_may_have_the_scripts_for_both_shells(
    scripts: dict[str, Path], tmp_path: Path, shell: str
) -> None:
    both = tmp_path / "activate"
    both.write_text("".join(script.read_text() for script in scripts.values()))
    ended = subprocess.run([shell, "-c", f"source {both}"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_what_is_not_installed_is_said_with_how_to_install_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "find_spec", lambda name: None)
    line = "completion: shtab is not installed; pip install -e '.[completion]' does it"
    assert command("completion bash") == (2, "", f"perceptrons: error: {line}\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "shell: missing"),
        ("fish", "shell: invalid choice: 'fish' (choose from 'bash', 'zsh')"),
        ("bash --al", "--al: no such argument"),
    ],
)
def test_a_wrong_completion_costs_one_line(command: Command, words: str, line: str) -> None:
    assert command(f"completion {words}") == (2, "", f"perceptrons: error: {line}\n")
