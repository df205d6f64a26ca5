"""One update of a network by one row, with every number that one needs on paper.

A delta is the loss's derivative by a weighted sum: at the outputs the loss gives it, and each layer
gives it to the one before. A gradient is the delta behind a weight times what goes into it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.tables import TableData
from .protocol import dense_layers

Layers = list[tuple[nn.Linear, nn.Module | None]]


def slope(p: Tensor) -> Tensor:
    return p * (1 - p)


# by activation: its name, its derivative from its value, and how that is written
SLOPES: dict[Any, tuple[str, Callable[[Tensor], Tensor], str]] = {
    nn.Sigmoid: ("sigmoid", slope, "a (1 - a)"),
    nn.Tanh: ("tanh", lambda a: 1 - a * a, "(1 - a^2)"),
    nn.ReLU: ("relu", lambda a: (a > 0).to(a.dtype), "(1 if a > 0 else 0)"),
    nn.LeakyReLU: (
        "leaky_relu",
        lambda a: torch.where(a > 0, 1.0, 0.01).to(a.dtype),
        "(1 if a > 0 else 0.01)",
    ),
    nn.Identity: ("identity", torch.ones_like, "1"),
}


@dataclass(frozen=True)
class Rule:
    """A loss of one row: its value, its derivative by the logits, and both in words."""

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    delta: Callable[[Tensor, Tensor], Tensor]
    says: str
    delta_says: str
    chances: Callable[[Tensor], Tensor] = torch.sigmoid


RULES = [
    Rule(
        "bce",
        F.binary_cross_entropy_with_logits,
        lambda z, y: (torch.sigmoid(z) - y) / y.numel(),
        "L = -y log p - (1 - y) log(1 - p), mean over the outputs",
        "delta = (p - y) / outputs",
    ),
    Rule(
        "mse",
        lambda z, y: F.mse_loss(torch.sigmoid(z), y),
        lambda z, y: 2 * (torch.sigmoid(z) - y) * slope(torch.sigmoid(z)) / y.numel(),
        "L = (p - y)^2, mean over the outputs",
        "delta = 2 (p - y) p (1 - p) / outputs",
    ),
    Rule(
        "cross_entropy",
        F.cross_entropy,
        lambda z, y: torch.softmax(z, 1) - y,
        "L = -sum of y log p, p the softmax of the sums",
        "delta = p - y",
        lambda z: torch.softmax(z, 1),
    ),
]


@dataclass(frozen=True)
class Update:
    """An update: what goes through the network and back, and what becomes of the weights."""

    number: int  # of the training row, from 1
    x: Tensor  # its inputs (1, inputs)
    y: Tensor  # its targets (1, outputs)
    rule: Rule
    layers: Layers  # as they were
    sums: list[Tensor]  # of each layer
    values: list[Tensor]  # what goes into each layer
    deltas: list[Tensor]  # the loss's derivative by these sums
    loss: float
    by_hand: list[Tensor]  # gradient of each parameter, from the deltas
    by_autograd: list[Tensor]
    before: list[Tensor]  # each parameter
    after: list[Tensor]
    optimizer: torch.optim.Optimizer


def layers_of(net: Any) -> Layers:
    """The layers of a network whose derivatives are known.

    Raises:
        ValueError: If it is another network.
    """
    layers = dense_layers(net)
    if layers is None:
        raise ValueError(f"{type(net).__name__} is not an nn.Sequential of linear layers")
    hidden = [activation or nn.Identity() for _, activation in layers[:-1]]
    if layers[-1][1] is not None or any(type(each) not in SLOPES for each in hidden):
        raise ValueError(f"activations must be of {', '.join(k.__name__ for k in SLOPES)}")
    if any(isinstance(each, nn.LeakyReLU) and each.negative_slope != 0.01 for each in hidden):
        raise ValueError("activations: LeakyReLU must have the slope 0.01")
    ends = [*hidden, None]
    return [(linear, activation) for (linear, _), activation in zip(layers, ends, strict=True)]


def rule_of(module: Any, outputs: int) -> Rule:
    """Which loss a module has, found out by what it says.

    Raises:
        ValueError: If it is another one.
    """
    generator = torch.Generator().manual_seed(0)
    kind = next(module.net.parameters()).dtype
    logits = torch.randn(8, outputs, generator=generator).to(kind)
    y = F.one_hot(torch.arange(8) % outputs, outputs) if outputs > 1 else logits.roll(1) > 0
    try:
        said = module.loss(logits, y.to(kind))
    except Exception as failure:  # a loss of the user's own may raise anything
        raise ValueError(f"the loss takes other targets: {failure}") from failure
    for rule in RULES[: 2 + (outputs > 1)]:
        if torch.allclose(said, rule.value(logits, y.to(kind))):
            return rule
    raise ValueError("the loss must be bce, mse or cross_entropy")


def first_update(module: Any, data: Any, row: int | None = None) -> Update:
    """The update that a module makes of one training row; its weights are others then.

    Args:
        module: The module.
        data: Its data.
        row: Number of the row, from 1. ``None``: the first without a 0, which makes gradients 0.

    Raises:
        ValueError: If the network, its loss or its data cannot be followed on paper.
    """
    net = getattr(module, "net", None)
    if not isinstance(net, nn.Module) or not isinstance(data, TableData):
        raise ValueError(f"{type(module).__name__} has no net, or no table of rows")
    layers = copy.deepcopy(layers_of(net))
    rule = rule_of(module, layers[-1][0].out_features)
    x, y, number = chosen_row(module, data, row, next(net.parameters()).dtype)
    sums, values = passed(layers, x)
    deltas = deltas_of(layers, values, rule.delta(sums[-1], y))
    by_hand: list[Tensor] = []
    for (linear, _), delta, value in zip(layers, deltas, values, strict=True):
        by_hand += [delta.mT @ value] + ([delta.sum(0)] if linear.bias is not None else [])
    before = [each.detach().clone() for each in net.parameters()]
    optimizer = optimizer_of(module)
    optimizer.zero_grad()
    loss = module.loss(net(x), y)
    loss.backward()
    by_autograd = [each.grad.clone() for each in net.parameters() if each.grad is not None]
    optimizer.step()
    after = [each.detach().clone() for each in net.parameters()]
    backward = deltas, loss.item(), by_hand, by_autograd
    return Update(number, x, y, rule, layers, sums, values, *backward, before, after, optimizer)


def chosen_row(
    module: Any, data: TableData, row: int | None, kind: torch.dtype
) -> tuple[Tensor, Tensor, int]:
    """Inputs and targets of a training row, and its number."""
    x, y = data.split["train"][:2]
    y = getattr(module, "targets", lambda y: y)(y)
    if row is None:
        full = (x != 0).all(1).nonzero()
        row = int(full[0]) + 1 if len(full) else 1
    if not 1 <= row <= len(x):
        raise ValueError(f"--row={row}: must be from 1 to {len(x)}, the training rows")
    return x[row - 1 : row].to(kind), y[row - 1 : row].to(kind), row


def optimizer_of(module: Any) -> torch.optim.Optimizer:
    made = module.configure_optimizers()
    made = made["optimizer"] if isinstance(made, dict) else made
    if not isinstance(made, torch.optim.Optimizer):
        raise ValueError(f"{type(module).__name__} has not one optimizer")
    return made


@torch.no_grad()
def passed(layers: Layers, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Weighted sums of each layer, and what goes into each."""
    sums, values = [], [x]
    for linear, activation in layers:
        sums.append(linear(values[-1]))
        if activation is not None:
            values.append(activation(sums[-1]))
    return sums, values


@torch.no_grad()
def deltas_of(layers: Layers, values: list[Tensor], last: Tensor) -> list[Tensor]:
    """The loss's derivative by the weighted sums of each layer, from the last one back."""
    deltas = [last]
    for number in range(len(layers) - 1, 0, -1):
        _, derivative, _ = SLOPES[type(layers[number - 1][1])]
        deltas.append((deltas[-1] @ layers[number][0].weight) * derivative(values[number]))
    return deltas[::-1]
