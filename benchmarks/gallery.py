"""Train what the README and the docs show, and draw their pictures, for light and dark pages."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from perceptrons.lab.cli.command import Command
from perceptrons.lab.cli.parser import found_model, import_files
from perceptrons.lab.cli.settings import quiet
from perceptrons.lab.figures import diagrams, plots
from perceptrons.lab.figures.drawing import FILES, png
from perceptrons.lab.figures.panels import DARK, draw_key, draw_space, ink
from perceptrons.lab.figures.scene import Array, Scene
from perceptrons.lab.figures.snapshots import Snapshots
from perceptrons.lab.figures.survey import survey
from perceptrons.lab.training.spans import use_spans

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
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
BLOBS = {"blobs": "two blobs", "blobs3": "three blobs"}
LAST_UPDATE = 4_500  # of the moving picture: all is learned then
# sharp where two of the screen's pixels are one of the page's
DPI, MOVING_DPI = 200, 85
FRAMES, SHOWN_FOR, LAST_SHOWN_FOR = 48, 110, 2500


def trained(config: str, title: str, *flags: str, frames: int = 2) -> Scene:
    """What there is to see of a config, trained."""
    words = [f"--config={ROOT / 'configs' / config}.yaml", "--trainer.logger=false"]
    off = ("enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    words += [f"--trainer.{name}=false" for name in off]
    model = found_model("classifier.Classifier")
    with redirect_stdout(StringIO()):
        run = Command(model, ["fit", *words, *flags], runs=False)
        kept = Snapshots()
        trainer: Any = run.trainer
        trainer.callbacks.append(kept)
        use_spans(run.trainer, run.model, run.datamodule)
        run.trainer.fit(run.model, datamodule=run.datamodule)
    update = run.trainer.global_step
    return survey(run.model, run.datamodule, kept.history, update, title, frames=frames)


def loss(scene: Scene) -> Array:
    """Binary cross entropy of the rows in each frame: between two reports too."""
    signs = np.where(scene.right == 1, -1.0, 1.0)
    values: Array = np.logaddexp(0, signs * scene.at_rows[..., 0]).mean(1)
    return values


def moment(scene: Scene, frame: int) -> Figure:
    """The boundary in a frame, and how the loss came there."""
    figure = Figure(figsize=(6.6, 3.5), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.08, 1, 0.92))  # type: ignore[union-attr, call-arg]
    plane, curve = figure.subplots(1, 2)
    draw_space(plane, scene, frame)
    draw_key(figure, scene)
    losses = loss(scene)[scene.updates <= LAST_UPDATE]
    curve.plot(scene.updates[: len(losses)], losses, color=ink(), alpha=0.35)
    curve.plot(scene.updates[: frame + 1], losses[: frame + 1], color=ink(), linewidth=2)
    curve.plot(scene.updates[frame], losses[frame], "o", color=ink())
    curve.axhline(np.log(2), color=ink(), linestyle=":", alpha=0.7)
    curve.text(LAST_UPDATE, np.log(2) + 0.01, "p = \u00bd for every row", ha="right")
    curve.set(xlabel="updates", ylabel="loss", ylim=(0, 0.85))
    figure.suptitle(f"XOR, two hidden neurons: update {int(scene.updates[frame]):,}")
    return figure


def pictures(scenes: dict[str, Scene]) -> Iterator[tuple[str, Figure]]:
    """Every still picture of the README and the docs, by the name of its file."""
    yield "story", plots.gallery([scenes[name] for name in STORY], 3)
    yield "gates", plots.gallery([scenes[name] for name in GATES], 4)
    yield "blobs", plots.gallery([scenes[name] for name in BLOBS], 2)
    yield "neurons", diagrams.neurons(scenes["xor"])
    yield "network", diagrams.network(scenes["xor"])
    yield "loss", plots.curves([scenes["xor"]])


def picture(figure: Figure, dpi: int, colors: int = 96) -> Image.Image:
    # the method by which the colours of a few small points are not lost
    drawn = Image.open(BytesIO(png(figure, dpi))).convert("RGB")
    return drawn.quantize(colors, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def draw(scenes: dict[str, Scene], suffix: str) -> None:
    """Draw all pictures in the colours that are set."""
    for name, figure in pictures(scenes):
        picture(figure, DPI).save(IMAGES / f"{name}{suffix}.png", optimize=True)
    film = scenes["film"]
    shown = range(int((film.updates <= LAST_UPDATE).sum()))
    frames = [picture(moment(film, frame), MOVING_DPI, 128) for frame in shown]
    times = [SHOWN_FOR] * (len(frames) - 1) + [LAST_SHOWN_FOR]
    moving: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": times}
    frames[0].save(IMAGES / f"xor{suffix}.gif", loop=0, optimize=True, **moving)


def main() -> None:
    quiet()
    import_files()
    scenes = {name: trained(name, title) for name, title in (STORY | BLOBS).items()}
    scenes["xor"] = scenes["film"] = trained("xor", STORY["xor"], frames=FRAMES)
    for table, name in GATES.items():
        flags = f"--data.gate={table}", "--data.passes=200"
        scenes[table] = trained("and", f"{table}: {name}", *flags)
    colors: dict[str, dict[Any, Any]] = {"": FILES, "_dark": FILES | DARK}
    for suffix, chosen in colors.items():
        with rc_context(chosen):
            draw(scenes, suffix)


if __name__ == "__main__":
    main()
