"""The loader that hands out a table held in memory, batch by batch."""

from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from perceptrons.shares import Share

Rows = tuple[Tensor, ...]  # (x, y), or (x,) where only the inputs are known


class TableLoader:
    """Hands out the batches of a table, going through it ``passes`` times.

    The order of the rows is a pure function of (seed, epoch, pass), so that it can be taken up at
    any batch. Batches in order are views, made once; a table that is one batch is handed out as it
    is.

    Args:
        table: ``x (rows, inputs)``, and ``y (rows, outputs)`` where it is known.
        batch_size: Rows in a batch; the last of a pass may have fewer. ``None``: all rows.
        passes: How often the table is gone through.
        shuffle: Whether each pass takes the rows in a new random order.
        seed: Seed of the order.
        replicas: Number of replicas that get their rows in an order of their own each, number r
            by the seed + r: batches ``(rows, inputs, replicas)``. ``None``: one order.
        copies: How many times over they are there.
        share: Which rows of each batch are handed out here; by default all.
    """

    def __init__(
        self,
        table: Rows,
        batch_size: int | None = None,
        passes: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        replicas: int | None = None,
        copies: int = 1,
        share: Share = Share(),  # noqa: B008  it does not change
    ) -> None:
        self.table, self.rows = table, len(table[0])
        self.batch_size = batch_size or self.rows
        self.passes, self.shuffle, self.seed, self.epoch = passes, shuffle, seed, 0
        self.replicas, self.copies, self.share = replicas, copies, share
        self.handed_out = 0  # batches of this epoch
        self.resumed: dict[str, int] = {}
        # where Lightning looks for whom to tell the epoch
        self.batch_sampler = SimpleNamespace(sampler=self)
        pieces = ([each[share.part(len(each))] for each in self.cut(column)] for column in table)
        self.in_order: list[Rows] = list(zip(*pieces, strict=True))

    @property
    def device(self) -> torch.device:
        """Where the batches lie."""
        return self.table[0].device

    @property
    def weight(self) -> float:
        """What a mean over the rows handed out last counts for in the mean over the processes."""
        before = (self.handed_out - 1) % len(self.in_order) * self.batch_size
        return self.share.weight(min(self.batch_size, self.rows - before))

    def cut(self, column: Tensor) -> tuple[Tensor, ...]:
        """Pieces as long as a batch, the last shorter where they do not divide."""
        return torch.split(column, self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.handed_out = epoch, 0

    def __len__(self) -> int:
        return self.passes * len(self.in_order)

    def __iter__(self) -> Iterator[Rows]:
        # Lightning tells the epoch after it has asked for the iterator: this runs at the first next
        resumed, self.resumed = self.resumed, {}
        self.handed_out = resumed["handed_out"] if resumed.get("epoch") == self.epoch else 0
        first, skipped = divmod(self.handed_out, len(self.in_order))
        for pass_ in range(first, self.passes):
            batches = self.shuffled(pass_) if self.shuffle else self.in_order
            for batch in islice(batches, skipped if pass_ == first else 0, None):
                self.handed_out += 1
                yield batch

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "handed_out": self.handed_out}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.resumed = state_dict

    def shuffled(self, pass_: int) -> Iterator[Rows]:
        """The batches of a pass in its own random order."""
        if self.replicas is None:
            order = self.order(self.seed, pass_)
        else:
            orders = [self.order(self.seed + number, pass_) for number in range(self.replicas)]
            order = torch.stack(orders, 1).repeat(1, self.copies)
        for batch in self.cut(order.to(self.device)):
            rows = batch[self.share.part(len(batch))]
            # the replicas of a batch's rows go last
            yield tuple(column[rows].movedim(1, -1).contiguous() for column in self.table)

    def order(self, seed: int, pass_: int) -> Tensor:
        """Numbers of the rows ``(rows,)``, in the random order of a pass."""
        random = np.random.default_rng((seed, self.epoch, pass_))
        return torch.from_numpy(random.permutation(self.rows))
