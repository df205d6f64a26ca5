"""What reports measure: loss and accuracy, of one network or of each of many replicas."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from perceptrons.losses import LossFunction

STAGES = ("train", "val", "test")
MEASURES = ("loss", "accuracy")


class MeanOfEach(Metric):
    """Mean over rows of a value that each of many replicas has.

    Args:
        replicas: How many there are.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self, replicas: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(replicas), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int) -> None:
        """Take in a mean over ``weight`` rows ``(replicas,)``."""
        self.total += value * weight
        self.weight += weight

    def compute(self) -> Tensor:
        return self.total / self.weight


class Measures(nn.ModuleDict):
    """Metrics that keep their 32 bits in a network of half as many: sums of many rows need them."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        def keep(tensor: Tensor) -> Tensor:
            return fn(tensor).to(tensor.dtype)

        return super()._apply(keep, recurse)  # type: ignore[no-untyped-call]


def metrics(classes: int, replicas: int | None) -> Measures:
    """A metric for each stage and measure, by names such as ``val/loss``."""
    made: dict[str, Metric] = {}
    for stage in STAGES:
        one = replicas is None
        made[f"{stage}/loss"] = MeanMetric() if one else MeanOfEach(replicas or 1)
        made[f"{stage}/accuracy"] = accuracy(classes) if one else MeanOfEach(replicas or 1)
    return Measures(cast(dict[str, nn.Module], made))


def accuracy(classes: int) -> Metric:
    """Share of right answers, each output of each row counting as one."""
    # the checks of the arguments take longer than the measuring of a large table
    if classes == 2:
        return BinaryAccuracy(validate_args=False)
    return MulticlassAccuracy(classes, average="micro", validate_args=False)


def loss_of_each(loss: LossFunction, logits: Tensor, y: Tensor) -> Tensor:
    """Loss of one network ``()``, or of each replica ``(replicas,)``."""
    if logits.ndim == 2:
        return loss(logits, y)
    return torch.vmap(loss, (2, None))(logits, y)


def accuracy_of_each(given: Tensor, right: Tensor) -> Tensor:
    """Share of right answers of each replica ``(replicas,)``.

    Args:
        given: The replicas' answers ``(rows, outputs, replicas)``.
        right: The right ones ``(rows, outputs)``.
    """
    return (given == right[:, :, None]).float().mean((0, 1))


def all_right(given: Tensor, right: Tensor) -> Tensor:
    """Which replicas ``(replicas,)`` answer all right, or of one network which ``(outputs,)``."""
    if given.ndim == 2:
        return (given == right).all(0)
    return (given == right[:, :, None]).all(0).all(0)
