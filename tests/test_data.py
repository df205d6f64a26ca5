"""Gates against Python's own operators, blobs against scikit-learn, and the loader's orders."""

import operator
from collections.abc import Callable
from functools import reduce
from itertools import chain, product
from typing import Any

import lightning as L
import pytest
import torch
from conftest import quiet_trainer
from lightning.pytorch.callbacks import Callback
from sklearn.datasets import make_blobs
from torch import Tensor

from perceptrons.classifier import Classifier
from perceptrons.data import Blobs, Gates
from perceptrons.lab.data.loader import Rows, TableLoader
from perceptrons.lab.data.split import choose_rows, take
from perceptrons.lab.data.tables import TableData
from perceptrons.network import Perceptron

# what each gate says of a row of inputs, in Python's operators
OPERATORS: dict[str, Callable[[tuple[int, ...]], int]] = {
    "and": lambda row: reduce(operator.and_, row),
    "or": lambda row: reduce(operator.or_, row),
    "xor": lambda row: reduce(operator.xor, row),
    "nand": lambda row: 1 - reduce(operator.and_, row),
    "nor": lambda row: 1 - reduce(operator.or_, row),
    "xnor": lambda row: 1 - reduce(operator.xor, row),
}
TWO_BLOBS: dict[str, Any] = {
    "n_samples": 100,
    "centers": [[-0.5, 0.5], [0.5, -0.5]],
    "cluster_std": 0.4,
    "random_state": 123,
}


def table(data: TableData, name: str = "train") -> tuple[Tensor, Tensor]:
    x, y = data.split[name]
    return x, y


def rows_of(data: TableData, name: str) -> set[tuple[float, ...]]:
    return {tuple(row) for row in table(data, name)[0].tolist()}


def split_rows(table: Rows, labels: Any, val: float, test: float, seed: int) -> dict[str, Rows]:
    return take(table, choose_rows(len(labels), labels, val, test, seed))


def counted(rows: int) -> tuple[Tensor]:
    """A table whose rows are their own numbers."""
    return (torch.arange(float(rows))[:, None],)


def numbers(batches: TableLoader) -> list[list[float]]:
    return [batch[0][:, 0].tolist() for batch in batches]


def order(seed: int = 0, epoch: int = 0, passes: int = 1) -> list[float]:
    loader = TableLoader(counted(20), batch_size=3, passes=passes, shuffle=True, seed=seed)
    loader.set_epoch(epoch)
    return [*chain(*numbers(loader))]


