"""What is exported, run by programs that know nothing of this package, against the run itself."""

import csv
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, Command
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from test_table import ship
from torch import Tensor, nn

from perceptrons import cli, export

SHORT = "--trainer.max_epochs 1 --data.passes 30 --model.optimizer Adam --model.optimizer.lr 0.05"
# each run's command; the networks and the data are of every kind
RUNS = {
    "perceptron": "--data Gates --data.gate and --model.net Perceptron",
    "constant": "--data Gates --data.gate or --data.constant_input true --model.net Perceptron",
    "mlp": "--data Moons --model.net MLP --model.net.hidden [4]",
    "normed": "--data Table --data.path ship.csv --data.target saved --data.test_fraction 0.2"
    " --model.net test_export.Normed",
    "iris": "--data Table --data.path iris.csv --data.target kind --data.val_fraction 0.2"
    " --model.net MLP --model.net.hidden [5] --model.loss cross_entropy",
}
FORMATS = {"onnx": "model.onnx", "torch": "model.pt2"}
# the networks of this file
TRUST = "--trust=test_export"

# reads a file and gives what it makes of points, in a process that cannot import the package
READERS = {
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(path)
results = [r.tolist() for r in session.run(None, {"x": points})]
meta = session.get_modelmeta().custom_metadata_map
notes = [meta["columns"], meta["classes"]]
""",
    "torch": """
import torch
extra = {"columns.json": "", "classes.json": ""}
module = torch.export.load(path, extra_files=extra).module()
with torch.no_grad():
    results = [r.tolist() for r in module(torch.from_numpy(points))]
notes = list(extra.values())
""",
}
READER = """
import json, sys, warnings
import numpy
warnings.simplefilter("ignore")
sys.modules["perceptrons"] = None
answers = {{}}
for path, points in json.load(sys.stdin).items():
    points = numpy.array(points)
    {reader}
    answers[path] = [results, *map(json.loads, notes)]
print(json.dumps(answers))
"""


class Normed(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, 6), nn.LayerNorm(6), nn.Dropout(0.2), nn.Tanh(), nn.Linear(6, outputs)
        )


class Branching(nn.Module):
    """Cannot be traced: which way it goes hangs on its inputs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x)
        return logits if x.sum() > 0 else -logits


class Made(NamedTuple):
    """What the runs predicted, and what others made of their exports, by run and format."""

    directory: Path
    predicted: dict[str, dict[str, list[str]]]
    points: dict[str, NDArray[np.float64]]
    answers: dict[tuple[str, str], Any]


def points_of(directory: Path, name: str) -> NDArray[np.float64]:
    """A run's rows as another program would have them: numbers, and 0 or 1 for each text."""
    if name in ("perceptron", "constant"):
        return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    if name == "iris":
        return np.asarray(load_iris().data, np.float64)
    if name == "mlp":
        columns = predictions(directory, name)
        return np.array([columns["x1"], columns["x2"]], np.float64).T
    frame = ship()
    decks = [frame["deck"] == deck for deck in "ABC"]
    one_hot = [frame["sex"] == "male", *decks, frame["alone"]]
    return np.stack([frame["age"], frame["fare"], *one_hot], 1).astype(np.float64)


