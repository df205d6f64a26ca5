"""``export``: a run's network as ONNX, for other programs.

What is exported takes rows of points ``x (rows, columns)`` as the user knows them, in double
precision as files have them, or those of an ordinary loader as it hands them out. It gives
``logits`` and ``probabilities (rows, outputs)``, or of a numeric target the ``prediction``.
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

from ...data.tables import TableData, first_batch
from ...runs.files import write_whole
from ...runs.text import say
from ...studies.members import FastMembers
from ...studies.record import Study
from ...studies.study import StudyModule, ensemble
from ..errors import PLAIN, fail
from ..load import load_run
from ..study import say_members

APART = 500  # members that a file has at most, where each is a network of its own
# what the same sums in another order may differ by
RELATIVE, ABSOLUTE = 1e-4, 1e-5
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}


class Exported(nn.Module):
    """What a run makes of points: its data's encoding, its network, and what its logits say."""

    def __init__(self, net: nn.Module, module: Any, data: Any) -> None:
        super().__init__()
        self.net = net
        self.encode = data.from_points if isinstance(data, TableData) else nn.Identity()
        self.predictions = getattr(module, "predictions", None)
        self.kind = next(net.parameters()).dtype

    def answers(self, x: Tensor) -> dict[str, Tensor]:
        """What is exported, by name."""
        x = self.encode(x)
        logits = self.net(x.to(self.kind) if x.is_floating_point() else x)
        said = self.predictions(logits) if self.predictions else {}
        if "prediction" in said:
            return {"prediction": said["prediction"]}
        chances = {"probabilities": said["probability"]} if "probability" in said else {}
        return {"logits": logits, **chances}

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (*self.answers(x).values(),)


