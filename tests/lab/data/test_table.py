"""Tables of one's own, against scikit-learn's transformers and splits, and its own MLPs."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command, quiet_trainer
from numpy.typing import NDArray
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor, nn

from perceptrons.lab.data.columns import Column
from perceptrons.lab.data.encoding import ColumnData
from perceptrons.lab.data.samples import BreastCancer, Diabetes
from perceptrons.lab.data.table import Table

ROWS = 120
WAYS = "plain spaces comma semicolons tabs colons quotes mark index end gaps"
PARTS: dict[str, Any] = {"val_fraction": 0.25, "test_fraction": 0.25}


def ship(seed: int = 0, shift: float = 0.0) -> pd.DataFrame:
    """Numbers far from 0, texts of two and of three kinds, true and false; two classes."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": draw.integers(18, 80, ROWS),
            "fare": draw.gamma(2, 20, ROWS).round(2) + shift,
            "sex": draw.choice(["male", "female"], ROWS),
            "deck": draw.choice(["A", "B", "C"], ROWS),
            "alone": draw.choice([True, False], ROWS),
        }
    )
    saved = (frame["sex"] == "female") & (frame["fare"] > 30 + shift) | (frame["deck"] == "A")
    frame["saved"] = saved.map({True: "yes", False: "no"})
    return frame


def with_gaps() -> pd.DataFrame:
    frame = ship()
    for place, name in enumerate(["age", "fare", "sex", "deck", "alone"]):
        gap = np.random.default_rng(place).random(ROWS) < 0.1
        frame[name] = frame[name].astype(object).where(~gap, None)
    return frame


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    ship().to_csv("ship.csv", index=False)
    return "ship.csv"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.chdir(tmp_path)

    def written(text: str) -> str:
        Path("mine.csv").write_text(text)
        return "mine.csv"

    return written


def table(data: ColumnData, name: str = "all") -> tuple[Tensor, Tensor]:
    x, y = data.split[name]
    return x, y


def split(labels: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train, validate and test on, a quarter each of the latter, as scikit-learn parts."""
    quarter, rows = len(labels) // 4, np.arange(len(labels))
    left, test = train_test_split(rows, test_size=quarter, stratify=labels, random_state=0)
    train, val = train_test_split(left, test_size=quarter, stratify=labels[left], random_state=0)
    return train, val, test


def transformer() -> Any:
    """scikit-learn's own steps for such a table, numbers first and then texts."""
    return make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            make_pipeline(
                SimpleImputer(strategy="most_frequent"),
                OneHotEncoder(drop="if_binary", sparse_output=False),
            ),
            make_column_selector(dtype_exclude="number"),
        ),
    )


def test_the_inputs_are_those_of_scikit_learns_column_transformer_fitted_on_training_rows(
    path: str,
) -> None:
    frame = ship()
    train, val, test = split(frame["saved"])
    features = frame.drop(columns="saved")
    fitted = transformer().fit(features.iloc[train])
    data = Table(path, "saved", **PARTS)
    for name, rows in (("train", train), ("val", val), ("test", test), ("all", slice(None))):
        expected = fitted.transform(features.iloc[rows])
        torch.testing.assert_close(table(data, name)[0], torch.tensor(expected).float())
    assert table(data, "train")[0][:, :2].mean(0).abs().max() < 1e-6
    assert table(data, "all")[0][:, :2].mean(0).abs().max() > 0.01


def test_inputs_are_in_the_order_of_the_columns_whatever_they_hold(path: str) -> None:
    columns = ["deck", "age", "alone", "fare", "sex"]
    data = Table(path, "saved", features=columns)
    names = ["deck=A", "deck=B", "deck=C", "age", "alone=True", "fare", "sex=male"]
    assert data.point_names == names
    assert data.inputs == 7
    frame = ship()
    for place, expected in (
        (0, frame["deck"] == "A"),
        (4, frame["alone"]),
        (6, frame["sex"] == "male"),
    ):
        assert table(data)[0][:, place].tolist() == expected.tolist()
    ages = StandardScaler().fit_transform(frame[["age"]])[:, 0]
    torch.testing.assert_close(table(data)[0][:, 3], torch.tensor(ages).float())


def test_a_large_offset_costs_no_digits(write: Callable[[str], str]) -> None:
    # in single precision seconds since 1970 are a multiple of 128
    seconds = [1_700_000_000 + 10 * row for row in range(8)]
    path = write("when,y\n" + "".join(f"{when},{row % 2}\n" for row, when in enumerate(seconds)))
    expected = StandardScaler().fit_transform(np.array(seconds, float)[:, None])
    torch.testing.assert_close(table(Table(path, "y"))[0], torch.tensor(expected).float())


