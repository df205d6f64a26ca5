"""The figures of a scene, and where they go: files, TensorBoard, the page, a moving picture.

Run as a program, it draws for TensorBoard and the page what comes in. A fit starts it at its end
and does not wait; it needs neither torch nor Lightning, which take seconds.
"""

import base64
import html
import io
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs.text import say
from .scene import Scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# what TensorBoard says of each
SAYS = {
    "boundary": "What the network says over its inputs, and the rows it learns from. The colour is"
    " the class, the paler the less sure; the line is where it changes; a cross is a row missed.",
    "network": "Its neurons and weights: solid positive, dashed negative, wide large. Over one or"
    " two inputs a neuron shows what it puts out, the darker the more; on its line its sum is 0.",
    "confusion": "How many rows of each class are given which class.",
    "probability": "How probable the right class is called, by class.",
    "predicted": "The predicted number of each row, over its target.",
    "importance": "Accuracy, or R2, lost where one input is shuffled between the rows.",
    "worst": "The rows that the network is most wrong about.",
    "members": "Of a study, the losses of its members.",
    "solved": "Of a study, the share of members that are solved, with its 95 % Wilson interval.",
    "loss": "What was measured while it trained.",
}
SUFFIX = ".figures"
FILES: dict[Any, Any] = {"font.size": 9.0, "figure.figsize": (3.9, 4.4)}
# TensorBoard's first page shows images at most 220 pixels high, whatever they have
BOARD: dict[Any, Any] = {"font.size": 12.0, "figure.figsize": (4.9, 3.4), "figure.dpi": 100.0}
DPI, PAGE_COLOURS = 200, 48
# processes that draw: kept, because Python warns of one that is forgotten
BESIDE: "list[subprocess.Popen[bytes]]" = []
# of a moving picture's frame, and of its last, in milliseconds
SHOWN_FOR, LAST_SHOWN_FOR = 120, 2500


def drawn(scene: Scene) -> "Iterator[tuple[str, Iterator[tuple[int, Figure]]]]":
    """Name, updates and figures, one after another."""
    from . import diagrams, plots

    updates = scene.updates.tolist()
    for name, frame_of in (("boundary", plots.boundary), ("network", diagrams.network)):
        if name not in scene.missing:
            yield name, ((at, frame_of(scene, frame)) for frame, at in enumerate(updates))
    single: dict[str, Callable[[Scene], Figure]] = {}
    if has_curves(scene):
        single = {"loss": lambda scene: plots.curves([scene])}
    if scene.parts:
        classified = {"confusion": plots.confusion, "probability": plots.probability}
        single |= classified if scene.classes else {"predicted": plots.predicted}
        single |= {"worst": plots.worst}
        single |= {"importance": plots.importance} if len(scene.importance) else {}
    if scene.study:
        single |= {"members": plots.members} if scene.study.losses.size else {}
        single |= {"solved": plots.solved} if scene.study.settings else {}
    end = int(max([*scene.reports[-1:], *scene.updates[-1:], 0]))
    for name, draw in single.items():
        yield name, ((end, each(scene)) for each in (draw,))


def has_curves(scene: Scene) -> bool:
    """Whether there are reports to draw curves of: a member of many may have its last alone."""
    return scene.study is None or len(scene.reports) > 1


def pictures(scene: Scene, names: Sequence[str] = tuple(SAYS)) -> dict[str, tuple[str, int]]:
    """The last picture of each figure, as addresses that hold it, and half its width.

    So it is sharp where two of the screen's pixels are one of the page's.
    """
    from matplotlib import rc_context
    from PIL import Image

    found = {}
    with rc_context(FILES):
        for name, frames in drawn(scene):
            if name in names:
                file = io.BytesIO()
                picture = Image.open(io.BytesIO(png([*frames][-1][1], DPI))).convert("RGB")
                few = picture.quantize(PAGE_COLOURS, Image.Quantize.MAXCOVERAGE)  # keeps points
                few.convert("RGB").save(file, "webp", lossless=True)
                data = base64.b64encode(file.getvalue()).decode()
                found[name] = f"data:image/webp;base64,{data}", picture.width // 2
    return found


def plot(scenes: Sequence[Scene], folder: Path, animate: bool = False) -> Iterator[str]:
    """Draw a run, or several in one figure, into files; lines that say what was done.

    Args:
        scenes: The runs.
        folder: Where to write.
        animate: Whether to write ``boundary.gif`` too, of a single run.

    Raises:
        ValueError: If what is to move has no plane.
        OSError: If the folder cannot be written to.
    """
    from matplotlib import rc_context

    from . import plots

    with rc_context(FILES):
        if len(scenes) > 1:
            if moving := [each for each in scenes if has_curves(each)]:
                yield from write(plots.curves(moving), folder / "losses")
            yield from write(plots.gallery(scenes, min(len(scenes), 4)), folder / "comparison")
            return
        if not has_curves(scenes[0]):
            yield "no loss: so large a study keeps no snapshots; members has the losses"
        for name, reason in scenes[0].missing.items():
            yield f"no {name}: {reason}"
        for name, frames in drawn(scenes[0]):
            every = [figure for _, figure in frames] if name == "boundary" else [[*frames][-1][1]]
            yield from write(every[-1], folder / name)
            if name == "boundary" and animate:
                yield from write_moving(every, folder / "boundary.gif")
    if animate and "boundary" in scenes[0].missing:
        raise ValueError(f"--animate: {scenes[0].missing['boundary']}")