class ExportedStudy(nn.Module):
    """What the members of a study make of points: the mean, and its standard deviation.

    Raises:
        ValueError: If they are too many for a file that has each of them apart.
    """

    def __init__(self, study: StudyModule) -> None:
        super().__init__()
        self.net, self.groups = study.used[0].net, nn.ModuleList(study.used)
        self.kind = next(self.net.parameters()).dtype
        self.apart = nn.ModuleList()  # the members, where vmap computes them, which no file takes
        if not isinstance(study.groups[0].members, FastMembers):
            alone = [
                group.members.member(at)
                for group in study.used
                for at in range(group.members.count)
            ]
            if len(alone) > APART:
                raise ValueError(f"{len(alone)} members are too many for a file; --member has one")
            self.apart.extend(alone)

    def answers(self, x: Tensor) -> dict[str, Tensor]:
        """What is exported, by name."""
        groups: Any = self.groups
        inputs = [group.data.from_points(x).to(self.kind) for group in groups]
        if self.apart:
            each = len(self.apart) // len(inputs)
            alone = [net(inputs[at // each])[..., None] for at, net in enumerate(self.apart)]
            logits = [torch.cat(alone[at : at + each], -1) for at in range(0, len(alone), each)]
        else:
            logits = [
                group.net(each[..., None]) for group, each in zip(groups, inputs, strict=True)
            ]
        said = [group.module.predictions for group in groups]
        found = ensemble([*zip(said, logits, strict=True)])
        name = next(iter(found))
        named = "probabilities" if name == "probability" else name
        return {named: found[name], "standard_deviations": found["standard deviation"]}

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (*self.answers(x).values(),)


def exported_module(loaded: Any, member: str | None) -> Exported | ExportedStudy:
    """What is exported of a run: its network, all members of a study, or one of them.

    Raises:
        ValueError: If there is no such member, or no network.
    """
    study, data = loaded
    if not isinstance(study, StudyModule):
        if member is not None:
            raise ValueError(f"member={member!r}: it is no study")
        if not hasattr(study, "net"):
            raise ValueError(f"{type(study).__name__} has no net, which is what is exported")
        return Exported(study.net, study, data)
    record, study.asked = Study(), member
    record.load_state_dict(loaded.checkpoint["callbacks"][record.state_key])
    record.choose(study)
    if study.member is None:
        return ExportedStudy(study)
    group, place = study.place_of(study.member)
    return Exported(group.members.member(place), group.module, group.data)


def write_export(given: Any) -> None:
    """Write a run's network in a format, once it is verified.

    Args:
        given: What the command was given: ``run``, ``format``, ``kind``, ``member``, ``out`` and
            ``single``.
    """
    run, name = given.run, "model" if given.member is None else f"member_{given.member}"
    out = given.out or run / f"{name}{SUFFIXES[given.format]}"
    if missing := [name for name in NEEDED[given.format] if find_spec(name) is None]:
        installed = f"needs {', '.join(missing)}; pip install -e '.[export]' installs it"
        fail(f"--format={given.format!r}: {installed}")
    try:
        loaded: Any = load_run(run, given.kind)
        module, data = loaded
        exported = exported_module(loaded, given.member).eval()
        points = points_of(data, given.single)
    except ValueError as mistake:
        fail(f"run={str(run)!r}: {mistake}", mistake)
    notes = notes_of(module, data)
    content, results = serialize(given.format, exported, points, notes)
    with torch.inference_mode():
        own = exported(points)
    off = max(float((one - other).abs().max()) for one, other in zip(own, results, strict=True))
    if not all(map(is_close, own, results)):
        fail(f"what was exported is off by {off:.2g} from the run; nothing is written", status=1)
    try:
        write_whole(out, content)
    except OSError as failure:
        fail(f"--out={str(out)!r}: {failure.strerror}", failure, status=1)
    say(f"checkpoint: {run / 'checkpoints' / given.kind}.ckpt")
    say_members(module)
    shape, kind = ", ".join(map(str, points.shape[1:])), str(points.dtype).rpartition(".")[2]
    say(f"x (rows, {shape}) {kind}: {', '.join(json.loads(notes['columns']))}".removesuffix(": "))
    say(f"verified against PyTorch on {len(points)} rows; largest difference {off:.1g}")
    say(f"\nwritten: {out}")


def points_of(data: Any, single: bool) -> Tensor:
    """Rows to verify an export by: those of a table, or else of the first batch."""
    if isinstance(data, TableData):
        return data.as_points().to(torch.float32 if single else torch.float64)
    batch = first_batch(data)
    x = batch[0] if isinstance(batch, list | tuple) else batch
    if not isinstance(x, Tensor):
        kind = type(data).__name__
        raise ValueError(f"to export a network, a batch of {kind} must start with a tensor")
    return x


def is_close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, RELATIVE, ABSOLUTE)


def notes_of(module: Any, data: Any) -> dict[str, str]:
    """What a reader of the file needs to know: its columns and classes."""
    classes = getattr(getattr(module, "user_module", module), "classes", 0) or 0
    names = [*getattr(data, "class_names", ())] or [*map(str, range(classes))]
    columns = getattr(data, "point_names", [])
    return {"columns": json.dumps(columns), "classes": json.dumps(names)}


def serialize(
    format_: str, module: Any, points: Tensor, notes: dict[str, str]
) -> tuple[bytes, list[Tensor]]:
    """The content of a file, and what a program makes of points by that alone."""
    shapes = ({0: torch.export.Dim("rows")},)
    try:
        with torch.no_grad(), quiet_exporters():
            program = torch.export.export(module, (points[:3],), dynamic_shapes=shapes)
            return (
                to_onnx(program, points, notes, [*module.answers(points[:3])])
                if format_ == "onnx"
                else to_torch(program, points, notes)
            )
    except Exception as mistake:  # torch raises nearly anything here
        lines = (line.strip() for line in str(mistake).splitlines())
        said = next(filter(None, lines), type(mistake).__name__)
        name = "" if isinstance(mistake, PLAIN) else f"{type(mistake).__name__}: "
        fail(f"{type(module.net).__name__}: cannot be exported: {name}{said}", mistake)


def to_onnx(
    program: Any, points: Tensor, notes: dict[str, str], names: list[str]
) -> tuple[bytes, list[Tensor]]:
    from onnxruntime import InferenceSession

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
def quiet_exporters() -> Iterator[None]:
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
