"""Where figures go: files, a moving picture, TensorBoard, drawn by a process beside."""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageSequence
from small_modules import CORNERS, XOR, Plain, Points, dense, solver, trained, xor
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from perceptrons.lab.figures import drawing
from perceptrons.lab.figures.scene import Scene
from perceptrons.lab.figures.snapshots import History, flat
from perceptrons.lab.figures.survey import survey


@pytest.fixture(scope="module")
def scene() -> Scene:
    """XOR, learned in four snapshots and a report."""
    steps = [flat(solver()) * share for share in (0.01, 0.1, 0.3)]
    history = History([0, 50, 100], steps, reports=[0, 150], metrics=[{"train/loss": 0.7}] * 2)
    return survey(trained(Plain(solver()), xor(), history, 150, "xor/version_0"))


def events(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), {"images": 0, "tensors": 0}).Reload()


def test_every_figure_is_written_as_png_and_svg_and_said_to_be(
    scene: Scene, tmp_path: Path
) -> None:
    said = [*drawing.plot([scene], tmp_path / "new")]
    names = [
        f"{name}.{kind}" for name in ("boundary", "loss", "network") for kind in ("png", "svg")
    ]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert sorted(said) == [str(tmp_path / "new" / name) for name in names]
    for path in (tmp_path / "new").glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    for path in (tmp_path / "new").glob("*.png"):
        assert np.asarray(Image.open(path)).std() > 5


def test_the_same_scene_gives_the_same_bytes(scene: Scene, tmp_path: Path) -> None:
    for folder in ("one", "other"):
        assert [*drawing.plot([scene], tmp_path / folder)]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_the_moving_picture_has_a_frame_for_each_snapshot(scene: Scene, tmp_path: Path) -> None:
    assert str(tmp_path / "boundary.gif") in [*drawing.plot([scene], tmp_path, animate=True)]
    with Image.open(tmp_path / "boundary.gif") as film:
        frames = [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(film)]
        assert film.info["loop"] == 0
    assert len(frames) == len(set(frames)) == 4


def test_what_cannot_be_drawn_is_said_in_a_line(tmp_path: Path) -> None:
    data = Points(np.eye(5), [0, 1, 0, 1, 0])
    scene = survey(trained(Plain(dense(5, 2, 1)), data))
    said = [*drawing.plot([scene], tmp_path)]
    assert "no boundary: 5 inputs have no plane" in said
    with pytest.raises(ValueError, match="animate: 5 inputs have no plane"):
        [*drawing.plot([scene], tmp_path, animate=True)]


def test_several_runs_are_compared(scene: Scene, tmp_path: Path) -> None:
    said = [Path(line).name for line in drawing.plot([scene, scene, scene], tmp_path)]
    assert said == ["losses.png", "losses.svg", "comparison.png", "comparison.svg"]


def test_a_place_that_cannot_be_written_to_is_an_error_of_the_system(
    scene: Scene, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        [*drawing.plot([scene], tmp_path / "taken")]


# TensorBoard


def test_tensorboard_has_an_image_for_each_frame_and_what_they_show_as_text(
    scene: Scene, tmp_path: Path
) -> None:
    drawing.write_events(tmp_path, drawing.board_events(scene))
    shown = events(tmp_path)
    assert [image.step for image in shown.Images("figures/boundary")] == [0, 50, 100, 150]
    assert [image.step for image in shown.Images("figures/loss")] == [150]
    (record,) = shown.Tensors("figures/text_summary")
    said = record.tensor_proto.string_val[0].decode()
    assert all(f"**{name}**" in said for name in ("boundary", "network", "loss"))


def test_figures_that_are_drawn_again_take_the_place_of_the_others(
    scene: Scene, tmp_path: Path
) -> None:
    (tmp_path / ".figures.1.partial").write_bytes(b"half")
    for _ in range(2):
        start = time.monotonic()
        drawing.draw_beside(scene, tmp_path)
        assert time.monotonic() - start < 0.3  # nobody waits for them
    for process in drawing.BESIDE:
        assert process.wait() == 0
    (images,) = tmp_path.glob("events*")
    assert images.name.endswith(drawing.SUFFIX)
    assert len(events(tmp_path).Images("figures/boundary")) == 4
    assert len(events(tmp_path).Tensors("figures/text_summary")) == 1


def test_where_nothing_can_be_written_a_line_says_so_and_the_run_goes_on(
    scene: Scene,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, tmp_path / "no" / "such", "wb"))
    drawing.draw_beside(scene, tmp_path)
    assert capsys.readouterr().out == "no figures: No such file or directory\n"


def test_events_that_fail_half_way_leave_those_of_before(tmp_path: Path) -> None:
    drawing.write_events(tmp_path, [drawing.text_event("a", "b")])
    with pytest.raises(ZeroDivisionError):
        drawing.write_events(tmp_path, (1 // 0 for _ in "x"))
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".figures")
    assert events(tmp_path).Tags()["tensors"] == ["a/text_summary"]


def test_a_run_that_is_taken_away_before_it_is_drawn_is_no_mistake(
    scene: Scene, tmp_path: Path
) -> None:
    run = tmp_path / "gone"
    run.mkdir()
    drawing.draw_beside(scene, run)
    for path in run.iterdir():
        path.unlink()
    run.rmdir()
    assert drawing.BESIDE[-1].wait() in (0, 1)
    assert not run.exists()


def test_the_process_that_draws_imports_no_torch() -> None:
    code = f"import sys, {drawing.__name__}; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_of_classes_and_reasons_reach_tensorboard_escaped(tmp_path: Path) -> None:
    hostile = "<img src=http://x/y>|[a](b)"
    assert drawing.escape(hostile) == r"&lt;img src=http://x/y&gt;\|\[a\]\(b\)"
    data = Points(CORNERS, XOR, names=(hostile, "b"))
    scene = survey(trained(Plain(dense(2, 2)), data, title=hostile))
    object.__setattr__(scene, "missing", {"boundary": hostile})
    drawing.write_events(tmp_path, drawing.board_events(scene))
    (record,) = events(tmp_path).Tensors("figures/text_summary")
    assert b"<" not in record.tensor_proto.string_val[0]
