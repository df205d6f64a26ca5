"""``perceptrons plot``, and the figures at the end of ``fit``: through the command line."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import subject  # noqa: F401
from conftest import CONFIGS, Command, Finished
from PIL import Image, ImageSequence

from perceptrons import main

MADE = {
    "xor": "--config configs/xor.yaml --figures true",
    "plain": "--config configs/and.yaml --figures false",
    "five": "--config configs/xor.yaml --data.inputs 5 --figures true",
}
SHORT = "--data.passes 20 --trainer.max_epochs 3"
XOR = Path("lightning_logs/xor/version_0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with some runs, which no TensorBoard is told of."""
    directory = tmp_path_factory.mktemp("made")
    (directory / "configs").symlink_to(CONFIGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr("sys.argv", ["perceptrons"])
        patch.setattr("perceptrons.lab.figures.page.recording.draw_beside", lambda *_: None)
        for name, flags in MADE.items():
            main(f"fit {flags} {SHORT} --name {name}".split())
    return directory / "lightning_logs"


@pytest.fixture
def plot(made: Path, in_tmp: Path, command: Command) -> Command:
    """Runs ``perceptrons plot`` where the runs are."""
    shutil.copytree(made, in_tmp / "lightning_logs")
    return lambda line: command(f"plot {line}")


def error_line(finished: Finished, status: int) -> str:
    """The one line that a command ended with, which is all it said of it."""
    (line,) = finished.err.splitlines()
    assert finished.status == status
    assert "error: " in line
    return line


def test_every_figure_is_written_into_the_run_and_said_to_be(plot: Command) -> None:
    plotted = plot("xor/version_0")
    assert (plotted.status, plotted.err) == (0, "")
    written = sorted(path.name for path in (XOR / "figures").iterdir())
    names = ("boundary", "loss", "network")
    drawn = [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert written == sorted([*drawn, "page.html"])  # which the fit has written
    assert sorted(Path(line).name for line in plotted.out.splitlines()) == drawn


@pytest.mark.slow
def test_the_moving_picture_has_frames_between_the_reports(plot: Command) -> None:
    assert plot("xor/version_0 --animate").status == 0
    with Image.open(XOR / "figures" / "boundary.gif") as film:
        assert len([*ImageSequence.Iterator(film)]) >= 4


def test_a_run_without_figures_has_its_curve_and_what_it_ended_as(plot: Command) -> None:
    assert plot("plain/version_0 --animate").status == 0
    folder = Path("lightning_logs/plain/version_0/figures")
    assert (folder / "loss.png").stat().st_size > 10_000
    with Image.open(folder / "boundary.gif") as film:
        assert len([*ImageSequence.Iterator(film)]) == 1


def test_what_cannot_be_drawn_is_said_in_a_line(plot: Command) -> None:
    plotted = plot("last")
    assert plotted.status == 0
    assert "no boundary: 5 inputs have no plane" in plotted.out.splitlines()
    stems = {path.stem for path in Path("lightning_logs/five/version_0/figures").iterdir()}
    assert stems == {
        *("network", "loss", "confusion", "probability", "importance", "worst", "page")
    }


def test_several_runs_are_compared_in_one_figure(plot: Command) -> None:
    plotted = plot("xor/version_0 plain/version_0 five/version_0 --out together")
    assert plotted.status == 0
    names = [f"{name}.{kind}" for name in ("comparison", "losses") for kind in ("png", "svg")]
    assert sorted(path.name for path in Path("together").iterdir()) == names


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("xor/version_0 last --animate", "--animate: only with a single run"),
        ("five/version_0 --animate", "--animate: 5 inputs have no plane"),
        ("xro/version_0", "xro/version_0"),
    ],
)
def test_a_mistake_is_one_line(plot: Command, line: str, says: str) -> None:
    assert says in error_line(plot(line), 2)


def test_a_place_that_cannot_be_written_to_is_one_line(plot: Command) -> None:
    Path("taken").write_text("")
    assert "taken" in error_line(plot("xor/version_0 --out taken"), 1)


@pytest.mark.slow
def test_a_command_does_not_wait_for_its_figures_which_are_soon_there(tmp_path: Path) -> None:
    fit = f"fit --config {CONFIGS / 'and.yaml'} --trainer.max_epochs 1"
    words = [sys.executable, "-m", "perceptrons", *fit.split()]
    # reading until its end would wait for all that have the pipe
    subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
    run = tmp_path / "lightning_logs" / "and" / "version_0"
    assert not [*run.glob("*.figures")]
    for _ in range(600):
        time.sleep(0.0 if [*run.glob("*.figures")] else 0.1)
    assert len([*run.glob("*.figures")]) == 1
    assert b"<img src=" in (run / "figures" / "page.html").read_bytes()