def test_the_parts_are_stratified_and_lose_no_row(path: str) -> None:
    frame = ship()
    data = Table(path, "saved", **PARTS)
    labels = (frame["saved"] == "yes").to_numpy()
    for name, rows in zip(("train", "val", "test"), split(frame["saved"]), strict=True):
        assert table(data, name)[1][:, 0].tolist() == labels[rows].tolist()
    counts = [len(table(data, name)[0]) for name in ("train", "val", "test", "all")]
    assert counts == [60, 30, 30, 120]


def test_a_fold_is_encoded_by_its_own_training_rows_alone(path: str) -> None:
    frame = ship()
    data = Table(path, "saved")
    features, whole = frame.drop(columns="saved"), data.encoding
    folds = StratifiedKFold(4, shuffle=True, random_state=0).split(
        features, frame["saved"] == "yes"
    )
    for number, (train, held_out) in enumerate(folds):
        fold = data.fold(number, 4)
        fitted = transformer().fit(features.iloc[train])
        for name, rows in (("train", train), ("val", held_out)):
            expected = torch.tensor(fitted.transform(features.iloc[rows])).float()
            torch.testing.assert_close(table(fold, name)[0], expected)
        assert fold.state_dict() != data.state_dict()
    assert data.encoding is whole


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["no", "yes"], ("no", "yes")),
        (["wet", "dry", "ice"], ("dry", "ice", "wet")),
        (["10", "9"], ("9", "10")),
        (["7", "-1", "3"], ("-1", "3", "7")),
        (["1.0", "2.0"], ("1", "2")),
        (["true", "false"], ("False", "True")),
    ],
)
def test_the_targets_values_are_the_classes_in_order(
    write: Callable[[str], str], values: list[str], names: tuple[str, ...]
) -> None:
    rows = values * 2
    path = write("x,y\n" + "".join(f"{number},{each}\n" for number, each in enumerate(rows)))
    data = Table(path, "y")
    assert data.class_names == names
    assert (data.classes, data.outputs) == (len(names), 1 if len(names) == 2 else len(names))
    y = table(data)[1]
    found = y[:, 0].int() if len(names) == 2 else y.argmax(1)
    assert y.shape == (len(rows), data.outputs)
    assert [names[int(number)] for number in found] == [written(each) for each in rows]


def written(value: str) -> str:
    """A label as it is called: a number without a fraction, true and false as Python has them."""
    return value.removesuffix(".0").replace("tr", "Tr").replace("fal", "Fal")


@pytest.mark.parametrize(
    ("values", "task", "regression"),
    [
        ([0.5, 1.5] * 4, None, True),
        (range(8), None, True),
        ([1, 2] * 4, None, False),
        ([1, 2] * 4, "regression", True),
        ([1.0, 2.0] * 4, "classification", False),
    ],
)
def test_numbers_are_a_regression_where_they_are_fractions_or_many_or_the_user_says_so(
    write: Callable[[str], str], values: Any, task: Any, regression: bool
) -> None:
    path = write("x,y\n" + "".join(f"{number},{each}\n" for number, each in enumerate(values)))
    data = Table(path, "y", task)
    assert (data.classes is None) == regression
    assert (data.labels is None) == regression
    assert data.outputs == 1