def write(figure: "Figure", path: Path) -> Iterator[str]:
    """Write a figure as PNG and SVG, the same bytes for the same figure."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": path.name}):
        for kind, metadata in (("png", {}), ("svg", {"Date": None})):
            target = path.with_suffix(f".{kind}")
            figure.savefig(target, dpi=DPI, metadata=metadata)
            yield str(target)


def write_moving(every: "Sequence[Figure]", path: Path) -> Iterator[str]:
    """Write figures as one moving picture."""
    from PIL import Image

    pictures = [Image.open(io.BytesIO(png(figure, 100))).quantize(64) for figure in every]
    times = [SHOWN_FOR] * (len(pictures) - 1) + [LAST_SHOWN_FOR]
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=times, loop=0, optimize=True)
    yield str(path)


def png(figure: "Figure", dpi: float) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi, pil_kwargs={"compress_level": 3})
    return file.getvalue()


def board_events(scene: Scene) -> Iterator[Any]:
    """All that TensorBoard is told of a scene."""
    from matplotlib import rc_context

    lines = [f"- **{name}** is left out: {escape(why)}" for name, why in scene.missing.items()]
    with rc_context(BOARD):
        for name, frames in drawn(scene):
            lines.insert(0, f"- **{name}**: {SAYS[name]}")
            for update, figure in frames:
                yield image_event(f"figures/{name}", update, png(figure, BOARD["figure.dpi"]))
    yield text_event("figures", "\n".join(lines))


def image_event(tag: str, update: int, content: bytes) -> Any:
    """What TensorBoard reads as an image."""
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.image import metadata

    width, height = Image.open(io.BytesIO(content)).size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content)
    kind = metadata.create_summary_metadata(tag, SAYS[tag.partition("/")[2]])
    return event(Summary.Value(tag=tag, image=image, metadata=kind), update)


def text_event(tag: str, words: str, update: int = 0) -> Any:
    """What TensorBoard reads as a text, in Markdown."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text import metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    kind = metadata.create_summary_metadata("", "")
    tensor = make_tensor_proto([words.encode()])
    return event(Summary.Value(tag=f"{tag}/text_summary", tensor=tensor, metadata=kind), update)


def event(value: Any, update: int = 0) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Event(wall_time=time.time(), step=update, summary=Summary(value=[value]))


def escape(text: object) -> str:
    """Text from a file as it may stand in TensorBoard's Markdown: no HTML, no link, no table."""
    line = html.escape(" ".join(str(text).split()), quote=False)
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()#+!|~" else sign for sign in line)


def write_events(run: Path, events: Iterable[Any]) -> None:
    """Write figures for TensorBoard whole, in the place of those that a run has."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    # not by TensorBoard's name yet: it might read half of it
    partial = run / f"{SUFFIX}.{os.getpid()}.partial"
    try:
        with partial.open("wb") as file:
            writer = RecordWriter(file)
            for each in (Event(wall_time=time.time(), file_version="brain.Event:2"), *events):
                writer.write(each.SerializeToString())
        for path in run.glob(f"events.out.tfevents.*{SUFFIX}"):
            path.unlink(missing_ok=True)
        host = f"{socket.gethostname()}.{os.getpid()}.0"
        written = int(time.time()) + 1  # behind what this second has begun: read by name
        partial.rename(run / f"events.out.tfevents.{written:010d}.{host}{SUFFIX}")
    finally:
        partial.unlink(missing_ok=True)


def draw_beside(scene: Scene, run: Path, board: bool = True, page: Any = None) -> None:
    """Have a scene drawn by another process, and go on meanwhile.

    Args:
        scene: The scene.
        run: The run's directory.
        board: Whether to draw for TensorBoard.
        page: A file and the run that its page shows, which gets pictures.
    """
    paths = os.pathsep.join(filter(None, sys.path))
    try:
        with tempfile.TemporaryFile() as file:
            pickle.dump((scene, run, board, page), file)
            file.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=file,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            )
            BESIDE.append(process)
    except OSError as failure:  # a full disk, which takes nothing from what the run has found
        say(f"no figures: {failure.strerror or failure}")


def main() -> None:
    """Draw the scene on standard input for a run."""
    from .page.page import add_pictures, write_page

    os.nice(10)
    scene, run, board, page = pickle.load(sys.stdin.buffer)
    if page and run.is_dir():
        write_page(page[0], [add_pictures(page[1], scene)])
    if board and run.is_dir():  # and not taken away meanwhile
        write_events(run, board_events(scene))


if __name__ == "__main__":
    main()
