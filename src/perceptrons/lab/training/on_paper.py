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

Dense = list[tuple[nn.Linear, nn.Module | None]]


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
    """A loss of one row: its value, its derivative by the sums ``z``, and both in words."""

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    delta: Callable[[Tensor, Tensor], Tensor]
    says: str
    delta_says: str
    answer: Callable[[Tensor], Tensor] = torch.sigmoid


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
        "squared_error",
        F.mse_loss,
        lambda z, y: 2 * (z - y) / y.numel(),
        "L = (p - y)^2, mean over the outputs",
        "delta = 2 (p - y) / outputs",
        lambda z: z,
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
class Layer:
    """A layer as it was, and what goes through it and back."""

    linear: nn.Linear
    activation: nn.Module | None  # the last one has none
    x: Tensor  # what goes in (1, inputs)
    sums: Tensor  # (1, outputs)
    values: Tensor  # what comes out
    delta: Tensor  # the loss's derivative by the sums


@dataclass(frozen=True)
class Update:
    """An update: what goes through the network and back, and what becomes of the weights."""

    number: int  # of the training row, from 1
    y: Tensor  # its targets (1, outputs)
    rule: Rule
    layers: list[Layer]
    loss: float
    by_hand: list[Tensor]  # gradient of each parameter, from the deltas
    by_autograd: list[Tensor]
    before: list[Tensor]  # each parameter
    after: list[Tensor]
    optimizer: torch.optim.Optimizer


def layers_of(net: Any) -> Dense:
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
    for rule in RULES[: len(RULES) - (outputs == 1)]:  # the softmax of one is always 1
        if torch.allclose(said, rule.value(logits, y.to(kind))):
            return rule
    raise ValueError("the loss must be bce, mse, cross_entropy or squared error")


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
    dense = layers_of(copy.deepcopy(net))
    rule = rule_of(module, dense[-1][0].out_features)
    x, y, number = chosen_row(module, data, row, next(net.parameters()).dtype)
    layers = forward(dense, rule, x, y)
    by_hand: list[Tensor] = []
    for each in layers:
        by_hand += [each.delta.mT @ each.x]
        by_hand += [each.delta.sum(0)] if each.linear.bias is not None else []
    made = module.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(f"{type(module).__name__} has not one optimizer")
    before = [each.detach().clone() for each in net.parameters()]
    optimizer.zero_grad()
    loss = module.loss(net(x), y)
    loss.backward()
    by_autograd = [each.grad.clone() for each in net.parameters() if each.grad is not None]
    optimizer.step()
    after = [each.detach().clone() for each in net.parameters()]
    gradients = by_hand, by_autograd
    return Update(number, y, rule, layers, loss.item(), *gradients, before, after, optimizer)


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


@torch.no_grad()
def forward(layers: Dense, rule: Rule, x: Tensor, y: Tensor) -> list[Layer]:
    """What goes through the layers, and back."""
    sums, values = [], [x]
    for linear, activation in layers:
        sums.append(linear(values[-1]))
        values.append((activation or rule.answer)(sums[-1]))
    deltas = [rule.delta(sums[-1], y)]
    for number in range(len(layers) - 1, 0, -1):
        (linear, _), (_, before) = layers[number], layers[number - 1]
        deltas.insert(0, (deltas[0] @ linear.weight) * SLOPES[type(before)][1](values[number]))
    rows = zip(layers, values, sums, values[1:], deltas, strict=False)
    return [Layer(*layer, *numbers) for layer, *numbers in rows]