def test_a_numeric_target_is_standardised_by_the_training_rows(path: str) -> None:
    fares = ship()["fare"].to_numpy()
    data = Table(path, "fare", **PARTS)
    left, test = train_test_split(np.arange(ROWS), test_size=30, random_state=0)
    train, val = train_test_split(left, test_size=30, random_state=0)
    scaler = StandardScaler().fit(fares[train, None])
    assert data.target_mean == pytest.approx(scaler.mean_[0])
    assert data.target_std == pytest.approx(scaler.scale_[0])
    for name, rows in (("train", train), ("val", val), ("test", test)):
        expected = torch.tensor(scaler.transform(fares[rows, None])).float()
        torch.testing.assert_close(table(data, name)[1], expected)
    given = table(data)[1][:, 0].double() * data.target_std + data.target_mean
    torch.testing.assert_close(given, torch.tensor(fares), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("a,b,y\n1,2.5,u\n3,4.5,v\n2,1.5,u\n1,1,v\n", {}),
        ("a, b, y\n1, 2.5, u\n3, 4.5, v\n2, 1.5, u\n1, 1, v\n", {}),
        ("a;b;y\n1;2,5;u\n3;4,5;v\n2;1,5;u\n1;1;v\n", {"decimal": ","}),
        ("a;b;y\n1;2.5;u\n3;4.5;v\n2;1.5;u\n1;1;v\n", {}),
        ("a\tb\ty\n1\t2.5\tu\n3\t4.5\tv\n2\t1.5\tu\n1\t1\tv\n", {}),
        ("a:b:y\n1:2.5:u\n3:4.5:v\n2:1.5:u\n1:1:v\n", {"sep": ":"}),
        ('"a","b","y"\r\n1,"2.5",u\r\n3,4.5,"v"\r\n2,1.5,u\r\n1,1,v\r\n', {}),
        ("\ufeffa,b,y\n1,2.5,u\n3,4.5,v\n2,1.5,u\n1,1,v", {}),
        (",a,b,y\n0,1,2.5,u\n1,3,4.5,v\n2,2,1.5,u\n3,1,1,v\n", {}),
        ("a,b,y,\n1,2.5,u,\n3,4.5,v,\n2,1.5,u,\n1,1,v,\n", {}),
        ("\n\na,b,y\n1,2.5,u\n\n3,4.5,v\n2,1.5,u\n1,1,v\n", {}),
    ],
    ids=WAYS.split(),
)
def test_however_a_csv_is_written_it_is_the_same_table(
    write: Callable[[str], str], text: str, settings: dict[str, Any]
) -> None:
    data = Table(write(text), "y", **settings)
    assert data.named("all") == {"a": [1, 3, 2, 1], "b": [2.5, 4.5, 1.5, 1]}
    assert data.class_names == ("u", "v")


def test_what_is_excluded_may_be_anything(path: str) -> None:
    frame = ship().assign(gap=[None, *range(1, 120)], same=1, name=[f"n{n}" for n in range(120)])
    frame.to_csv("more.csv", index=False)
    more = Table("more.csv", "saved", exclude=["gap", "same", "name"])
    assert torch.equal(table(more)[0], table(Table(path, "saved"))[0])
    assert Table(path, "saved", features=["fare", "age"], exclude=["age"]).point_names == ["fare"]


def test_a_parquet_file_gives_what_the_csv_gives(path: str) -> None:
    frame = ship().assign(when=pd.date_range("2024-01-31", periods=ROWS), other=with_gaps()["sex"])
    frame.to_parquet("ship.parquet")
    frame.to_csv(path, index=False)
    one, other = (Table(name, "saved", missing="impute") for name in (path, "ship.parquet"))
    for mine, theirs in zip(table(one), table(other), strict=True):
        assert torch.equal(mine, theirs)


def test_whole_numbers_may_stand_for_categories(write: Callable[[str], str]) -> None:
    path = write("store,y\n" + "".join(f"{number % 3},{number % 2}\n" for number in range(12)))
    data = Table(path, "y", categorical=["store"], points=[[2]])
    assert data.point_names == ["store=0", "store=1", "store=2"]
    assert table(data)[0].tolist() == np.eye(3)[np.arange(12) % 3].tolist()
    assert data.predicted.tolist() == [[0, 0, 1]]
    assert data.named("all")["store"][:3] == ["0", "1", "2"]


def test_dates_are_days(write: Callable[[str], str]) -> None:
    dates = ["2023-12-31", "2024-01-01", "2024-02-29 12:00", "2024-03-01T00:00:00Z"]
    path = write("when,y\n" + "".join(f"{date},{row % 2}\n" for row, date in enumerate(dates)))
    points: Any = [["2024-01-01"], ["2024-02-29 12:00"]]
    data = Table(path, "y", points=points)
    assert (data.as_points()[:, 0] - data.as_points()[0, 0]).tolist() == [0, 1, 60.5, 61]
    assert torch.equal(data.predicted, table(data)[0][1:3])
    assert data.named("all", 3)["when"] == dates[:3]
    assert data.named()["when"] == [date for (date,) in points]


def test_rows_with_gaps_are_left_out_where_missing_is_drop(path: str) -> None:
    with_gaps().to_csv(path, index=False)
    data = Table(path, "saved", missing="drop")
    whole = with_gaps().dropna()
    assert data.rows == len(whole) < ROWS
    assert data.named("all")["fare"] == whole["fare"].tolist()
    expected = transformer().fit_transform(whole.drop(columns="saved").infer_objects())
    torch.testing.assert_close(table(data)[0], torch.tensor(expected).float())


