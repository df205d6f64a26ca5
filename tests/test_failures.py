"""Errors in classes of the user's own: one line that says where; and what is tried in advance."""

import re
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from conftest import Command, quiet_trainer
from torch import Tensor, nn

import perceptrons
from perceptrons.classifier import Classifier
from perceptrons.data import Gates
from perceptrons.loader import Rows
from perceptrons.tables import TableData
from perceptrons.trial import try_update

XOR = "fit --config configs/xor.yaml --data.passes 1 --trainer.max_epochs 2 --name mine"
OWN = "fit --model.net MLP --trainer.max_epochs 1 --name mine --data test_failures.OwnData"
HERE = Path(__file__)


class Net(nn.Module):
    """A network that fails as it is told."""

    def __init__(self, inputs: int, how: str = "", size: int = 2) -> None:
        super().__init__()
        self.how, self.given = how, 0
        self.layer, self.wrong = nn.Linear(inputs, 1), nn.Linear(size + 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.given += self.training
        if self.how == "value":
            raise ValueError("the size is wrong")
        if self.how == "key":
            self.layer = {"layer": self.layer}["lair"]
        if self.how == "shape":
            return self.apply_wrong(x)
        if self.how == "evaluated" and not self.training:
            raise AssertionError
        if self.how == "late" and self.given > 5:
            raise RuntimeError("too late")
        return torch.as_tensor(self.layer(x))

    def apply_wrong(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.wrong(x))


class OwnData(TableData):
    """Data that fail as they are told."""

    inputs, outputs, classes = 2, 1, 2

    def __init__(self, how: str = "", file: str = "", **table: Any) -> None:
        super().__init__(**table)
        self.how, self.file = how, file
        if how == "made":
            float("three")

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if self.how == "said":
            raise ValueError(f"how={self.how!r}: choose one of sad, side")
        if self.how == "setup":
            raise OverflowError("too many rows")

    def tables(self) -> dict[str, Rows]:
        if self.file:
            Path(self.file).read_text()
        x, y = torch.eye(2), torch.eye(2)[:, :1]
        table = (x, y[:, 0] if self.how == "flat" else y)
        return dict.fromkeys(("train", "val", "test", "all"), table)


class Speechless(L.LightningDataModule):
    """Data that do not say how many inputs there are."""


class Loss(nn.Module):
    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return torch.stack([logits, y.new_zeros(1)]).mean()


class Watch(L.Callback):
    def __init__(self, how: str = "made") -> None:
        if how == "made":
            raise LookupError("nothing to watch")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        raise LookupError("nothing was watched")


class Unsized(nn.Module):
    """A network that is not told what the data has, whose only weight is a number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x[:, :1]


class Uncopied(Unsized):
    def __deepcopy__(self, memo: dict[int, Any]) -> "Uncopied":
        raise TypeError("there is but one of me")


class Restless(nn.Module):
    """A network that draws random numbers and keeps statistics of what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(), nn.Linear(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.layers(x))


def place(code: str) -> str:
    """How a line says that a line of this file has raised an error, or called what has."""
    lines = HERE.read_text().splitlines()
    number = next(at for at, line in enumerate(lines, 1) if line.strip() == code)
    defined = [line for line in lines[:number] if line.strip().startswith("def ")]
    function = defined[-1].split("def ")[1].split("(")[0]
    return f"; at {HERE}:{number} in {function}; PERCEPTRONS_DEBUG=1 shows the traceback"


def faults(*rows: tuple[str, str, str]) -> list[Any]:
    return [pytest.param(*row, id=row[0]) for row in rows]


BEFORE = faults(
    (
        f"{XOR} --model.net test_failures.Net --model.net.how value --model.net.size 3",
        "model.net='test_failures.Net': the size is wrong",
        'raise ValueError("the size is wrong")',
    ),
    (
        f"{XOR} --model.net test_failures.Net --model.net.how key",
        "model.net='test_failures.Net': KeyError: 'lair'",
        'self.layer = {"layer": self.layer}["lair"]',
    ),
    (
        f"{XOR} --model.net test_failures.Net --model.net.how shape",
        "model.net='test_failures.Net': mat1 and mat2 shapes cannot be multiplied (2x2 and 3x1)",
        "return torch.as_tensor(self.wrong(x))",
    ),
    (
        f"{XOR} --model.net test_failures.Net --model.net.how evaluated",
        "model.net='test_failures.Net': AssertionError",
        "raise AssertionError",
    ),
    (
        f"{XOR} --model.loss test_failures.Loss",
        "model.loss='test_failures.Loss': stack expects each tensor to be equal size, but got"
        " [4, 1] at entry 0 and [1] at entry 1",
        "return torch.stack([logits, y.new_zeros(1)]).mean()",
    ),
    (
        f"{XOR} --trainer.callbacks test_failures.Watch",
        "trainer.callbacks='test_failures.Watch': LookupError: nothing to watch",
        'raise LookupError("nothing to watch")',
    ),
    (
        f"{OWN} --data.how made",
        "data='test_failures.OwnData': could not convert string to float: 'three'",
        'float("three")',
    ),
    (
        f"{OWN} --data.how setup",
        "data='test_failures.OwnData': OverflowError: too many rows",
        'raise OverflowError("too many rows")',
    ),
    (
        f"{OWN} --data.file nosuch.csv",
        "data.file='nosuch.csv': [Errno 2] No such file or directory: 'nosuch.csv'",
        "Path(self.file).read_text()",
    ),
)


@pytest.mark.parametrize(("words", "line", "code"), BEFORE)
def test_an_error_before_the_training_costs_one_line_with_its_place(
    command: Command, words: str, line: str, code: str
) -> None:
    finished = command(words)
    assert finished.err == f"perceptrons: error: {line}{place(code)}\n"
    assert finished.status == 2
    assert not list(Path.cwd().rglob("version_*"))


@pytest.mark.parametrize(
    ("flags", "line", "code"),
    faults(
        (
            "--model.net test_failures.Net --model.net.how late --data.passes 9",
            "model.net='test_failures.Net': too late",
            'raise RuntimeError("too late")',
        ),
        (
            "--trainer.callbacks test_failures.Watch --trainer.callbacks.how watched",
            "trainer.callbacks='test_failures.Watch': LookupError: nothing was watched",
            'raise LookupError("nothing was watched")',
        ),
    ),
)
def test_an_error_while_training_costs_one_line_and_leaves_the_run(
    command: Command, flags: str, line: str, code: str
) -> None:
    finished = command(f"{XOR} {flags}")
    assert finished.err == f"perceptrons: error: {line}{place(code)}\n"
    assert finished.status == 1
    assert Path("lightning_logs/mine/version_0/config.yaml").exists()


def test_a_setting_that_data_refuse_by_its_name_needs_no_place(command: Command) -> None:
    finished = command(f"{OWN} --data.how said")
    allowed = "choose one of sad, side; did you mean sad?"
    assert finished.err == f"perceptrons: error: data.how='said': {allowed}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            f"{OWN} --data.how flat",
            "data='test_failures.OwnData': y has the shape (2,), not (rows, 1)",
        ),
        (
            "fit --model.net MLP --data test_failures.Speechless",
            "data='Speechless': must say how many inputs it has, by an attribute",
        ),
    ],
)
def test_data_that_no_network_can_be_made_for_are_refused(
    command: Command, words: str, line: str
) -> None:
    finished = command(words)
    assert (finished.status, finished.err) == (2, f"perceptrons: error: {line}\n")


