"""Train what the README and the docs show, and draw their pictures anew."""

import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure

from perceptrons import diagrams, drawing, plots
from perceptrons.cli import CLI
from perceptrons.preflight import quiet
from perceptrons.scene import Scene
from perceptrons.survey import survey

ROOT = Path(__file__).parent.parent
STORY = {
    "and": "AND by a perceptron\none line parts the colours: {} right",
    "xor_perceptron": "XOR by a perceptron\nno one line can part them: {} right",
    "xor": "XOR by an MLP, 2-2-1\ntwo lines do: {} right",
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
BLOBS = {"blobs": "two blobs: {} right", "blobs3": "three: {} right"}


def trained(config: str, directory: str, *flags: str) -> Scene:
    """What there is to see of a config, trained."""
    words = [
        f"--config={ROOT / 'configs' / config}.yaml",
        f"--trainer.default_root_dir={directory}",
    ]
    with redirect_stdout(StringIO()):
        run = CLI(["fit", *words, "--trainer.logger=false", *flags])
    assert run.figures
    return survey(run.model, run.datamodule, run.figures.notes, run.trainer.global_step, config)


def right(scene: Scene) -> str:
    """How many rows are right in the end, such as ``3 of 4`` or ``98 %``."""
    hits, rows = int((scene.winners[-1] == scene.right).sum()), len(scene.right)
    return f"{hits} of {rows}" if rows <= 16 else f"{hits / rows:.0%}"


def titled(scenes: dict[str, Scene], titles: dict[str, str], columns: int) -> Figure:
    words = [titles[name].format(right(scene)) for name, scene in scenes.items()]
    return plots.gallery(list(scenes.values()), words, columns)


def pictures(directory: str) -> dict[str, Figure]:
    """Every picture of the README and the docs, by the name of its file."""
    story = {name: trained(name, directory) for name in STORY}
    gates = {
        table: trained("and", directory, f"--data.gate={table}", "--data.passes=1000")
        for table in GATES
    }
    named = {table: f"{table}: {name}\n{{}} right" for table, name in GATES.items()}
    blobs = {name: trained(name, directory) for name in BLOBS}
    return {
        "story": titled(story, STORY, 3),
        "gates": titled(gates, named, 4),
        "blobs": titled(blobs, BLOBS, 2),
        "neurons": diagrams.neurons(story["xor"]),
        "network": diagrams.network(story["xor"]),
        "loss": plots.curves(story["xor"]),
    }


def main() -> None:
    quiet()
    sys.argv[1:] = []
    with TemporaryDirectory() as directory:
        for name, figure in pictures(directory).items():
            figure.set_dpi(100)
            path = ROOT / "docs" / "images" / f"{name}.png"
            drawing.pixels(figure).quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main()
