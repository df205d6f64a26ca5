"""A group of a study: the members of one setting and fold, trained at once by one optimizer."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.core import optimizer as forms
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..data.loader import Rows, TableLoader
from ..training.compiled import Compiled
from ..training.functional import has_hooks, step_of
from ..training.gradients import Gradient, Loss, with_clipping
from . import gradients
from .gradients import Blocks, loss_of_each
from .members import MakeNet, Members, stack
from .rows import Source

# rows of a batch at least that are measured in one piece
MEASURED = 256
Clip = tuple[float | None, str | None]  # Lightning's gradient_clip_val and its algorithm


class MemberLoader(TableLoader):
    """Hands out a table's batches, shuffled for each member in the order that it has alone.

    Args:
        seeds: Seed of each member's order. Shuffled batches are ``(rows, inputs, members)``.
    """

    def __init__(self, table: Rows, data: Source, seeds: Sequence[int]) -> None:
        super().__init__(table, data.batch_size, data.passes, data.shuffle)
        self.seeds = seeds

    def shuffled(self, pass_: int) -> Iterator[Rows]:
        orders = torch.stack([self.order(seed, pass_) for seed in self.seeds], 1)
        for rows in torch.split(orders.to(self.table[0].device), self.batch_size):
            yield tuple(column[rows].movedim(1, -1).contiguous() for column in self.table)


class Group(nn.Module):
    """The members of one setting and fold.

    Args:
        module: The user's module, with that setting.
        make_net: Makes its network.
        setting: What of its settings the grid gives.
        seeds: Seed of each member.
        data: The data, with that fold.
        clip: How gradients are clipped, each member's for itself.
        compile: Whether to make several updates in one function, compiled by ``torch.compile``.
    """

    def __init__(
        self,
        module: Any,
        make_net: MakeNet,
        setting: dict[str, Any],
        seeds: Sequence[int],
        data: Source,
        clip: Clip = (None, None),
        compile: bool = False,  # noqa: A002  the user's word for it
    ) -> None:
        super().__init__()
        self.setting, self.seeds, self.data = setting, seeds, data
        self.hidden = (module,)  # not a module of this one: it has metrics and a trainer of its own
        x, y = self.table("train")
        batch = x[: data.batch_size], y[: data.batch_size]
        self.by_hand = getattr(module, "hand_gradients", None) is not None
        self.members: Members = stack(make_net, seeds, not self.by_hand, x.ndim)
        self.bytes_of_each = gradients.bytes_of_one(self.members, module.loss, *batch)
        self.net, self.weights = self.members.net, [*self.members.net.parameters()]
        self.loss = module.loss if isinstance(module.loss, nn.Module) else None
        self.clip, self.compile_updates = clip, compile
        self.tables: dict[str, Rows] = {}
        self.batches: Iterator[Rows] = iter(())
        self.position = (-1, 0)  # epoch, and updates that were made in it
        self.number = 0  # updates made in all

    @property
    def module(self) -> Any:
        """The user's module."""
        return self.hidden[0]

    def table(self, part: str) -> Rows:
        """The rows of a part ``x, y``, with targets as the loss takes them."""
        x, y, *_ = self.data.split[part]
        targets = getattr(self.module, "targets", None)
        return x, targets(y) if targets else y

    def leave_out(self, names: Sequence[str]) -> None:
        """Do not train some of the weights."""
        for name, weight in self.net.named_parameters():
            weight.requires_grad_(weight.requires_grad and name not in names)

    def configure(self) -> tuple[torch.optim.Optimizer, Any]:
        """The optimizer, and the scheduler with Lightning's settings, by the user's factories."""
        self.position = (-1, 0)
        own, self.module.net = self.module.net, self.net
        self.optimizer, how = optimizer_of(self.module)
        self.module.net = own  # which gradients by hand may hold on to
        self.how, self.compiled = how, None
        if self.compile_updates:
            self.compiled = Compiled(
                self.optimizer,
                dict(self.net.named_parameters()),
                self.blocks.gradient,
                self.blocks.pieces,
                self.members.cut,
                self.members.count,
                self.bytes_of_each // 4,
                self.members.ndim,
            )
        return self.optimizer, how

    @cached_property
    def loader(self) -> MemberLoader:
        return MemberLoader(self.on_device("train"), self.data, self.seeds)

    @cached_property
    def blocks(self) -> Blocks:
        return Blocks(self.members, self.gradient(), self.bytes_of_each, self.compile_updates)

    def on_device(self, part: str) -> Rows:
        """The rows of a part, moved once to where the network is."""
        if part not in self.tables:
            device = next(self.net.parameters()).device
            self.tables[part] = tuple(column.to(device) for column in self.table(part))
        return self.tables[part]

    def gradient(self) -> Gradient:
        """Losses and gradients of members, clipped."""
        if self.by_hand:
            made = gradients.by_hand(self.module, self.members)
        else:
            made = gradients.by_autograd(self.members, self.module.loss)
        value, algorithm = self.clip
        if not value:
            return made
        return with_clipping(made, self.members.dimension, value, algorithm)

    @torch.no_grad()
    def train_on(self, epoch: int, first: int, last: int) -> None:
        """Make the updates of an epoch from number ``first`` to, and without, ``last``."""
        if self.position != (epoch, first):
            self.loader.set_epoch(epoch)
            self.loader.load_state_dict({"epoch": epoch, "handed_out": first})
            self.batches = iter(self.loader)
        self.number = epoch * len(self.loader) + first
        end, waiting = epoch * len(self.loader) + last, list[Rows]()
        update = step_of(self.optimizer)
        step = self.step_after_update if self.how and self.how.interval == "step" else None
        while self.number < end:
            if self.compiled and not waiting:
                made, waiting = self.compiled.run(self.batches, end - self.number, step)
                self.number += 0 if step else made
            if self.number < end:
                rows = waiting.pop(0) if waiting else next(self.batches)
                update(partial(self.take_gradients, *rows))
                for weight in self.weights:
                    weight.grad = None  # or the next gradients would be beside them in memory
                self.step_after_update()
        self.position = (epoch, last)
        if last == len(self.loader):
            self.step_scheduler("epoch", epoch + 1)

    def take_gradients(self, x: Tensor, y: Tensor) -> None:
        for weight, gradient in zip(self.weights, self.blocks.gradients(x, y), strict=True):
            # in the order that it has in memory, or a fused optimizer would take others for its
            weight.grad = gradient.contiguous() if weight.requires_grad else None

    def step_after_update(self) -> None:
        self.number += 1
        in_epoch = (self.number - 1) % len(self.loader) + 1  # of which Lightning counts a frequency
        self.step_scheduler("step", in_epoch)

    def step_scheduler(self, interval: str, number: int) -> None:
        if self.how and self.how.interval == interval and number % self.how.frequency == 0:
            self.how.scheduler.step()

    def in_pieces(self, *columns: Tensor) -> Iterator[Rows]:
        """Rows in pieces that are measured at once."""
        size = max(MEASURED, self.data.batch_size or 0)
        return zip(*(torch.split(column, size) for column in columns), strict=True)

    def predict(self, rows: slice) -> Tensor:
        """Logits ``(rows, outputs, members)`` of some of the rows to predict."""
        return self.logits_of(self.data.predicted[rows].to(next(self.net.parameters()).device))

    @torch.no_grad()
    def logits_of(self, x: Tensor) -> Tensor:
        """Logits ``(rows, outputs, members)``."""
        pieces = self.in_pieces(x)
        return torch.cat([torch.cat([z for _, z in self.blocks.logits(p)], -1) for (p,) in pieces])

    @torch.no_grad()
    def measure(self, part: str) -> dict[str, Tensor]:
        """Loss and accuracy of each member ``(members,)``, and whether it has all rows right."""
        x, y = self.on_device(part)
        loss: Loss = getattr(self.module, "measured_loss", None) or self.module.loss
        correct: Loss | None = getattr(self.module, "correct", None)
        # made once: thousands of small tensors would keep what lies between them from being freed
        losses, accuracy = torch.zeros(2, self.members.count, device=x.device)
        solved = torch.ones_like(losses, dtype=torch.bool)
        for some_x, some_y in self.in_pieces(x, y):
            share = len(some_x) / len(x)
            for at, logits in self.blocks.logits(some_x):
                # half as many bits would be too few for a report's digits
                logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                targets = some_y.to(logits.dtype) if some_y.is_floating_point() else some_y
                losses[at] += loss_of_each(loss, logits, targets) * share
                if correct:
                    right = loss_of_each(correct, logits, targets).flatten(0, -2)
                    accuracy[at] += right.float().mean(0) * share
                    solved[at] &= right.all(0)
        measured = {"loss": losses}
        return measured | {"accuracy": accuracy, "solved": solved} if correct else measured


def optimizer_of(module: L.LightningModule) -> tuple[torch.optim.Optimizer, Any]:
    """A module's optimizer, and its scheduler with Lightning's settings or ``None``.

    Raises:
        ValueError: If there are several, the scheduler waits for a measure, or there are hooks.
    """
    # in whatever form: Lightning reads them under no other name
    given: Any = module.configure_optimizers()
    optimizers, schedulers, _ = forms._configure_optimizers(given)
    if len(optimizers) != 1 or len(schedulers) > 1:
        raise ValueError("seeds: a study needs a single optimizer and scheduler")
    for each in schedulers:
        if isinstance(each["scheduler"] if isinstance(each, dict) else each, ReduceLROnPlateau):
            why = "ReduceLROnPlateau couples the members: it waits for their mean"
            raise ValueError(f"scheduler: {why}")
    if has_hooks(optimizers[0]):
        raise ValueError("seeds: a study does not call the hooks of an optimizer")
    configs = forms._configure_schedulers_automatic_opt(schedulers, None)
    return optimizers[0], configs[0] if configs else None
