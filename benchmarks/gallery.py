"""Train what the README and the docs show; draw pictures, light and dark, and write pages."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from perceptrons.lab.cli.command import Command
from perceptrons.lab.cli.parser import import_files, import_model
from perceptrons.lab.cli.settings import quiet
from perceptrons.lab.figures import diagrams, plots
from perceptrons.lab.figures.drawing import FILES, png
from perceptrons.lab.figures.page.page import add_pictures, write_page
from perceptrons.lab.figures.page.recording import run_data
from perceptrons.lab.figures.panels import DARK, draw_key, draw_space, ink
from perceptrons.lab.figures.scene import Scene
from perceptrons.lab.figures.snapshots import Snapshots
from perceptrons.lab.figures.survey import survey
from perceptrons.lab.figures.trained import Trained, trained_by
from perceptrons.lab.training.spans import use_spans

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
IMAGES = DOCS / "images"
STORY = {
    "and": "AND by a perceptron",
    "xor_perceptron": "XOR by a perceptron",
    "xor": "XOR by an MLP, 2-2-1",
}
# all truth tables of two inputs, rows 00, 01, 10, 11
GATES = {
    "0000": "FALSE",
    "0001": "AND",
    "0010": "x1 AND NOT x2",
    "0011": "x1",
    "0100": "x2 AND NOT x1",
    "0101": "x2",
    "0110": "XOR",
    "0111": "OR",
    "1000": "NOR",
    "1001": "XNOR",
    "1010": "NOT x2",
    "1011": "x1 OR NOT x2",
    "1100": "NOT x1",
    "1101": "x2 OR NOT x1",
    "1110": "NAND",
    "1111": "TRUE",
}
PAGES = {"xor": "XOR by an MLP, 2-2-1", "moons": "two moons", "spiral": "two arms of a spiral"}
BLOBS = {"blobs": "two blobs", "blobs3": "three blobs"}
LAST_UPDATE = 4_500  # of the moving picture: all is learned then
# sharp where two of the screen's pixels are one of the page's
DPI, MOVING_DPI = 200, 85
FRAMES, SHOWN_FOR, LAST_SHOWN_FOR = 48, 110, 2500


def trained(config: str, title: str, *flags: str) -> Trained:
    """A config, trained."""
    words = [f"--config={ROOT / 'configs' / config}.yaml", "--trainer.logger=false"]
    off = ("enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    words += [f"--trainer.{name}=false" for name in off]
    model = import_model("classifier.Classifier")
    with redirect_stdout(StringIO()):
        run = Command(model, ["fit", *words, *flags], runs=False)
        kept = Snapshots()
        trainer: Any = run.trainer
        trainer.callbacks.append(kept)
        use_spans(run.trainer, run.model, run.datamodule)
        run.trainer.fit(run.model, datamodule=run.datamodule)
    return replace(trained_by(trainer, run.model, Path(config), {}), title=title)


def moment(scene: Scene, frame: int) -> Figure:
    """The boundary in a frame, and how the loss came there."""
    figure = Figure(figsize=(6.6, 3.5), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.08, 1, 0.92))  # type: ignore[union-attr, call-arg]
    plane, curve = figure.subplots(1, 2)
    draw_space(plane, scene, frame)
    draw_key(figure, scene, bool(scene.missed(frame).any()))
    updates, losses = scene.reports, scene.metrics["train/loss"]
    now = int(np.searchsorted(updates, scene.updates[frame]))
    curve.plot(updates, losses, color=ink(), alpha=0.35)
    curve.plot(updates[: now + 1], losses[: now + 1], color=ink(), linewidth=2)
    curve.plot(updates[now], losses[now], "o", color=ink())
    curve.axhline(np.log(2), color=ink(), linestyle=":", alpha=0.7)
    curve.text(LAST_UPDATE, np.log(2) + 0.01, "p = \u00bd for every row", ha="right")
    right = 1.03 * LAST_UPDATE
    curve.set(xlabel="updates", ylabel="loss", xlim=(0.0 - LAST_UPDATE / 40, right), ylim=(0, 0.85))
    figure.suptitle(f"XOR, two hidden neurons: update {int(scene.updates[frame]):,}")
    return figure


def pictures(scenes: dict[str, Scene]) -> Iterator[tuple[str, Figure]]:
    """Every still picture of the README and the docs, by the name of its file."""
    yield "story", plots.gallery([scenes[name] for name in STORY], 3)
    yield "gates", plots.gallery([scenes[name] for name in GATES], 4)
    yield "blobs", plots.gallery([scenes[name] for name in BLOBS], 2)
    yield "network", diagrams.network(scenes["xor"])
    yield "loss", plots.curves([scenes["xor"]])


def picture(figure: Figure, dpi: int, colors: int = 256) -> Image.Image:
    # the method by which the colours of a few small points are not lost
    drawn = Image.open(BytesIO(png(figure, dpi))).convert("RGB")
    palette = drawn.quantize(colors, Image.Quantize.MAXCOVERAGE)
    ground, table = drawn.getpixel((0, 0)), np.reshape(palette.getpalette() or [], (-1, 3))
    table[np.abs(table - ground).sum(1) < 24] = ground  # and not a shade beside it
    palette.putpalette(table.ravel().tolist())
    # the fewer colours of a moving picture stay flat: each frame would flicker, and be large
    how = Image.Dither.NONE if colors < 256 else Image.Dither.FLOYDSTEINBERG
    return drawn.quantize(palette=palette, dither=how)


def draw(scenes: dict[str, Scene], suffix: str) -> None:
    """Draw all pictures in the colours that are set."""
    for name, figure in pictures(scenes):
        picture(figure, DPI).save(IMAGES / f"{name}{suffix}.png", optimize=True)
    film = scenes["film"]
    shown = range(int((film.updates <= LAST_UPDATE).sum()))
    frames = [picture(moment(film, frame), MOVING_DPI, 96) for frame in shown]
    times = [SHOWN_FOR] * (len(frames) - 1) + [LAST_SHOWN_FOR]
    moving: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": times}
    frames[0].save(IMAGES / f"xor{suffix}.gif", loop=0, optimize=True, **moving)


def main() -> None:
    quiet()
    import_files()
    runs = {name: trained(name, title) for name, title in (STORY | BLOBS | PAGES).items()}
    for name in PAGES:
        page = run_data(runs[name], Path("configs", f"{name}.yaml"))
        write_page(DOCS / "pages" / f"{name}.html", [add_pictures(page, survey(runs[name]))])
    for table, name in GATES.items():
        flags = f"--data.gate={table}", "--data.passes=200"
        runs[table] = trained("and", f"{table}: {name}", *flags)
    scenes = {name: survey(run, 2) for name, run in runs.items()}
    scenes["film"] = survey(runs["xor"], FRAMES)
    colors: dict[str, dict[Any, Any]] = {"": FILES, "_dark": FILES | DARK}
    for suffix, chosen in colors.items():
        with rc_context(chosen):
            draw(scenes, suffix)


if __name__ == "__main__":
    main()