@pytest.mark.parametrize("inputs", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("gate", OPERATORS)
def test_a_named_gate_is_what_pythons_operators_say(gate: str, inputs: int) -> None:
    x, y = table(Gates(gate, inputs))
    rows = list(product((0, 1), repeat=inputs))
    assert x.tolist() == [list(row) for row in rows]
    assert y.tolist() == [[OPERATORS[gate](row)] for row in rows]


@pytest.mark.parametrize("digits", [f"{number:04b}" for number in range(16)])
def test_a_truth_table_counts_its_rows_in_binary_with_the_first_input_highest(digits: str) -> None:
    x, y = table(Gates(digits))
    for (first, second), (target,) in zip(x.tolist(), y.tolist(), strict=True):
        assert target == int(digits[2 * int(first) + int(second)])


def test_a_truth_table_of_three_inputs_has_eight_digits() -> None:
    x, y = table(Gates("01101001", inputs=3))
    assert torch.equal(y, table(Gates("xor", inputs=3))[1])
    assert x[4].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("gate", ["xro", "011", "01101", "0120", ""])
def test_a_gate_that_is_none_is_named_with_what_is_allowed(gate: str) -> None:
    with pytest.raises(ValueError, match=f"^gate='{gate}': .*(xor|4 digits)"):
        Gates(gate)


def test_the_constant_input_is_a_last_column_of_ones() -> None:
    plain, constant = Gates("xor"), Gates("xor", constant_input=True)
    x, y = table(constant)
    assert constant.inputs == x.shape[1] == 3
    assert torch.equal(x[:, :2], table(plain)[0])
    assert x[:, 2].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert torch.equal(y, table(plain)[1])


def test_a_gate_trains_validates_and_tests_on_the_same_rows() -> None:
    data = Gates("or", inputs=3)
    for name in ("val", "test", "all"):
        for one, other in zip(table(data), table(data, name), strict=True):
            assert torch.equal(one, other)


def test_two_blobs_are_those_of_scikit_learn() -> None:
    points, labels = make_blobs(**TWO_BLOBS)
    data = Blobs(**TWO_BLOBS)
    x, y = table(data)
    assert (data.inputs, data.outputs, data.classes) == (2, 1, 2)
    assert torch.equal(x, torch.from_numpy(points).float())
    assert torch.equal(y[:, 0], torch.from_numpy(labels).float())


def test_two_blobs_begin_as_published() -> None:
    x, y = table(Blobs(**TWO_BLOBS))
    assert x[:5].flatten().tolist() == pytest.approx(
        [-0.1372, -0.0715, 0.8044, -0.3706, -0.6022, -0.6194, 0.5709, -0.5120, 0.0064, 0.1533],
        abs=5e-5,
    )
    assert y[:5, 0].tolist() == [0, 1, 0, 1, 0]


def test_more_blobs_have_an_output_each_and_may_lie_at_random() -> None:
    points, labels = make_blobs(60, n_features=5, centers=4, cluster_std=0.3, random_state=7)
    data = Blobs(60, centers=4, n_features=5, cluster_std=0.3, random_state=7)
    x, y = table(data)
    assert (data.inputs, data.outputs, data.classes) == (5, 4, 4)
    assert torch.equal(x, torch.from_numpy(points).float())
    assert y.argmax(1).tolist() == labels.tolist()
    assert y.sum(1).tolist() == [1.0] * 60


def test_a_split_parts_the_points_and_loses_none() -> None:
    data = Blobs(300, centers=3, val_fraction=0.2, test_fraction=0.1)
    train, val, test, everything = (rows_of(data, name) for name in ("train", "val", "test", "all"))
    assert [len(rows) for rows in (train, val, test)] == [210, 60, 30]
    assert train | val | test == everything
    assert len(everything) == 300


def test_a_split_keeps_each_row_with_its_class() -> None:
    labels = torch.arange(40) % 2
    x, y = counted(40)[0], labels[:, None].float()
    for x_part, y_part in split_rows((x, y), labels.numpy(), 0.25, 0.25, seed=1).values():
        assert torch.equal(x_part % 2, y_part)


@pytest.mark.parametrize("seed", range(5))
def test_a_split_keeps_the_share_of_every_class(seed: int) -> None:
    labels = torch.tensor([0] * 80 + [1] * 15 + [2] * 5)
    parts = split_rows((labels[:, None],), labels.numpy(), 0.2, 0.2, seed)
    for name, expected in (("val", [16, 3, 1]), ("test", [16, 3, 1]), ("train", [48, 9, 3])):
        assert parts[name][0][:, 0].bincount().tolist() == expected


def test_a_split_is_decided_by_its_seed() -> None:
    labels = torch.arange(40) % 2

    def train(seed: int) -> list[float]:
        return list(split_rows(counted(40), labels.numpy(), 0.2, 0.2, seed)["train"][0][:, 0])

    assert train(1) == train(1)
    assert train(1) != train(2)


@pytest.mark.parametrize(
    ("val_fraction", "test_fraction", "val_rows", "test_rows"),
    [(0.0, 0.0, "train", "all"), (0.3, 0.0, "val", "all"), (0.0, 0.3, "train", "test")],
)
def test_without_a_fraction_the_training_rows_validate_and_all_rows_test(
    val_fraction: float, test_fraction: float, val_rows: str, test_rows: str
) -> None:
    data = Blobs(100, val_fraction=val_fraction, test_fraction=test_fraction)
    assert rows_of(data, "val") == rows_of(data, val_rows)
    assert rows_of(data, "test") == rows_of(data, test_rows)
    assert len(rows_of(data, "train")) == round(100 * (1 - val_fraction - test_fraction))
    assert rows_of(data, "val") | rows_of(data, "train") <= rows_of(data, "all")


def test_batches_in_order_are_views_of_the_table_made_once() -> None:
    (column,) = counted(9)
    first, second = (list(TableLoader((column,), 3, passes=2))[start::3] for start in (0, 1))
    assert first[0][0] is first[1][0]
    assert second[0][0].data_ptr() == column[3:].data_ptr()


def test_a_table_that_is_one_batch_is_not_copied() -> None:
    (column,) = counted(4)
    (batch,) = TableLoader((column,))
    assert batch[0].data_ptr() == column.data_ptr()
    assert batch[0].shape == column.shape


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_remainder_of_a_pass_is_a_smaller_batch(shuffle: bool) -> None:
    loader = TableLoader(counted(7), batch_size=3, passes=2, shuffle=shuffle)
    assert [len(batch) for batch in numbers(loader)] == [3, 3, 1, 3, 3, 1]
    assert len(loader) == 6


def test_in_order_every_pass_is_the_table() -> None:
    loader = TableLoader(counted(5), batch_size=2, passes=3)
    assert [*chain(*numbers(loader))] == [0, 1, 2, 3, 4] * 3


def test_shuffled_every_pass_has_every_row_once() -> None:
    passes = torch.tensor(order(passes=4)).view(4, 20)
    assert passes.sort(1).values.tolist() == [list(range(20))] * 4


def test_the_order_depends_on_seed_epoch_and_pass_and_on_nothing_else() -> None:
    torch.manual_seed(1)
    first = order(seed=3, epoch=2, passes=2)
    torch.manual_seed(2)
    assert order(seed=3, epoch=2, passes=2) == first
    assert order(seed=3, epoch=2, passes=1) == first[:20]


def test_no_two_seeds_epochs_or_passes_share_an_order() -> None:
    orders = [
        tuple(order(seed, epoch, passes=3)[20 * pass_ :][:20])
        for seed, epoch, pass_ in product(range(3), repeat=3)
    ]
    assert len(set(orders)) == 27


def test_a_loader_that_was_left_half_way_begins_anew() -> None:
    loader = TableLoader(counted(20), batch_size=3, shuffle=True)
    next(iter(loader))
    assert [*chain(*numbers(loader))] == order()


def test_x_and_y_are_shuffled_alike() -> None:
    (column,) = counted(20)
    for x, y in TableLoader((column, 2 * column), batch_size=3, passes=2, shuffle=True):
        assert torch.equal(y, 2 * x)


class Seen(Callback):
    """Notes the targets of every batch."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: list[Tensor], batch_idx: int
    ) -> None:
        self.batches.append(batch[1][:, 0].tolist())


def test_lightning_tells_the_loader_of_every_epoch_and_the_run_its_seed() -> None:
    seen = Seen()
    L.seed_everything(11, verbose=False)
    data = Blobs(20, passes=2, batch_size=6, shuffle=True)
    trainer = quiet_trainer(max_epochs=3, callbacks=[seen])
    trainer.fit(Classifier(Perceptron(2)), datamodule=data)
    expected = []
    for epoch in range(3):
        loader = TableLoader(data.split["train"], 6, passes=2, shuffle=True, seed=11)
        loader.set_epoch(epoch)
        expected += [y[:, 0].tolist() for _, y in loader]
    assert seen.batches == expected


def test_points_of_the_users_are_predicted_in_place_of_the_table() -> None:
    points = [[0.5, 0.25], [2.0, -1.0], [0.0, 0.0]]
    (batch,) = Gates("xor", points=points).predict_dataloader()
    assert batch[0].tolist() == points
    (batch,) = Gates("xor").predict_dataloader()
    assert batch[0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_points_are_given_without_the_constant_input() -> None:
    (batch,) = Gates("xor", constant_input=True, points=[[0.5, 0.25]]).predict_dataloader()
    assert batch[0].tolist() == [[0.5, 0.25, 1.0]]


@pytest.mark.parametrize("data", [Gates, Blobs])
def test_a_point_with_the_wrong_number_of_inputs_is_named(data: type[TableData]) -> None:
    with pytest.raises(ValueError, match=r"^points=\[1.0, 2.0, 3.0\]: has 3 inputs, .* has 2$"):
        data(points=[[0.0, 1.0], [1.0, 2.0, 3.0]]).setup("predict")


def test_a_batch_larger_than_the_table_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"^batch_size=5: there are 4 rows"):
        Gates("xor", batch_size=5).setup("fit")


@pytest.mark.parametrize(
    "settings",
    [
        {"val_fraction": 0.001},
        {"val_fraction": 0.01},
        {"val_fraction": 0.99},
        {"n_samples": 3, "val_fraction": 0.4},
    ],
    ids=str,
)
def test_a_split_too_small_for_every_class_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(val_fraction|n_samples)="):
        Blobs(**settings).setup("fit")