def test_gaps_are_filled_in_as_by_scikit_learns_imputer_fitted_on_training_rows(path: str) -> None:
    with_gaps().to_csv(path, index=False)
    data = Table(path, "saved", missing="impute", **PARTS)
    frame = pd.read_csv(path)
    frame["alone"] = frame["alone"].map(str, na_action="ignore")
    train, val, _ = split(frame["saved"])
    fitted = transformer().fit(frame.drop(columns="saved").iloc[train])
    for name, rows in (("train", train), ("val", val)):
        expected = fitted.transform(frame.drop(columns="saved").iloc[rows])
        torch.testing.assert_close(table(data, name)[0], torch.tensor(expected).float())
    assert None in data.named("all")["deck"]
    data.points = [[None, 20.38, None, "C", True]]
    assert data.predicted.isfinite().all()
    assert data.named()["sex"] == [None]


def test_points_are_rows_in_the_files_own_values(path: str) -> None:
    rows = ship().drop(columns="saved").head(7)
    listed = Table(path, "saved", points=rows.to_numpy().tolist())
    # a file may have its columns in another order, and more of them
    rows[["extra"]] = 1
    rows[rows.columns[::-1]].to_csv("new.csv", index=False)
    filed = Table(path, "saved", points="new.csv")
    for data in (listed, filed):
        assert torch.equal(data.predicted, table(data)[0][:7])
        assert data.named() == data.named("all", 7)


def test_points_are_as_what_is_exported_takes_them(path: str) -> None:
    data = Table(path, "saved")
    points = data.as_points(5)
    frame = ship().head(5)
    assert points[:, :2].tolist() == frame[["age", "fare"]].to_numpy().tolist()
    assert points[:, 2].tolist() == (frame["sex"] == "male").tolist()
    assert torch.equal(data.from_points(points), table(data)[0][:5])


def test_points_of_numbers_are_the_rows_that_they_are_copied_from() -> None:
    data = Diabetes(val_fraction=0.2)
    rows = [[*row] for row in zip(*data.named("all", 5).values(), strict=True)]
    data.points = rows
    assert torch.equal(data.predicted, table(data)[0][:5])
    assert data.named() == data.named("all", 5)


def test_another_table_is_encoded_as_the_one_that_was_learned_from(path: str) -> None:
    data = Table(path, "saved", missing="impute")
    ship(seed=1, shift=1000.0).to_csv("later.csv", index=False)
    later = Table("later.csv", "saved")
    apart = table(later)[0]
    torch.save(data.state_dict(), "state.pt")
    later.load_state_dict(torch.load("state.pt", weights_only=True))
    fitted = transformer().fit(ship().drop(columns="saved"))
    expected = torch.tensor(fitted.transform(ship(1, 1000.0).drop(columns="saved"))).float()
    torch.testing.assert_close(table(later)[0], expected)
    assert not torch.allclose(table(later)[0], apart)
    assert later.state_dict() == data.state_dict()


