"""Others' ways to train what ``speed.py`` has: XOR by full-batch descent, and a large table."""

import time
import warnings
from functools import cache
from importlib import import_module
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import lightning as L
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from perceptrons import MLP, Classifier
from perceptrons.lab.cli.settings import quiet
from perceptrons.lab.data.loader import Rows
from perceptrons.lab.data.tables import EVALUATION_ROWS, TableData
from perceptrons.lab.training.spans import use_spans

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
Y = np.array([[0], [1], [1], [0]], dtype=np.float32)
ROWS, COLUMNS, BATCH, HIDDEN = 1_000_000, 30, 256, (64, 64)
RATE = 0.01

Hidden = tuple[int, ...]


def loop(hidden: Hidden, updates: int) -> None:
    """The loop that everyone starts with."""
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise((2, *hidden, 1)):
        layers += [nn.Linear(fan_in, fan_out), nn.Sigmoid()]
    network, loss = nn.Sequential(*layers), nn.BCELoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(updates):
        optimizer.zero_grad()
        loss(network(x), y).backward()
        optimizer.step()


def scikit_learn(hidden: Hidden, updates: int) -> None:
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # it would have stopped earlier
    MLPClassifier(
        hidden, activation="logistic", solver="sgd", alpha=0, momentum=0, learning_rate_init=1.0,
        batch_size=4, shuffle=False, tol=0, max_iter=updates, n_iter_no_change=updates,
    ).fit(X, Y[:, 0])  # fmt: skip


class Clock(L.Callback):
    """Notes when the reports of the last run were."""

    moments: ClassVar[list[float]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.moments.clear()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.moments.append(time.process_time())


class Pace(L.Callback):
    """Notes how many updates of a loop each report of the last run takes as long as."""

    taken: ClassVar[list[float]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.taken.clear()
        self.last = time.process_time()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            start = time.process_time()
            with torch.enable_grad():
                loop((2,), 20)
            end = time.process_time()
            self.taken.append((start - self.last) / (end - start) * 20)
            self.last = time.process_time()


class Tutorial(L.LightningModule):
    """As the tutorials have it."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.loss = MLP(2, 1, (2,)), nn.BCEWithLogitsLoss()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.loss(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def lightning(updates: int) -> None:
    """An epoch is a batch, with TensorBoard, checkpoints and no bar."""
    quiet()
    table = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    with TemporaryDirectory() as directory:
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=updates,
            default_root_dir=directory,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Tutorial(), DataLoader(table, batch_size=4))


def jax(hidden: Hidden, updates: int, networks: int = 1) -> float:
    """Seconds of an update by jit and scan, and vmap over networks, the last dimension."""
    j: Any = import_module("jax")
    jnp = j.numpy

    draw = np.random.default_rng(0).uniform
    weights = [
        tuple(jnp.asarray(draw(-0.5, 0.5, (*s, networks)), jnp.float32) for s in (pair, pair[1:]))
        for pair in pairwise((2, *hidden, 1))
    ]

    def loss(weights: Any) -> Any:
        a: Any = X
        for weight, b in weights[:-1]:
            a = j.nn.sigmoid(a @ weight + b)
        z = a @ weights[-1][0] + weights[-1][1]
        return jnp.mean(jnp.maximum(z, 0) - z * Y + jnp.log1p(jnp.exp(-jnp.abs(z))))

    def update(weights: Any, _: None) -> Any:
        gradients = j.vmap(j.grad(loss), in_axes=-1, out_axes=-1)(weights)
        return j.tree.map(lambda weight, gradient: weight - gradient, weights, gradients), None

    many = j.jit(lambda weights: j.lax.scan(update, weights, length=updates)[0])
    weights = j.block_until_ready(many(weights))
    start = time.process_time()
    j.block_until_ready(many(weights))
    return (time.process_time() - start) / updates


class Million(TableData):
    """A million rows of two classes."""

    inputs, outputs, classes = COLUMNS, 1, 2

    def tables(self) -> dict[str, Rows]:
        x, y = million()
        return {"train": (x, y), "val": (x[:BATCH], y[:BATCH]), "test": (x[:1], y[:1])}


@cache
def million() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0))
    return x, (x[:, :1] * x[:, 1:2] > 0).float()


def loop_over_table() -> float:
    """Seconds of a row in one epoch by a plain loop, which measures the rows at its end."""
    x, y = million()
    network, loss = MLP(COLUMNS, 1, HIDDEN, "relu"), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    start = time.process_time()
    for some_x, some_y in zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True):
        optimizer.zero_grad()
        loss(network(some_x), some_y).backward()
        optimizer.step()
    with torch.no_grad():
        pieces = (torch.split(column, EVALUATION_ROWS) for column in (x, y))
        for some_x, some_y in zip(*pieces, strict=True):
            logits = network(some_x)
            loss(logits, some_y), ((logits > 0) == some_y).float().mean()
    return (time.process_time() - start) / ROWS


def fit_table() -> float:
    """The same by Lightning with spans."""
    quiet()
    module = Classifier(
        MLP(COLUMNS, 1, HIDDEN, "relu"), optimizer=lambda w: torch.optim.SGD(w, lr=RATE)
    )
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    data = Million(batch_size=BATCH)
    use_spans(trainer, module, data)
    data.setup("fit")
    start = time.process_time()
    trainer.fit(module, datamodule=data)
    return (time.process_time() - start) / ROWS


def scikit_learn_table() -> float:
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    x, y = (column.numpy() for column in million())
    network = MLPClassifier(
        HIDDEN, solver="sgd", alpha=0, momentum=0, learning_rate_init=RATE,
        batch_size=BATCH, shuffle=False, max_iter=1,
    )  # fmt: skip
    start = time.process_time()
    network.fit(x, y[:, 0])
    return (time.process_time() - start) / ROWS
