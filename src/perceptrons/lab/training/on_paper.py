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


def slope(p: Tensor) -> Tensor:
    return p * (1 - p)


# by activation: its derivative from its value, and how that is written
SLOPES: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], str]] = {
    nn.Sigmoid: (slope, "a (1 - a)"),
    nn.Tanh: (lambda a: 1 - a * a, "(1 - a^2)"),
    nn.ReLU: (lambda a: (a > 0).to(a.dtype), "(1 if a > 0 else 0)"),
    nn.LeakyReLU: (lambda a: torch.where(a > 0, 1.0, 0.01).to(a.dtype), "(1 if a > 0 else 0.01)"),
    nn.Identity: (torch.ones_like, "1"),
}


@dataclass(frozen=True)
class Rule:
    """A loss of one row: its value, its derivative by the logits, and both in words."""

    value: Callable[[Tensor, Tensor], Tensor]
    delta: Callable[[Tensor, Tensor], Tensor]
    says: str
    delta_says: str
    chances: Callable[[Tensor], Tensor] = torch.sigmoid


RULES = [
    Rule(
        F.binary_cross_entropy_with_logits,
        lambda z, y: (torch.sigmoid(z) - y) / y.numel(),
        "L = -y log p - (1 - y) log(1 - p), mean over the outputs",
        "delta = (p - y) / outputs",
    ),
    Rule(
        lambda z, y: F.mse_loss(torch.sigmoid(z), y),
        lambda z, y: 2 * (torch.sigmoid(z) - y) * slope(torch.sigmoid(z)) / y.numel(),
        "L = (p - y)^2, mean over the outputs",
        "delta = 2 (p - y) p (1 - p) / outputs",
    ),
    Rule(
        F.cross_entropy,
        lambda z, y: torch.softmax(z, 1) - y,
        "L = -sum of y log p, p the softmax of the sums",
        "delta = p - y",
        lambda z: torch.softmax(z, 1),
    ),
]


@dataclass(frozen=True)
class Update:
    """An update: what goes through the network and back, and what becomes of the weights.

    Attributes:
        number: Number of the training row, from 1.
        x: Its inputs ``(1, inputs)``.
        y: Its targets ``(1, outputs)``.
        rule: The loss.
        layers: Linear layers and their activations, as they were.
        sums: Weighted sums of each layer.
        values: What goes into each layer.
        deltas: The loss's derivative by these sums.
        loss: The loss.
        by_hand: Gradient of each parameter, from the deltas.
        by_autograd: The same as PyTorch has it.
        before: Each parameter.
        after: Each parameter once the optimizer has made its step.
        optimizer: The optimizer.
    """

    number: int
    x: Tensor
    y: Tensor
    rule: Rule
    layers: list[Any]
    sums: list[Tensor]
    values: list[Tensor]
    deltas: list[Tensor]
    loss: float
    by_hand: list[Tensor]
    by_autograd: list[Tensor]
    before: list[Tensor]
    after: list[Tensor]
    optimizer: torch.optim.Optimizer


def first_update(module: Any, data: Any, row: int | None = None) -> Update:
    """The update that a module makes of one training row; its weights are others then.

    Args:
        module: The module.
        data: Its data.
        row: Number of the row, from 1. ``None``: the first without a 0, which makes gradients 0.

    Raises:
        ValueError: If the network, its loss or its data cannot be followed on paper.
    """
    net, layers, rule, x, y, number = followed(module, data, row)
    kept = copy.deepcopy(layers)
    sums, values = passed(kept, x)
    deltas = deltas_of(kept, values, rule.delta(sums[-1], y))
    by_hand: list[Tensor] = []
    for (linear, _), delta, value in zip(kept, deltas, values, strict=True):
        by_hand += [delta.mT @ value] + ([delta.sum(0)] if linear.bias is not None else [])
    before = [each.detach().clone() for each in net.parameters()]
    optimizer = optimizer_of(module)
    optimizer.zero_grad()
    loss = module.loss(net(x), y)
    loss.backward()
    return Update(
        number=number,
        x=x,
        y=y,
        rule=rule,
        layers=kept,
        sums=sums,
        values=values,
        deltas=deltas,
        loss=loss.item(),
        by_hand=by_hand,
        by_autograd=[each.grad.clone() for each in net.parameters()],
        before=before,
        after=stepped(net, optimizer),
        optimizer=optimizer,
    )


def stepped(net: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    optimizer.step()
    return [each.detach().clone() for each in net.parameters()]


def followed(module: Any, data: Any, row: int | None) -> tuple[Any, ...]:
    """Network, layers, loss, and inputs and target of the row."""
    net = getattr(module, "net", None)
    layers = dense_layers(net) if isinstance(net, nn.Module) else None
    if net is None or layers is None or not isinstance(data, TableData):
        raise ValueError(f"{type(net).__name__} is not a chain of linear layers on a table")
    if layers[-1][1] is not None or any(type(f) not in SLOPES for _, f in layers[:-1]):
        raise ValueError(f"activations must be of {', '.join(k.__name__ for k in SLOPES)}")
    x, y = data.split["train"][:2]
    y = getattr(module, "targets", lambda y: y)(y)
    if row is None:  # the first without a 0, which would make gradients 0
        full = (x != 0).all(1).nonzero()
        row = int(full[0]) + 1 if len(full) else 1
    if not 1 <= row <= len(x):
        raise ValueError(f"--row={row}: must be from 1 to {len(x)}, the training rows")
    kind = next(net.parameters()).dtype
    x, y = x[row - 1 : row].to(kind), y[row - 1 : row].to(kind)
    for rule in RULES:
        logits = torch.linspace(-1, 1, y.numel(), dtype=kind).view_as(y) + 0.3
        with torch.no_grad():
            said, expected = module.loss(logits, y), rule.value(logits, y)
        if y.shape[1] == 1 and rule is RULES[2]:
            continue
        if torch.allclose(said, expected):
            return net, layers, rule, x, y, row
    raise ValueError("the loss must be bce, mse or cross_entropy")


def optimizer_of(module: Any) -> torch.optim.Optimizer:
    made = module.configure_optimizers()
    made = made["optimizer"] if isinstance(made, dict) else made
    if not isinstance(made, torch.optim.Optimizer):
        raise ValueError(f"{type(module).__name__} has not one optimizer")
    return made


@torch.no_grad()
def passed(layers: Any, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Weighted sums of each layer, and what goes into each."""
    sums, values = [], [x]
    for linear, activation in layers:
        sums.append(linear(values[-1]))
        if activation is not None:
            values.append(activation(sums[-1]))
    return sums, values


@torch.no_grad()
def deltas_of(layers: Any, values: list[Tensor], last: Tensor) -> list[Tensor]:
    """The loss's derivative by the weighted sums of each layer, from the last one back."""
    deltas = [last]
    for number in range(len(layers) - 1, 0, -1):
        derivative, _ = SLOPES[type(layers[number - 1][1])]
        deltas.append((deltas[-1] @ layers[number][0].weight) * derivative(values[number]))
    return deltas[::-1]