def predictions(directory: Path, name: str) -> dict[str, list[str]]:
    with (directory / "lightning_logs" / name / "version_0" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {column: [row[column] for row in rows] for column in rows[0]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    directory = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr("sys.argv", ["perceptrons"])
        ship().to_csv("ship.csv", index=False)
        iris = load_iris(as_frame=True).frame
        iris["kind"] = iris.pop("target").map(
            dict(enumerate(["setosa", "versicolor", "virginica"]))
        )
        iris.to_csv("iris.csv", index=False)
        for name, flags in RUNS.items():
            cli.main(f"fit --name {name} {flags} {SHORT}".split())
            cli.main(f"predict --ckpt_path best --name {name} {TRUST}".split())
            for format_ in FORMATS:
                export.main([f"{name}/version_0", "--format", format_, TRUST])
    made = Made(directory, {}, {}, {})
    for name in RUNS:
        made.predicted[name] = predictions(directory, name)
        made.points[name] = points_of(directory, name)
    for format_, file in FORMATS.items():
        paths = {
            str(directory / "lightning_logs" / name / "version_0" / file): points.tolist()
            for name, points in made.points.items()
        }
        for path, answer in read(format_, paths).items():
            made.answers[Path(path).parts[-3], format_] = answer
    return made


def read(format_: str, paths: dict[str, Any]) -> dict[str, Any]:
    """What a program of its own, without this package, makes of files and points."""
    reader = READERS[format_].strip().replace("\n", "\n    ")
    done = subprocess.run(
        [sys.executable, "-c", READER.format(reader=reader)],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def numbered(columns: dict[str, list[str]], start: str) -> NDArray[np.float64]:
    """The columns whose names start so, side by side."""
    found = [values for name, values in columns.items() if name.startswith(start)]
    return np.array(found, np.float64).T


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", RUNS)
def test_an_export_says_of_the_users_own_rows_what_the_run_said(
    made: Made, name: str, format_: str
) -> None:
    (logits, probabilities), _, _ = made.answers[name, format_]
    said = made.predicted[name]
    np.testing.assert_allclose(logits, numbered(said, "logit"), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, numbered(said, "probability"), rtol=1e-4, atol=1e-5)
    assert np.ptp(numbered(said, "probability")) > 0.1


@pytest.mark.parametrize("format_", FORMATS)
def test_an_export_names_its_columns_and_classes(made: Made, format_: str) -> None:
    names = {name: made.answers[name, format_][1:] for name in RUNS}
    assert names["perceptron"] == names["constant"] == [["x1", "x2"], ["0", "1"]]
    columns = ["age", "fare", "sex=male", "deck=A", "deck=B", "deck=C", "alone=True"]
    assert names["normed"] == [columns, ["no", "yes"]]
    assert names["iris"] == [load_iris().feature_names, ["setosa", "versicolor", "virginica"]]


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_an_export_takes_any_number_of_rows(made: Made, rows: int) -> None:
    for format_, file in FORMATS.items():
        path = made.directory / "lightning_logs" / "iris" / "version_0" / file
        points = torch.from_numpy(np.resize(made.points["iris"], (rows, 4)))
        logits, probabilities = export.FORMATS[format_].read(path.read_bytes())(points)
        assert logits.shape == probabilities.shape == (rows, 3)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(rows))


def exported(command: Command, made: Made, words: str, monkeypatch: Any) -> Any:
    monkeypatch.chdir(made.directory)
    return command(f"export {words}")


def test_an_export_is_written_where_it_is_asked_for_and_says_so(
    made: Made, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "and.pt2"
    finished = exported(
        command, made, f"perceptron/version_0 --format torch --kind last --out {out}", monkeypatch
    )
    assert (finished.status, finished.err) == (0, "")
    assert out.is_file()
    lines = finished.out.splitlines()
    assert lines[0] == "x (rows, 2) float64: x1, x2"
    assert lines[-1] == f"written: {out}"


def test_single_precision_is_taken_where_it_is_asked_for(
    made: Made, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from onnxruntime import InferenceSession

    out = tmp_path / "iris.onnx"
    words = f"iris/version_0 --format onnx --single --out {out}"
    assert exported(command, made, words, monkeypatch).status == 0
    session = InferenceSession(out)
    assert session.get_inputs()[0].type == "tensor(float)"
    (logits,) = session.run(["logits"], {"x": made.points["iris"].astype(np.float32)})
    (own, _), *_ = made.answers["iris", "onnx"]
    np.testing.assert_allclose(logits, own, rtol=1e-3, atol=1e-4)


def test_a_study_is_exported_with_its_replicas_last(in_tmp: Path, command: Command) -> None:
    flags = "--data Gates --model.net MLP --model.net.hidden [2] --model.net.replicas 3"
    assert command(f"fit --name study {flags} {SHORT}").status == 0
    assert command("export study/version_0 --format torch").status == 0
    content = (in_tmp / "lightning_logs" / "study" / "version_0" / "model.pt2").read_bytes()
    logits, _ = export.FORMATS["torch"].read(content)(torch.zeros(4, 2, dtype=torch.float64))
    assert logits.shape == (4, 1, 3)


def test_nothing_is_written_where_what_is_exported_says_otherwise(
    made: Made, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = export.FORMATS["torch"].read

    def slightly_off(content: bytes) -> Callable[[Tensor], export.Results]:
        run = right(content)
        return lambda points: (run(points)[0] + 0.001, run(points)[1])

    wrong = export.FORMATS["torch"]._replace(read=slightly_off)
    monkeypatch.setitem(export.FORMATS, "torch", wrong)
    out = tmp_path / "and.pt2"
    finished = exported(
        command, made, f"perceptron/version_0 --format torch --out {out}", monkeypatch
    )
    assert finished.status == 1
    line = "perceptrons: error: what was exported is off by 0.001 from"
    assert finished.err.startswith(line)
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("nix --format onnx", "run='nix': no such run; choose one of "),
        (
            "perceptron/version_1 --format onnx",
            "run='perceptron/version_1': no such run; choose one of ",
        ),
        ("iris/version_0", "--format: missing"),
        ("--format onnx", "run: missing"),
        ("iris/version_0 --format onx", "--format: invalid choice: 'onx' (choose from "),
        ("iris/version_0 --format onnx --kind x", "--kind: invalid choice: 'x' (choose from "),
        ("iris/version_0 --format onnx --out .", "--out='.': is a directory"),
        ("iris/version_0 --fromat onnx", "--format: missing"),
        ("iris/version_0 --format onnx --ot x", "--ot: no such argument; did you mean --out?"),
    ],
)
def test_a_wrong_export_costs_one_line(
    made: Made, command: Command, monkeypatch: pytest.MonkeyPatch, words: str, line: str
) -> None:
    finished = exported(command, made, words, monkeypatch)
    assert finished.status == 2
    (said,) = finished.err.splitlines()
    assert said.startswith(f"perceptrons: error: {line}")


def test_a_file_that_cannot_be_written_is_named(
    made: Made, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "perceptron/version_0 --format torch --out iris.csv/and.pt2"
    finished = exported(command, made, words, monkeypatch)
    assert finished.status == 1
    assert finished.err.startswith("perceptrons: error: --out='iris.csv/and.pt2': ")


def test_a_run_without_a_checkpoint_is_named(in_tmp: Path, command: Command) -> None:
    (in_tmp / "run").mkdir()
    (in_tmp / "run" / "config.yaml").write_text("")
    finished = command("export run --format torch")
    assert finished.status == 2
    assert finished.err == "perceptrons: error: run='run': has no checkpoint best\n"


def test_what_is_not_installed_is_said_with_how_to_install_it(
    made: Made, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    lacking = "onnxscript"
    monkeypatch.setattr(
        "perceptrons.export.find_spec",
        lambda name: None if name == lacking else there(name),
    )
    finished = exported(command, made, "iris/version_0 --format onnx", monkeypatch)
    assert finished.status == 2
    line = "--format='onnx': needs onnxscript; pip install -e '.[export]' installs it"
    assert finished.err == f"perceptrons: error: {line}\n"


def test_a_network_that_cannot_be_traced_is_named(in_tmp: Path, command: Command) -> None:
    flags = "--data Gates --model.net test_export.Branching"
    assert command(f"fit --name branching {flags} {SHORT}").status == 0
    finished = command(f"export branching/version_0 --format torch {TRUST}")
    assert finished.status == 2
    (line,) = finished.err.splitlines()
    assert line.startswith("perceptrons: error: Branching: cannot be exported: ")
    assert not list(in_tmp.rglob("*.pt2"))


def test_help_says_what_there_is_and_imports_nothing_slow() -> None:
    program = "import sys; from perceptrons.export import parser; parser().format_help();"
    program += (
        "sys.exit(bool({'onnx', 'onnxscript', 'onnxruntime', 'lightning'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
