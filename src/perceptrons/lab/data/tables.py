"""What data is here: a table of rows to train, validate and test on.

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``. With two classes each column of ``y`` holds the
0s and 1s of one output; with more, ``y`` is one-hot, a column for each class.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from inspect import signature
from typing import Any

import lightning as L
import numpy as np
import torch
from jsonargparse.typing import PositiveInt
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from .loader import Rows, TableLoader
from .ranges import Passes

# rows that are evaluated in one piece; a larger table goes in several, always the same
EVALUATION_ROWS = 65_536
STAGES = ("train", "val", "test")
# hooks by which batches are moved, of a module's or a datamodule's
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class TableData(L.LightningDataModule, ABC):
    """A table of rows to train, validate and test on.

    Args:
        passes: How often the training rows are gone through in a Lightning epoch, which is one
            report.
        batch_size: Rows in a batch. ``null``: all of them, which makes one update a pass.
        shuffle: Whether each pass takes the rows in a new random order.
        points: Inputs of your own for ``predict``, a list for each point. ``null``: the table's.

    Attributes:
        inputs: Number of inputs of a network.
        outputs: Number of its outputs.
        classes: Number of classes; ``None`` for a numeric target.
        class_names: What the classes are called; empty: by their numbers.
    """

    inputs: int
    outputs: int
    classes: int | None
    class_names: Sequence[str] = ()
    points: Any

    def __init__(
        self,
        passes: Passes = 1,
        batch_size: PositiveInt | None = None,
        shuffle: bool = False,
        points: list[list[float]] | None = None,
    ) -> None:
        super().__init__()
        self.passes, self.batch_size = passes, batch_size
        self.shuffle, self.points = shuffle, points

    @abstractmethod
    def tables(self) -> dict[str, Rows]:
        """The rows to ``train`` on, to ``val``idate on, to ``test`` on, and ``all`` there are."""

    @cached_property
    def split(self) -> dict[str, Rows]:
        """:meth:`tables`, made once."""
        return self.tables()

    def setup(self, stage: str) -> None:
        rows = len(self.split["train"][0])
        if stage == "fit" and self.batch_size is not None and self.batch_size > rows:
            raise ValueError(
                f"batch_size={self.batch_size}: there are {rows} rows to train on; null takes all"
            )
        if self.points is not None:
            self.numbers(self.points)

    def train_dataloader(self) -> TableLoader:
        ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return self.train_loader(*ranks)

    def train_loader(self, rank: int, world_size: int) -> TableLoader:
        """The part of the training rows that one of several processes has.

        Raises:
            ValueError: If they cannot have equal parts of each batch.
        """
        # the seed of the run, as seed_everything set it
        seed, table = torch.initial_seed(), self.on_device("train")
        options = (self.batch_size, self.passes, self.shuffle, seed)
        return TableLoader(table, *options, rank, world_size)

    def val_dataloader(self) -> TableLoader | dict[str, TableLoader]:
        """What to validate on, and the training rows too, measured after the same update.

        A module gets those only if its ``validation_step`` has a ``dataloader_idx``, by which it
        tells the two apart.
        """
        loaders = {name: TableLoader(self.on_device(name), EVALUATION_ROWS) for name in STAGES[:2]}
        module = self.trainer.lightning_module if self.trainer else None
        if module and "dataloader_idx" not in signature(module.validation_step).parameters:
            return loaders["val"]
        return loaders

    def test_dataloader(self) -> TableLoader:
        return TableLoader(self.on_device("test"), EVALUATION_ROWS)

    def predict_dataloader(self) -> TableLoader:
        return TableLoader((self.predicted,), EVALUATION_ROWS)

    @property
    def predicted(self) -> Tensor:
        """Inputs to predict ``(rows, inputs)``: the user's points, or else all the table's."""
        if self.points is None:
            return self.split["all"][0]
        return self.from_points(self.numbers(self.points))

    @property
    def point_width(self) -> int:
        """How many numbers a point of the user's has."""
        return self.inputs

    @property
    def point_names(self) -> list[str]:
        """What each of these numbers is called."""
        return [f"x{number + 1}" for number in range(self.point_width)]

    def numbers(self, points: Any) -> Tensor:
        """Points of the user's as numbers ``(points, point_width)``.

        Raises:
            ValueError: If there are none, or one has the wrong number of inputs or is not finite.
        """
        if len(points) == 0:
            raise ValueError("points=[]: there must be at least 1, or null for the table's")
        for point in points:
            if len(point) != self.point_width:
                has = f"has {len(point)} inputs, the data has {self.point_width}"
                raise ValueError(f"points={point}: {has}")
            if not np.isfinite(point).all():
                raise ValueError(f"points={point}: must be finite")
        return torch.tensor(points, dtype=torch.get_default_dtype())

    def from_points(self, points: Tensor) -> Tensor:
        """What the network is given for points of the user's ``(points, point_width)``."""
        return points

    def as_points(self, rows: int | None = None) -> Tensor:
        """The table's first rows, or all, as points of the user's ``(rows, point_width)``."""
        return self.split["all"][0][:rows]

    def named(self, part: str | None = None, rows: int | None = None) -> dict[str, list[Any]]:
        """Inputs by column, as the user knows them.

        Args:
            part: Of ``train``, ``val``, ``test`` or ``all``; ``None``: those to predict.
            rows: How many of the first; ``None``: all.
        """
        x = self.predicted if part is None else self.split[part][0]
        return {f"x{number}": values.tolist() for number, values in enumerate(x[:rows].mT, 1)}

    def on_device(self, name: str) -> Rows:
        # here, once, so that Lightning has nothing to move at each batch
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return tuple(column.to(device) for column in self.split[name])


def own_hooks(data: L.LightningDataModule) -> list[str]:
    """What of loading and moving batches a datamodule of the user's does in a way of its own."""
    base: Any = TableData if isinstance(data, TableData) else L.LightningDataModule
    names = [*TRANSFERS, *(["train_dataloader", "val_dataloader"] if base is TableData else [])]
    return [each for each in names if getattr(type(data), each) is not getattr(base, each)]


def first_batch(data: Any) -> Any:
    """The first batch to train on, with random numbers left as they were; none without such."""
    if type(data).train_dataloader is L.LightningDataModule.train_dataloader:
        return None
    with isolate_rng():
        data.prepare_data()
        data.setup("fit")
        return next(iter(data.train_dataloader()), None)


def sizes_of(batch: Any, classes: int | None) -> dict[str, int]:
    """What a batch says of a network's sizes; of class numbers it may not have the highest."""
    if not (isinstance(batch, list | tuple) and isinstance(batch[0], Tensor) and len(batch[0])):
        return {}
    found = {"inputs": batch[0][0].numel()}
    if len(batch) > 1 and isinstance(y := batch[1], Tensor):
        if y.ndim == 1 and not y.is_floating_point():
            classes = found["classes"] = classes or max(2, int(y.max()) + 1)
            found["outputs"] = 1 if classes == 2 else classes
        else:
            found["outputs"] = y[0].numel()
    return found
