"""What the tests share, the lab's too: one thread, a directory of their own, the command line."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import pytest
import torch

from perceptrons.lab.cli.settings import ARGUMENTS

# as the program has it
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

ROOT = Path(__file__).parents[1]
# a project's own configs may be others than those that the lab is tested with
CONFIGS = next(path for path in (ROOT / "tests/lab/configs", ROOT / "configs") if path.exists())
# without figures, unless a test asks for them: each fit would start a process that takes a second
ARGUMENTS["figures"] = (ARGUMENTS["figures"][0], False, ARGUMENTS["figures"][2])


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are processors: many tests wait, for processes and for disks."""
    return min(12, (os.cpu_count() or 1) * 3 // 2)


# these files start with what takes long, so that none of them is the last that a worker waits for
FIRST = [
    *(
        "sweep_command",
        "new_project",
        "experiments",
        "resume",
        "scaling",
        "export",
        "figures",
        "browser",
    ),
    *("board", "your_own", "readme", "front_page", "reproducible", "replicas", "plot"),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {f"test_{name}.py": place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


class Finished(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


Command = Callable[[str], Finished]


def quiet_trainer(**settings: Any) -> L.Trainer:
    """Lightning's trainer on the CPU, which shows nothing and writes only what it is asked to."""
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(**(quiet | settings))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, from where ``configs/`` is seen as from the repository."""
    (tmp_path / "configs").symlink_to(CONFIGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs ``perceptrons`` with the words of a line, split at spaces."""
    from perceptrons.__main__ import main  # takes seconds, and few tests need it

    # Lightning warns where there are words beside those it is given
    monkeypatch.setattr("sys.argv", ["perceptrons"])

    def run(line: str) -> Finished:
        status = 0
        try:
            main(line.split())
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return Finished(status, *capsys.readouterr())

    return run
