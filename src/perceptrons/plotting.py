"""``perceptrons plot``: the figures of a run as files, or those of several, in one."""

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from perceptrons import runs
from perceptrons.commands import COMMANDS
from perceptrons.listing import check_root, found
from perceptrons.mistakes import fail
from perceptrons.verbs import Parser

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from perceptrons.scene import Scene
    from perceptrons.survey import Note

DPI = 200
# of a film's frame, and of its last, in milliseconds
SHOWN_FOR, LAST_SHOWN_FOR = 400, 2500


def main(words: list[str]) -> None:
    """Draw the figures of a run, or compare several.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if nothing can be written.
    """
    given = parser().parse_args(words)
    check_root(given.root)
    if given.animate and len(given.run) > 1:
        fail("--animate: only with a single run")
    chosen = [one(name, given.root) for name in given.run]
    scenes = [scene_of(run, given.root, given.trust) for run in chosen]
    try:
        if len(chosen) == 1:
            draw(scenes[0], chosen[0], given)
        else:
            compare(scenes, given.out or Path(os.path.commonpath(chosen), "figures"))
    except BrokenPipeError:
        raise
    except OSError as failure:
        fail(f"{failure.strerror or failure}: {failure.filename}", failure, 1)


def parser() -> argparse.ArgumentParser:
    made = Parser("perceptrons plot", description=COMMANDS["plot"][1], allow_abbrev=False)
    made.add_argument(
        "run",
        nargs="+",
        help="a run's directory, <name>/version_<n>, or last: several are compared",
    )
    made.add_argument("--animate", action="store_true", help="write boundary.gif too")
    made.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write: by default figures/ in the run, or where the compared runs are",
    )
    made.add_argument(
        "--tensorboard",
        action="store_true",
        help="renew the images that TensorBoard shows, as a fit does at its end",
    )
    made.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="let the run name classes of this package; may be there several times",
    )
    made.add_argument("--root", type=Path, default=Path(runs.ROOT), help="where the runs are")
    return made


def one(name: str, root: Path) -> Path:
    """The run that is asked for."""
    newest = runs.newest(root, None)[:1] if name == "last" else []
    return (newest[0] if newest else found(name, root, "run")).resolve()


def scene_of(run: Path, root: Path, trust: Iterable[str] = ()) -> "Scene":
    """What there is to see of a run, as its last checkpoint that can be read has it."""
    # imports that take seconds, and only once the command is known to be right
    from perceptrons import checkpoints
    from perceptrons.figures import notes_of, shares_of, title_of
    from perceptrons.notebook import load
    from perceptrons.resume import announced
    from perceptrons.survey import survey

    try:
        file = announced(*checkpoints.find(str(run), root, None), str(run))
        model, data = load(file, [*trust])
    except ValueError as mistake:
        fail(f"run={mistake}", mistake)
    content = checkpoints.read(file)
    model.measured = content["measured"]
    notes = {note.update: note for note in (*reported(run), *notes_of(content))}
    every = [notes[update] for update in sorted(notes)]
    study = content["callbacks"].get("Study")
    scene = survey(model, data, every, content["global_step"], title_of(run), study)
    return replace(scene, shares=shares_of(run))


def reported(run: Path) -> "list[Note]":
    """All reports of a run, as TensorBoard has them: without weights."""
    import torch
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from perceptrons.survey import Note

    events = EventAccumulator(str(run), {"scalars": 0, "images": 1, "histograms": 1}).Reload()
    measured: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        if name.startswith(("train/", "val/")):
            for point in events.Scalars(name):
                measured.setdefault(point.step, {})[name] = point.value
    return [Note(update, each, torch.zeros(0)) for update, each in measured.items()]


def draw(scene: "Scene", run: Path, given: argparse.Namespace) -> None:
    """Write the figures of a run, and say which and where."""
    from perceptrons import drawing

    folder = given.out or run / "figures"
    for name, reason in scene.missing.items():
        print(f"no {name}: {reason}")
    for name, figure in drawing.figures(scene).items():
        write(figure, folder / name)
    if given.animate:
        if "boundary" in scene.missing:
            fail(f"--animate: {scene.missing['boundary']}")
        if len(scene.updates) == 1:
            print("boundary.gif has only the end: the run was made without --figures, or is large")
        animate(scene, folder / "boundary.gif")
    if given.tensorboard:
        drawing.write_events(scene, run)


def compare(scenes: Iterable["Scene"], folder: Path) -> None:
    from perceptrons import plots

    write(plots.comparison(list(scenes)), folder / "comparison")


def write(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG and SVG, the same bytes for the same figure."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": path.name}):
        for kind, metadata in (("png", {}), ("svg", {"Date": None})):
            target = path.with_suffix(f".{kind}")
            figure.savefig(target, dpi=DPI, metadata=metadata)
            print(target)


def animate(scene: "Scene", path: Path) -> None:
    """Write how the boundary came about, report by report."""
    from perceptrons import drawing

    pictures = [drawing.pixels(each) for name, _, each in drawing.film(scene) if name == "boundary"]
    times = [SHOWN_FOR] * (len(pictures) - 1) + [LAST_SHOWN_FOR]
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=times, loop=0)
    print(path)
