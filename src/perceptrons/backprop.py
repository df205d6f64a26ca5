"""Backpropagation written out by hand: the chain rule for a perceptron or an MLP.

A layer makes weighted sums z of the activations a of the layer before it (of the inputs, if it is
the first), and of these sums its own activations::

    z = a W^T + b        a' = f(z)

The last z are the logits. Each loss L is a mean over rows and outputs, n of them, or for cross
entropy over the rows alone; p is the sigmoid of the logits, or for cross entropy their softmax.
Write delta for dL/dz. At the logits the loss gives it::

    bce              L = mean of -y log p - (1 - y) log(1 - p)      delta = (p - y) / n
    cross_entropy    L = mean over rows of -sum of y log p          delta = (p - y) / n
    mse              L = mean of (p - y)^2                          delta = 2 (p - y) p (1 - p) / n

and each layer gives it to the one before, by the chain rule through z = a W^T + b and a = f(z)::

    dL/dW = delta^T a      dL/db = sum of delta over the rows      delta_before = (delta W) f'(z)

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``; a delta is shaped as its z, a gradient as its
parameter.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .losses import LOSSES
from .network import MLP

ONE = torch.tensor(1.0)  # 1 - a takes torch thrice as long where 1 is not a tensor
# f'(z) from a = f(z): the value of each of these activations tells its slope
SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Sigmoid: lambda a: a * (ONE - a),
    nn.Tanh: lambda a: ONE - a * a,
    nn.ReLU: lambda a: (a > 0).to(a.dtype),
    nn.LeakyReLU: lambda a: torch.where(a > 0, a.new_tensor(1), a.new_tensor(0.01)),
    nn.Identity: torch.ones_like,
}


def bce_delta(logits: Tensor, y: Tensor) -> Tensor:
    return (torch.sigmoid(logits) - y) / y.numel()


def cross_entropy_delta(logits: Tensor, y: Tensor) -> Tensor:
    return (torch.softmax(logits, 1) - y) / len(y)


def mse_delta(logits: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return (p - y) * p * (1 - p) * (2 / y.numel())


DELTAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": bce_delta,
    "cross_entropy": cross_entropy_delta,
    "mse": mse_delta,
}


def gradients(network: MLP, x: Tensor, y: Tensor, loss: str) -> tuple[Tensor, list[Tensor]]:
    """Logits ``(rows, outputs)``, and the loss's gradient for each of the network's parameters.

    To be called where autograd is off.

    Args:
        network: A perceptron or an MLP.
        x: Inputs ``(rows, inputs)``.
        y: Targets ``(rows, outputs)``.
        loss: ``bce``, ``mse`` or ``cross_entropy``.
    """
    layers: list[Any] = list(network)
    weights, functions = [(each.weight, each.bias) for each in layers[::2]], layers[1::2]
    activations = [x]  # what each linear layer is given
    for (weight, bias), function in zip(weights, functions, strict=False):
        activations.append(function(F.linear(activations[-1], weight, bias)))
    logits = F.linear(activations[-1], *weights[-1])

    delta = DELTAS[loss](logits, y)
    backwards: list[Tensor] = []  # from the last parameter to the first
    for number in range(len(functions), -1, -1):
        (weight, bias), a = weights[number], activations[number]
        if bias is not None:
            backwards.append(delta.sum(0))
        backwards.append(delta.mT @ a)
        if number:
            delta = (delta @ weight) * SLOPES[type(functions[number - 1])](a)
    return logits, backwards[::-1]


class LossByHand(torch.autograd.Function):
    """A loss whose gradient is the one above, so that ``loss.backward()`` works as ever."""

    @staticmethod
    def forward(
        ctx: Any, network: MLP, loss: str, x: Tensor, y: Tensor, *parameters: Tensor
    ) -> Tensor:
        logits, ctx.gradients = gradients(network, x, y, loss)
        return LOSSES[loss](logits, y)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return None, None, None, None, *(outer[0] * gradient for gradient in ctx.gradients)
