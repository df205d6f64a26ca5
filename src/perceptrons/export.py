"""``perceptrons export``: a run's network for others, with all that is done to its inputs.

What is written takes rows of points ``x (rows, columns)`` as the user knows them, in double
precision as files have them, and gives ``logits`` and ``probabilities (rows, outputs)``.
"""

import argparse
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from perceptrons import runs
from perceptrons.commands import COMMANDS
from perceptrons.mistakes import choose, fail
from perceptrons.predictions import predict
from perceptrons.verbs import Parser

if TYPE_CHECKING:  # seconds, which --help does not need
    from perceptrons.classifier import Classifier
    from perceptrons.tables import TableData

OUTPUTS = ("logits", "probabilities")
# what the same sums in another order may differ by
RELATIVE, ABSOLUTE = 1e-4, 1e-5

Results = tuple[Tensor, Tensor]
Notes = dict[str, list[str]]


class Exported(nn.Module):
    """What a run makes of points: its data's encoding, its network, and probabilities."""

    def __init__(self, model: "Classifier", data: "TableData") -> None:
        super().__init__()
        self.net, self.classes, self.encode = model.net, model.classes, data.from_points

    def forward(self, x: Tensor) -> Results:
        logits = self.net(self.encode(x).float())
        return logits, predict(x, logits, self.classes).probabilities


class Format(NamedTuple):
    """A format to export to.

    Attributes:
        suffix: How its files end.
        needs: Packages that it takes.
        write: The file's content, from a traced program and notes for its reader.
        read: What a program makes of points by the content alone.
    """

    suffix: str
    needs: tuple[str, ...]
    write: Callable[[Any, Notes], bytes]
    read: Callable[[bytes], Callable[[Tensor], Results]]


def main(words: list[str]) -> None:
    """Export a run's network.

    Raises:
        SystemExit: With status 2 if there is no such run, or its network cannot be exported.
    """
    given = parser().parse_args(words)
    run, format_ = found(given.run), FORMATS[given.format]
    out = given.out or run / f"model{format_.suffix}"
    if out.is_dir():
        fail(f"--out={str(out)!r}: is a directory")
    if missing := [name for name in format_.needs if find_spec(name) is None]:
        needed = f"needs {', '.join(missing)}; pip install -e '.[export]' installs it"
        fail(f"--format={given.format!r}: {needed}")
    model, data = loaded(run, given.kind, given.trust)
    points = data.as_points().to(torch.float32 if given.single else torch.float64)
    program = traced(Exported(model, data).eval(), points[:3])
    classes = [*data.class_names] or [str(number) for number in range(model.classes)]
    content = written(format_, program, {"columns": data.point_names, "classes": classes})
    off = difference(model, data.split["all"][0], format_.read(content)(points))
    try:
        runs.write_whole(out, content)
    except OSError as failure:
        fail(f"--out={str(out)!r}: {failure.strerror}", failure, status=1)
    kind = "float32" if given.single else "float64"
    print(f"x (rows, {data.point_width}) {kind}: {', '.join(data.point_names)}")
    print(f"off by {off:.1g} at most from what the run says of its {len(points)} rows")
    print(f"\nwritten: {out}")


def parser() -> argparse.ArgumentParser:
    said = COMMANDS["export"][1]
    made = Parser("perceptrons export", description=said, allow_abbrev=False)
    made.add_argument("run", help="a run: its directory, or <name>/version_<n>")
    made.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="onnx, for ONNX Runtime and its like; torch, for torch.export.load",
    )
    made.add_argument(
        "--kind", choices=("best", "last"), default="best", help="which of its checkpoints (best)"
    )
    made.add_argument(
        "--out", type=Path, help="the file; by default model.onnx or model.pt2 in the run"
    )
    made.add_argument(
        "--single", action="store_true", help="have it take float32, where files have float64"
    )
    made.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="let the run name classes of this package; may be there several times",
    )
    return made