@pytest.mark.parametrize("verb", ["fit", "test"])
def test_the_users_error_is_raised_instead_where_it_is_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("PERCEPTRONS_DEBUG", "1")
    with pytest.raises(OverflowError, match="too many rows"):
        command(f"{verb} --model.net MLP --data test_failures.OwnData --data.how setup")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'; at {file}:1 in <module>"),
        ("import os\n\nos.nosuch()", "AttributeError: .*; at {file}:3 in <module>"),
        ("def broken(:", r"SyntaxError: invalid syntax \(mine.py, line 1\)"),
    ],
)
def test_a_file_of_the_users_that_cannot_be_imported_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    Path("package").mkdir()
    file = Path("package", "mine.py").absolute()
    file.write_text(source)
    there = [*perceptrons.__path__, str(file.parent)]
    monkeypatch.setattr(perceptrons, "__path__", there)
    finished = command(XOR)
    line = "package/mine.py: cannot be imported: " + said.format(file="package/mine.py")
    assert re.match(f"perceptrons: error: {line}", finished.err)
    assert finished.err.count("\n") == 1
    assert finished.status == 2


@pytest.mark.parametrize(
    "net",
    [
        *("test_failures.Unsized", "test_failures.Uncopied", "test_failures.Restless"),
        "torch.nn.LazyLinear --model.net.out_features 1",
        "torch.nn.Linear --model.net.in_features 2 --model.net.out_features 1",
    ],
)
def test_any_network_that_fits_is_trained(command: Command, net: str) -> None:
    finished = command(f"{XOR} --model.net {net}")
    assert (finished.status, finished.err) == (0, "")
    assert Path("lightning_logs/mine/version_0/metrics.json").exists()


def test_what_is_tried_changes_neither_the_network_nor_the_random_numbers() -> None:
    model, data = Classifier(Restless()), Gates("xor")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    try_update(model, data, quiet_trainer())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("net", [nn.Linear(2, 1), nn.Linear(2, 3), nn.Flatten(0)])
def test_only_a_network_with_the_datas_outputs_passes(net: nn.Module) -> None:
    model = Classifier(nn.Linear(2, 1))
    model.net = net
    if isinstance(net, nn.Linear) and net.out_features == 1:
        try_update(model, Gates("xor"), quiet_trainer())
    else:
        with pytest.raises(ValueError, match=r"^net: gives \(.*\) for 2 rows, not \(2, 1\)$"):
            try_update(model, Gates("xor"), quiet_trainer())
