"""``perceptrons plot``: a run's figures as files."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from children import error_line
from conftest import ROOT, Command
from PIL import Image, ImageSequence

from perceptrons.cli import main
from perceptrons.plotting import scene_of

NAMES = ("boundary", "loss", "network", "neurons")
SHORT = "--data.passes 20 --trainer.max_epochs 3"
MADE = {
    "nowhere": "--config configs/xor.yaml --trainer.enable_checkpointing false",
    "xor": "--config configs/xor.yaml --figures true",
    "plain": "--config configs/and.yaml --figures false",
    "five": "--config configs/xor.yaml --data.inputs 5 --figures true",
}
XOR = Path("lightning_logs/xor/version_0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with some runs, which no TensorBoard is told of."""
    directory = tmp_path_factory.mktemp("made")
    (directory / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr("sys.argv", ["perceptrons"])
        patch.setattr("perceptrons.figures.draw_beside", lambda scene, run: None)
        for name, flags in MADE.items():
            main(f"fit {flags} {SHORT} --name {name}".split())
    return directory / "lightning_logs"


@pytest.fixture
def plot(made: Path, in_tmp: Path, command: Command) -> Command:
    """Runs ``perceptrons plot`` where the runs are."""
    shutil.copytree(made, in_tmp / "lightning_logs")
    return lambda line: command(f"plot {line}")


def whole(path: Path) -> bool:
    """Whether a file is a picture of its kind."""
    if path.suffix == ".svg":
        return ElementTree.parse(path).getroot().tag.endswith("svg")
    with Image.open(path) as picture:
        picture.load()
        return picture.format == path.suffix[1:].upper()


def listed(out: str) -> list[Path]:
    return [Path(line) for line in out.splitlines() if line.startswith("/")]


def test_every_figure_is_written_into_the_run_as_png_and_svg_and_said_to_be(plot: Command) -> None:
    plotted = plot("xor/version_0")
    assert (plotted.status, plotted.err) == (0, "")
    written = sorted((XOR / "figures").iterdir())
    assert [path.name for path in written] == [
        f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")
    ]
    assert sorted(listed(plotted.out)) == [path.resolve() for path in written]
    assert all(map(whole, written))


def test_the_same_run_gives_the_same_bytes(plot: Command) -> None:
    assert plot(f"{XOR} --out one").status == 0
    assert plot(f"{XOR} --out other").status == 0
    for path in Path("one").iterdir():
        assert path.read_bytes() == (Path("other") / path.name).read_bytes()


def test_the_film_has_a_picture_for_each_report(plot: Command) -> None:
    assert plot("xor/version_0 --animate").status == 0
    with Image.open(XOR / "figures" / "boundary.gif") as film:
        frames = [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(film)]
        assert film.info["loop"] == 0
    assert len(frames) == 4
    assert len(set(frames)) == 4


def test_last_is_the_newest_run(plot: Command) -> None:
    plotted = plot("last")
    newest = Path("lightning_logs/five/version_0").resolve()
    assert {path.parents[1] for path in listed(plotted.out)} == {newest}


def test_a_run_without_figures_has_its_curve_and_what_it_ended_as(plot: Command) -> None:
    plotted = plot("plain/version_0 --animate")
    assert plotted.status == 0
    assert "boundary.gif has only the end" in plotted.out
    with Image.open("lightning_logs/plain/version_0/figures/boundary.gif") as film:
        assert len(list(ImageSequence.Iterator(film))) == 1
    scene = scene_of(Path("lightning_logs/plain/version_0"), Path("lightning_logs"))
    assert scene.reports.tolist() == [0, 20, 40, 60]
    assert len(scene.measured["val/loss"]) == 4


def test_what_cannot_be_drawn_is_said_in_a_line(plot: Command) -> None:
    plotted = plot("five/version_0")
    assert plotted.status == 0
    assert "no neurons: 5 inputs have no plane" in plotted.out.splitlines()
    names = {path.stem for path in listed(plotted.out)}
    assert names == {"boundary", "network", "loss"}


def test_several_runs_are_compared_in_one_figure_where_they_are(plot: Command) -> None:
    plotted = plot("xor/version_0 plain/version_0 five/version_0")
    assert plotted.status == 0
    folder = Path("lightning_logs/figures").resolve()
    assert listed(plotted.out) == [folder / "comparison.png", folder / "comparison.svg"]
    assert all(map(whole, listed(plotted.out)))


def test_the_images_of_tensorboard_are_renewed(plot: Command) -> None:
    for _ in range(2):
        assert plot("xor/version_0 --tensorboard").status == 0
        (images,) = XOR.glob("*.figures")
        assert images.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "run: missing"),
        ("xro/version_0", "run='xro/version_0': no such run; choose one of"),
        ("xor/version_0 last --animate", "--animate: only with a single run"),
        ("nowhere/version_0", "there is no checkpoint in"),
        ("xor/version_0 --anmate", "--anmate: no such argument; did you mean --animate?"),
        ("xor/version_0 --root nowhere_at_all", "--root='nowhere_at_all': no such directory"),
    ],
)
def test_a_mistake_is_one_line(plot: Command, line: str, says: str) -> None:
    assert says in error_line(plot(line), 2)


def test_a_run_whose_checkpoints_are_cut_short_is_a_mistake(plot: Command) -> None:
    for path in XOR.glob("checkpoints/*"):
        path.write_bytes(path.read_bytes()[:500])
    assert "is cut short" in error_line(plot("xor/version_0"), 2)


def test_a_place_that_cannot_be_written_to_is_one_line(plot: Command) -> None:
    Path("taken").write_text("")
    assert "taken" in error_line(plot("xor/version_0 --out taken"), 1)
