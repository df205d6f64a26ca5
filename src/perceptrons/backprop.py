r"""Backpropagation written out by hand: the chain rule for a multi-layer perceptron, one line of algebra a line of code.

A layer takes activations ``a`` of the layer before it (the inputs, for the first) to weighted sums and those to its own
activations::

    z = a W^T + b        a' = f(z)

The last ``z`` are the logits, and a loss L of them is a mean over rows and outputs, n = rows * outputs of them. Write
``delta = dL/dz`` for a layer, one row a row. At the logits it follows from the loss; p is the sigmoid of the logits (for
cross entropy their softmax, and n the number of rows):

    bce              L = mean of -y log p - (1 - y) log(1 - p)     delta = (p - y) / n
    cross_entropy    L = mean of -sum of y log p over the classes  delta = (p - y) / n
    mse              L = mean of (p - y)^2                         delta = 2 (p - y) p (1 - p) / n

and from a layer to the one before it, by the chain rule through ``z = a W^T + b`` and ``a = f(z_before)``::

    dL/dW = delta^T a        dL/db = sum of delta over the rows        delta_before = (delta W) * f'(z_before)

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``, each delta has the shape of its ``z``, each gradient that of its
parameter.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from perceptrons.network import MLP

# f'(z) from a = f(z): each of these activations gives its slope away by its value
SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.Sigmoid: lambda a: a * (1 - a),
    nn.Tanh: lambda a: 1 - a * a,
    nn.ReLU: lambda a: (a > 0).to(a.dtype),
    nn.LeakyReLU: lambda a: torch.where(a > 0, 1.0, 0.01),
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


@torch.no_grad()
def gradients(network: MLP, x: Tensor, y: Tensor, loss: str) -> tuple[Tensor, list[Tensor]]:
    """Logits ``(rows, outputs)`` and the loss's gradient for each parameter, in the order of ``parameters()``.

    Args:
        network: A perceptron or an MLP.
        x: Inputs ``(rows, inputs)``.
        y: Targets ``(rows, outputs)``.
        loss: A key of ``DELTAS``.
    """
    *hidden, last = network.layers
    inputs = [x]  # what each linear layer is given
    for linear, activation in zip(hidden[::2], hidden[1::2], strict=True):
        inputs.append(activation(linear(inputs[-1])))
    logits = last(inputs[-1])

    delta = DELTAS[loss](logits, y)
    backwards: list[Tensor] = []
    for layer in range(len(inputs) - 1, -1, -1):
        linear = network.layers[2 * layer]
        if linear.bias is not None:
            backwards.append(delta.sum(0))
        backwards.append(delta.T @ inputs[layer])
        if layer:
            slope = SLOPES[type(network.layers[2 * layer - 1])]
            delta = (delta @ linear.weight) * slope(inputs[layer])
    return logits, backwards[::-1]
