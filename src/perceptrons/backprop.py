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
parameter. Replicas are a last dimension of all of them, and each has the gradient it would have
alone.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from perceptrons.network import MLP, ReplicaLinear, beside_outputs

# f'(z) from a = f(z): the value of each of these activations tells its slope
SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Sigmoid: lambda a: a * (1 - a),
    nn.Tanh: lambda a: 1 - a * a,
    nn.ReLU: lambda a: (a > 0).to(a.dtype),
    nn.LeakyReLU: lambda a: torch.where(a > 0, a.new_tensor(1), a.new_tensor(0.01)),
    nn.Identity: torch.ones_like,
}


def numbers(y: Tensor) -> int:
    """How many numbers a loss is the mean of."""
    return y.shape[0] * y.shape[1]


def bce_delta(logits: Tensor, y: Tensor) -> Tensor:
    return (torch.sigmoid(logits) - y) / numbers(y)


def cross_entropy_delta(logits: Tensor, y: Tensor) -> Tensor:
    return (torch.softmax(logits, 1) - y) / len(y)


def mse_delta(logits: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(logits)
    return (p - y) * p * (1 - p) * (2 / numbers(y))


DELTAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": bce_delta,
    "cross_entropy": cross_entropy_delta,
    "mse": mse_delta,
}


@torch.no_grad()
def gradients(network: MLP, x: Tensor, y: Tensor, loss: str) -> tuple[Tensor, list[Tensor]]:
    """Logits ``(rows, outputs)``, and the loss's gradient for each of the network's parameters.

    Args:
        network: A perceptron or an MLP.
        x: Inputs ``(rows, inputs)``.
        y: Targets ``(rows, outputs)``.
        loss: ``bce``, ``mse`` or ``cross_entropy``.
    """
    *hidden, last = layers = list(network.layers)
    inputs = [x]  # what each linear layer is given
    for linear, activation in zip(hidden[::2], hidden[1::2], strict=True):
        inputs.append(activation(linear(inputs[-1])))
    logits: Tensor = last(inputs[-1])

    delta = DELTAS[loss](logits, y if logits.ndim == y.ndim else y[:, :, None])
    backwards: list[Tensor] = []  # from the last parameter to the first
    for layer in range(len(inputs) - 1, -1, -1):
        linear = cast(nn.Linear | ReplicaLinear, layers[2 * layer])
        if linear.bias is not None:
            backwards.append(delta.sum(0))
        backwards.append(weight_gradient(linear, inputs[layer], delta))
        if layer:
            slope = SLOPES[type(layers[2 * layer - 1])]
            delta = delta_before(linear, delta) * slope(inputs[layer])
    return logits, backwards[::-1]


def weight_gradient(linear: nn.Linear | ReplicaLinear, a: Tensor, delta: Tensor) -> Tensor:
    """``delta^T a``, shaped as the layer has its weights."""
    if isinstance(linear, nn.Linear):
        return delta.mT @ a
    return (beside_outputs(a) * delta[:, None]).sum(0)


def delta_before(linear: nn.Linear | ReplicaLinear, delta: Tensor) -> Tensor:
    """``delta W``."""
    if isinstance(linear, nn.Linear):
        return delta @ linear.weight
    return (linear.weight * delta[:, None]).sum(2)