class Line(L.LightningModule):
    """The smallest module that trains on a table."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.net = nn.Linear(inputs, 1)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    def predict_step(self, batch: tuple[Tensor]) -> Tensor:
        return batch[0]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_checkpoint_of_lightnings_brings_its_encoding_to_another_table(path: str) -> None:
    data = Table(path, "saved")
    model = Line(data.inputs)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint("model.ckpt")
    ship(seed=1, shift=1000.0).to_csv("later.csv", index=False)
    later = Table("later.csv", "saved", points="later.csv")
    given: Any = quiet_trainer().predict(
        model, datamodule=later, ckpt_path="model.ckpt", weights_only=True
    )
    fitted = transformer().fit(ship().drop(columns="saved"))
    expected = torch.tensor(fitted.transform(ship(1, 1000.0).drop(columns="saved"))).float()
    torch.testing.assert_close(torch.cat(given), expected)


def test_a_smaller_table_is_tested_on_the_share_that_is_said(path: str, command: Command) -> None:
    parts = "--data.val_fraction 0.25 --data.test_fraction 0.25 --data.batch_size 32"
    fit = f"fit --data Table --data.path {path} --data.target saved {parts} --model.net MLP"
    assert command(f"{fit} --trainer.max_epochs 1 --name r --figures false").status == 0
    few = pd.concat([ship().query("saved == 'yes'")[:10], ship().query("saved == 'no'")[:10]])
    few.to_csv("few.csv", index=False)
    test = "test --ckpt_path r --data.path few.csv"
    other = command(test)
    assert (other.status, other.err) == (0, "")
    assert "\n5 of 20 rows are those to test on; --data.test_fraction 0 takes all\n" in other.out
    assert "all are taken, those trained on too" in command(f"{test} --data.test_fraction 0").out
    assert "rows are those" not in command("test --ckpt_path r").out


def test_a_class_keeps_its_output_though_another_table_lacks_a_class(path: str) -> None:
    frame = ship()
    data = Table(path, "deck")
    frame[frame["deck"] != "A"].to_csv("later.csv", index=False)
    later = Table("later.csv", "deck")
    assert later.classes == 2
    later.load_state_dict(data.state_dict())
    assert (later.classes, later.outputs) == (3, 3)
    assert table(later)[1][:, 0].sum() == 0
    assert later.class_names == ("A", "B", "C")


def test_a_regression_keeps_its_units_though_another_table_has_others(path: str) -> None:
    data = Table(path, "fare")
    ship(shift=1000.0).to_csv("later.csv", index=False)
    later = Table("later.csv", "fare")
    later.load_state_dict(data.state_dict())
    assert later.target_mean == data.target_mean
    shift = table(later)[1] - table(data)[1]
    torch.testing.assert_close(shift, torch.full_like(shift, 1000 / data.target_std))


class Many(ColumnData):
    """A hundred thousand rows of thirty numbers."""

    def read(self) -> tuple[dict[str, Column], Column]:
        draw = np.random.default_rng(0).normal(size=(30, 100_000))
        columns = {f"x{number}": Column(values) for number, values in enumerate(draw)}
        return columns, Column((draw[0] > 0).astype(np.int64), ("no", "yes"))


def test_no_epoch_copies_the_table() -> None:
    data = Many(batch_size=8192)
    x, y = table(data)
    starts = range(0, 100_000, 8192)
    views = [(x[start:].data_ptr(), y[start:].data_ptr()) for start in starts]
    loader = data.train_dataloader()
    for epoch in range(3):
        loader.set_epoch(epoch)
        assert [(one.data_ptr(), other.data_ptr()) for one, other in loader] == views


def test_rows_that_serve_twice_are_one_table() -> None:
    data = Many()
    for name in ("train", "val", "test"):
        assert table(data, name)[0].data_ptr() == table(data)[0].data_ptr()
    parted = Many(test_fraction=0.1)
    assert table(parted, "val")[0].data_ptr() == table(parted, "train")[0].data_ptr()


def trained(data: ColumnData, loss: Callable[..., Tensor], epochs: int, seed: int) -> nn.Module:
    """A network of 100 neurons, trained as scikit-learn's MLPs are by default."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(data.inputs, 100), nn.ReLU(), nn.Linear(100, data.outputs))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    loader = data.train_dataloader()
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for x, y in loader:
            optimizer.zero_grad()
            torch.autograd.backward(loss(net(x), y))
            optimizer.step()
    return net


def test_breast_cancer_is_learned_as_by_scikit_learns_mlp() -> None:
    ours, theirs = [], []
    data = BreastCancer(val_fraction=0.2, test_fraction=0.25, batch_size=64, shuffle=True)
    (x, y), (test_x, test_y) = (table(data, name) for name in ("train", "test"))
    for seed in range(3):
        net = trained(data, nn.functional.binary_cross_entropy_with_logits, 200, seed)
        ours.append(((net(test_x) > 0) == test_y.bool()).float().mean().item())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it stops after 200 passes too
            mlp = MLPClassifier(random_state=seed).fit(x.numpy(), y[:, 0].numpy())
        theirs.append(mlp.score(test_x.numpy(), test_y[:, 0].numpy()))
    assert np.mean(ours) >= np.mean(theirs) - 1 / 142  # one of the rows to test on
    assert np.mean(theirs) > 0.95


def test_diabetes_is_learned_as_by_scikit_learns_mlp() -> None:
    data = Diabetes(val_fraction=0.2, test_fraction=0.25, batch_size=64, shuffle=True)
    (x, y), (test_x, test_y) = (table(data, name) for name in ("train", "test"))
    ours, theirs = [], []
    for seed in range(3):
        net = trained(data, nn.functional.mse_loss, 60, seed)
        ours.append(r2_score(test_y.numpy(), net(test_x).detach().numpy()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mlp = MLPRegressor(max_iter=60, batch_size=64, random_state=seed)
            theirs.append(
                mlp.fit(x.numpy(), y[:, 0].numpy()).score(test_x.numpy(), test_y[:, 0].numpy())
            )
    assert np.mean(ours) >= np.mean(theirs) - 0.03
    assert np.mean(theirs) > 0.25
