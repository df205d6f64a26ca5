"""The figures of a scene, and where they go: TensorBoard, files, a film.

Run as a program, with a run's directory, it draws the scene that comes in for TensorBoard: that is
what a fit does at its end.
"""

import io
import os
import pickle
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DataType
from tensorboard.plugins.image import metadata as image
from tensorboard.plugins.text import metadata as text
from tensorboard.summary.writer.record_writer import RecordWriter

from perceptrons import diagrams, plots
from perceptrons.mistakes import fail
from perceptrons.scene import Scene

FIGURES = {
    "boundary": plots.boundary,
    "neurons": diagrams.neurons,
    "network": diagrams.network,
}
# what TensorBoard says of each
SAYS = {
    "boundary": "What the network says over its inputs, and the rows it learns from. The colour is"
    " the answer, the paler the less sure; the line is where it changes; a cross is a row missed."
    " More than three inputs have no plane: a bar is the probability of a row's right answer.",
    "neurons": "What each neuron puts out over the inputs: blue most, orange least. Lines are"
    " weights: blue positive, orange negative, wide large.",
    "network": "The weights, blue positive and orange negative, as wide as they are large.",
    "shares": "Of a study, the share of replicas that are solved, with its 95 % Wilson interval.",
    "loss": "Loss and accuracy at the reports; of a study, the losses of its replicas.",
}
SUFFIX = ".figures"
# neurons that are drawn in all frames of a figure, and frames of the inside of a network
NEURONS, FRAMES = 70, 6


def figures(scene: Scene) -> dict[str, Figure]:
    """The figures of a scene as it ends, by name."""
    shown = {name: make(scene) for name, make in FIGURES.items() if name not in scene.missing}
    if len(scene.shares) > 1:
        shown["shares"] = plots.shares(scene)
    return {**shown, "loss": plots.curves(scene)}


def film(scene: Scene) -> Iterator[tuple[str, int, Figure]]:
    """Name, update and figure of each frame."""
    every = range(len(scene.updates))
    for name, make in FIGURES.items():
        if name not in scene.missing:
            some = every if name == "boundary" else few(scene)
            figure = None
            for frame in some:
                figure = make(scene, frame, figure)
                yield name, int(scene.updates[frame]), figure
    if len(scene.shares) > 1:
        yield "shares", int(scene.reports[-1]), plots.shares(scene)
    yield "loss", int(scene.reports[-1]), plots.curves(scene)


def few(scene: Scene) -> list[int]:
    """The first frame, the last, and as many between as are soon drawn."""
    neurons = sum(map(len, diagrams.positions(scene)))
    count = min(FRAMES, max(2, NEURONS // neurons))
    return sorted(set(np.linspace(0, len(scene.updates) - 1, count).round().astype(int).tolist()))


def pixels(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    colors = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return Image.fromarray(colors[..., :3])


def event(name: str, update: int, figure: Figure) -> Event:
    """What TensorBoard reads as an image."""
    picture, file = pixels(figure), io.BytesIO()
    picture.save(file, "png", compress_level=3)  # quick, and hardly larger
    content = Summary.Image(width=picture.width, height=picture.height, colorspace=3)
    content.encoded_image_string = file.getvalue()
    says = image.create_summary_metadata(name, SAYS[name])
    value = Summary.Value(tag=f"figures/{name}", image=content, metadata=says)
    return Event(wall_time=time.time(), step=update, summary=Summary(value=[value]))


def legend(scene: Scene) -> Event:
    """What each figure shows, or why it is left out, as a text of TensorBoard's."""
    drawn = {
        *FIGURES,
        "loss",
        *(["shares"] if len(scene.shares) > 1 else []),
    } - scene.missing.keys()
    lines = [f"- **{name}**: {say}" for name, say in SAYS.items() if name in drawn]
    lines += [f"- **{name}** is left out: {why}" for name, why in scene.missing.items()]
    words = TensorProto(dtype=DataType.DT_STRING, string_val=["\n".join(lines).encode()])
    words.tensor_shape.dim.add(size=1)
    value = Summary.Value(
        tag="figures", tensor=words, metadata=text.create_summary_metadata("", "")
    )
    return Event(wall_time=time.time(), step=0, summary=Summary(value=[value]))


def events(scene: Scene) -> Iterator[Event]:
    """All that TensorBoard is told of a scene."""
    yield legend(scene)
    for name, update, figure in film(scene):
        yield event(name, update, figure)


def write_events(scene: Scene, run: Path) -> None:
    """Write the images of a run, in the place of those that it has."""
    older = list(run.glob(f"*{SUFFIX}"))
    # not by TensorBoard's name yet: it might read half of it
    partial = run / f".{os.getpid()}{SUFFIX}"
    with partial.open("wb") as file:
        writer = RecordWriter(file)
        first = Event(wall_time=time.time(), file_version="brain.Event:2")
        for each in (first, *events(scene)):
            writer.write(each.SerializeToString())
    for path in older:
        path.unlink(missing_ok=True)
    name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0"
    partial.rename(run / f"{name}{SUFFIX}")


def main() -> None:
    """Draw the scene on standard input into the events of a run."""
    os.nice(10)
    scene, run = pickle.load(sys.stdin.buffer), Path(sys.argv[1])
    try:
        write_events(scene, run)
    except OSError as failure:
        if run.is_dir():  # and not taken away meanwhile
            fail(f"figures: {failure.strerror}: {failure.filename or run}", failure, 1)


if __name__ == "__main__":
    main()
