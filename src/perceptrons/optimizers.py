"""The optimizer of a network's weights, or of its replicas', where they differ in learning rate."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Factory = Callable[[Any], torch.optim.Optimizer]

# optimizers in which what one weight does depends on others, so that replicas would not be alone
COUPLING = ("LBFGS", "Adafactor", "Muon")


def segments(weights: Mapping[str, Tensor], count: int) -> list[Weights]:
    """The weights of each of ``count`` equal segments of replicas, as views that can be trained.

    One segment has the weights themselves.
    """
    if count == 1:
        return [{**weights}]
    pieces = {name: weight.detach().chunk(count, -1) for name, weight in weights.items()}
    return [{name: piece[at] for name, piece in pieces.items()} for at in range(count)]


def optimizer_of(
    make: Factory, owners: list[Weights], rates: Sequence[float], bias_lr_factor: float
) -> torch.optim.Optimizer:
    """An optimizer with a group for each learning rate.

    Args:
        make: Makes it for some weights.
        owners: The weights of each segment, by their names.
        rates: Learning rate of each segment; empty: the optimizer's own.
        bias_lr_factor: Learning rate of the biases, as a multiple of the weights'.

    Raises:
        ValueError: If it refuses its settings, or a learning rate is not above 0 and finite.
    """
    optimizer: torch.optim.Optimizer | None = None
    for at, named in enumerate(owners):
        apart = [name for name in named if bias_lr_factor != 1 and name.endswith("bias")]
        weights = [weight for name, weight in named.items() if name not in apart]
        if optimizer is None:
            optimizer = made(make, weights)
        else:
            optimizer.add_param_group({"params": weights})
        group = optimizer.param_groups[-1]
        group["lr"] = rates[at] if rates else group["lr"]
        if apart:
            rate = group["lr"] * bias_lr_factor
            optimizer.add_param_group({"params": [named[name] for name in apart], "lr": rate})
    assert optimizer is not None
    for group in optimizer.param_groups:
        if not 0 < group["lr"] < math.inf:
            raise ValueError(f"lr={group['lr']}: a learning rate is above 0 and finite")
        for name, value in group.items():
            if isinstance(value, float) and math.isnan(value):
                raise ValueError(f"{name}={value}: must be a number")
    return optimizer


def made(make: Factory, weights: list[Tensor]) -> torch.optim.Optimizer:
    try:
        return make(weights)
    except ValueError as mistake:
        raise ValueError(f"optimizer: {mistake}") from mistake


def check_alone(optimizer: torch.optim.Optimizer) -> None:
    """Find an optimizer that would couple replicas.

    Raises:
        ValueError: If it is one.
    """
    name = type(optimizer).__name__
    if name in COUPLING:
        why = "couples the replicas: what it does to a weight depends on the others"
        raise ValueError(f"optimizer={name!r}: {why}")