def found(name: str) -> Path:
    """A run by its directory, or by ``<name>/version_<n>``."""
    for path in (Path(name), Path(runs.ROOT, name)):
        if (path / "config.yaml").is_file():
            return path
    known = [f"{run.parent.name}/{run.name}" for run in runs.newest(Path(runs.ROOT), None)]
    near = choose(name, known) if known else f"there is none in {runs.ROOT}"
    return fail(f"run={name!r}: no such run; {near}")


def loaded(run: Path, kind: str, trust: list[str]) -> "tuple[Classifier, TableData]":
    from perceptrons.notebook import load_run
    from perceptrons.tables import TableData

    try:
        model, data = load_run(run, kind, trust)
    except ValueError as mistake:
        fail(f"run={mistake}", mistake)
    if not isinstance(data, TableData):
        fail(f"run={str(run)!r}: its data is a {type(data).__name__}, which is no table")
    return model, data


def traced(module: Exported, points: Tensor) -> torch.export.ExportedProgram:
    """A module as torch's export sees it, for any number of rows."""
    shapes = ({0: torch.export.Dim("rows")},)
    try:
        with torch.no_grad(), unsaid():
            return torch.export.export(module, (points,), dynamic_shapes=shapes)
    except Exception as mistake:  # torch raises nearly anything here
        fail(f"{type(module.net).__name__}: cannot be exported: {reason(mistake)}", mistake)


def written(format_: Format, program: torch.export.ExportedProgram, notes: Notes) -> bytes:
    try:
        with unsaid():
            return format_.write(program, notes)
    except Exception as mistake:
        fail(f"--format: the network cannot be written in it: {reason(mistake)}", mistake)


def reason(mistake: Exception) -> str:
    """The first line of what torch says over many."""
    lines = (line.strip() for line in str(mistake).splitlines())
    return next(filter(None, lines), type(mistake).__name__)


@contextmanager
def unsaid() -> Iterator[None]:
    """Keep torch's exporters from saying how they go about it."""
    logger, said = logging.getLogger("torch.onnx"), io.StringIO()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def to_onnx(program: torch.export.ExportedProgram, notes: Notes) -> bytes:
    made = torch.onnx.export(program, input_names=["x"], output_names=OUTPUTS, verbose=False)
    assert made is not None
    for name, note in notes.items():
        made.model.metadata_props[name] = json.dumps(note)
    content: bytes = made.model_proto.SerializeToString()
    return content


def from_onnx(content: bytes) -> Callable[[Tensor], Results]:
    from onnxruntime import InferenceSession

    session = InferenceSession(content)

    def run(points: Tensor) -> Results:
        logits, probabilities = session.run(OUTPUTS, {"x": points.numpy()})
        return torch.from_numpy(logits), torch.from_numpy(probabilities)

    return run


def to_torch(program: torch.export.ExportedProgram, notes: Notes) -> bytes:
    buffer = io.BytesIO()
    texts = {f"{name}.json": json.dumps(note) for name, note in notes.items()}
    torch.export.save(program, buffer, extra_files=texts)
    return buffer.getvalue()


def from_torch(content: bytes) -> Callable[[Tensor], Results]:
    with unsaid():
        return torch.export.load(io.BytesIO(content)).module()


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), to_onnx, from_onnx),
    "torch": Format(".pt2", (), to_torch, from_torch),
}


@torch.inference_mode()
def difference(model: "Classifier", x: Tensor, results: Results) -> float:
    """The largest by which results differ from a run's own.

    Raises:
        SystemExit: If that is more than rounding.
    """
    own = predict(x, model(x), model.classes)
    pairs = list(zip((own.logits, own.probabilities), results, strict=True))
    off = max(float((one - other).abs().max()) for one, other in pairs)
    if not all(torch.allclose(*pair, RELATIVE, ABSOLUTE) for pair in pairs):
        fail(f"what was exported is off by {off:.2g} from the run; nothing is written", status=1)
    return off
