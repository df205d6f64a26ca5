"""A multi-layer perceptron in NumPy, float64: the oracle of the gradients.

A layer is one matrix ``(inputs + 1, outputs)``, or ``(inputs, outputs)`` without biases: a bias is
the weight of a further input that is always 1. Slopes come from the weighted sums.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def logistic(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": logistic,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.maximum(z, 0.01 * z),
    "identity": lambda z: z,
}
SLOPES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda z: 1 / (2 * np.cosh(z / 2)) ** 2,
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "relu": lambda z: np.heaviside(z, 0),
    "leaky_relu": lambda z: 0.01 + 0.99 * np.heaviside(z, 0),
    "identity": np.ones_like,
}


def bce(z: Array, y: Array) -> tuple[float, Array]:
    return float(np.mean(np.logaddexp(0, z) - y * z)), (logistic(z) - y) / y.size


def mse(z: Array, y: Array) -> tuple[float, Array]:
    error = logistic(z) - y
    return float(np.mean(error**2)), 2 * error * SLOPES["sigmoid"](z) / y.size


def cross_entropy(z: Array, y: Array) -> tuple[float, Array]:
    total = np.logaddexp.reduce(z, axis=1, keepdims=True)
    return float(np.mean(total[:, 0] - (y * z).sum(1))), (np.exp(z - total) - y) / len(y)


# each gives the loss of logits, and its slope at each of them
LOSSES: dict[str, Callable[[Array, Array], tuple[float, Array]]] = {
    "bce": bce,
    "mse": mse,
    "cross_entropy": cross_entropy,
}


class NumpyMLP:
    """The network.

    Args:
        layers: The matrix of each layer.
        activation: Name of the hidden neurons' activation.
        bias: Whether the last row of each matrix holds biases.
    """

    def __init__(self, layers: list[Array], activation: str, bias: bool) -> None:
        self.layers, self.activation, self.bias = layers, activation, bias

    def inputs(self, a: Array) -> Array:
        """What a layer's matrix is multiplied with, given the activations before it."""
        return np.hstack([a, np.ones((len(a), 1))]) if self.bias else a

    def sums(self, x: Array) -> list[Array]:
        """Weighted sums of each layer; the last are the logits."""
        sums = [self.inputs(x) @ self.layers[0]]
        for layer in self.layers[1:]:
            sums.append(self.inputs(ACTIVATIONS[self.activation](sums[-1])) @ layer)
        return sums

    def loss(self, x: Array, y: Array, loss: str) -> float:
        return LOSSES[loss](self.sums(x)[-1], y)[0]

    def gradients(self, x: Array, y: Array, loss: str) -> list[Array]:
        """The loss's gradient for each layer's matrix."""
        sums = self.sums(x)
        activations = [x, *(ACTIVATIONS[self.activation](z) for z in sums[:-1])]
        slope_at_sums = LOSSES[loss](sums[-1], y)[1]
        gradients = [self.inputs(activations[-1]).T @ slope_at_sums]
        for number in reversed(range(len(sums) - 1)):
            weights = self.layers[number + 1][: sums[number].shape[1]]
            slope_at_sums = slope_at_sums @ weights.T * SLOPES[self.activation](sums[number])
            gradients.insert(0, self.inputs(activations[number]).T @ slope_at_sums)
        return gradients
