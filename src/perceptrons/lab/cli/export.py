"""``export``: a run's network for other programs, with all that is done to its inputs.

What is written takes rows of points ``x (rows, columns)`` as the user knows them, in double
precision as files have them, and gives ``logits`` and ``probabilities (rows, outputs)``.
"""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ..data.tables import TableData
from ..runs.files import write_whole
from ..runs.text import say
from .errors import PLAIN, fail
from .load import load_run

OUTPUTS = ["logits", "probabilities"]
# what the same sums in another order may differ by
RELATIVE, ABSOLUTE = 1e-4, 1e-5
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}


class Exported(nn.Module):
    """What a run makes of points: its data's encoding, its network, and probabilities."""

    def __init__(self, module: Any, data: TableData) -> None:
        super().__init__()
        self.net, self.encode = module.net, data.from_points
        self.predictions = getattr(module, "predictions", None)
        self.kind = next(module.parameters()).dtype

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        logits = self.net(self.encode(x).to(self.kind))
        said = self.predictions(logits) if self.predictions else {}
        return (logits, said["probability"]) if "probability" in said else (logits,)


def write_export(given: Any) -> None:
    """Write a run's network in a format, once it is verified.

    Args:
        given: What the command was given: ``run``, ``format``, ``kind``, ``out`` and ``single``.
    """
    run, out = given.run, given.out or given.run / f"model{SUFFIXES[given.format]}"
    if missing := [name for name in NEEDED[given.format] if find_spec(name) is None]:
        installed = f"needs {', '.join(missing)}; pip install -e '.[export]' installs it"
        fail(f"--format={given.format!r}: {installed}")
    try:
        module, data = load_run(run, given.kind)
    except ValueError as mistake:
        fail(f"run={str(run)!r}: {mistake}", mistake)
    if not isinstance(data, TableData) or not hasattr(module, "net"):
        fail(f"run={str(run)!r}: only a network of a table is exported, which this run has not")
    points = data.as_points().to(torch.float32 if given.single else torch.float64)
    exported = Exported(module, data).eval()
    content, results = written(given.format, exported, points, notes_of(module, data))
    with torch.inference_mode():
        own = exported(points)
    off = max(float((one - other).abs().max()) for one, other in zip(own, results, strict=True))
    if not all(map(close, own, results)):
        fail(f"what was exported is off by {off:.2g} from the run; nothing is written", status=1)
    try:
        write_whole(out, content)
    except OSError as failure:
        fail(f"--out={str(out)!r}: {failure.strerror}", failure, status=1)
    kind = "float32" if given.single else "float64"
    say(f"x (rows, {data.point_width}) {kind}: {', '.join(data.point_names)}")
    say(f"verified against PyTorch on {len(points)} rows; largest difference {off:.1g}")
    say(f"\nwritten: {out}")


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, RELATIVE, ABSOLUTE)


def notes_of(module: Any, data: TableData) -> dict[str, str]:
    """What a reader of the file needs to know: its columns and classes."""
    classes = [*data.class_names] or [str(n) for n in range(getattr(module, "classes", 0) or 0)]
    return {"columns": json.dumps(data.point_names), "classes": json.dumps(classes)}


def written(
    format_: str, module: Exported, points: Tensor, notes: dict[str, str]
) -> tuple[bytes, list[Tensor]]:
    """The content of a file, and what a program makes of points by that alone."""
    shapes = ({0: torch.export.Dim("rows")},)
    try:
        with torch.no_grad(), unsaid():
            program = torch.export.export(module, (points[:3],), dynamic_shapes=shapes)
            return (to_onnx if format_ == "onnx" else to_torch)(program, points, notes)
    except Exception as mistake:  # torch raises nearly anything here
        lines = (line.strip() for line in str(mistake).splitlines())
        said = next(filter(None, lines), type(mistake).__name__)
        name = "" if isinstance(mistake, PLAIN) else f"{type(mistake).__name__}: "
        fail(f"{type(module.net).__name__}: cannot be exported: {name}{said}", mistake)


def to_onnx(program: Any, points: Tensor, notes: dict[str, str]) -> tuple[bytes, list[Tensor]]:
    from onnxruntime import InferenceSession

    names = OUTPUTS[: len(program.graph_signature.user_outputs)]
    made = torch.onnx.export(program, input_names=["x"], output_names=names, verbose=False)
    assert made is not None
    made.model.metadata_props.update(notes)
    content: bytes = made.model_proto.SerializeToString()
    results = InferenceSession(content).run(names, {"x": points.numpy()})
    return content, [torch.from_numpy(each) for each in results]


def to_torch(program: Any, points: Tensor, notes: dict[str, str]) -> tuple[bytes, list[Tensor]]:
    buffer = io.BytesIO()
    texts = {f"{name}.json": note for name, note in notes.items()}
    torch.export.save(program, buffer, extra_files=texts)
    content = buffer.getvalue()
    return content, [*torch.export.load(io.BytesIO(content)).module()(points)]


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
