"""The networks: a perceptron, and the multi-layer perceptron (MLP) it grew into, in plain PyTorch.

Shapes: inputs ``x (rows, inputs)``, logits ``(rows, outputs)``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import nn

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "identity"]
Init = Literal["torch", "normal", "uniform"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}


class MLP(nn.Sequential):
    """Linear layers with an activation between them; logits come out.

    There is no activation after the last layer, because every loss here starts from logits.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        hidden: Width of each hidden layer: ``[]`` is a perceptron, ``[2]`` one hidden layer of two
            neurons, ``[10, 10, 10]`` three of ten.
        activation: What a hidden neuron does to its weighted sum.
        bias: Whether each neuron adds a bias to its weighted sum.
        init: Initial weights and biases: ``torch`` as ``nn.Linear`` draws them, ``normal`` from
            N(0, init_scale^2), ``uniform`` from U(-init_scale, init_scale).
        init_scale: Scale of the initial weights; with ``torch`` a factor on what it draws.
    """

    def __init__(
        self,
        inputs: PositiveInt,
        outputs: PositiveInt = 1,
        hidden: Sequence[PositiveInt] = (),
        activation: Activation = "sigmoid",
        bias: bool = True,
        init: Init = "torch",
        init_scale: PositiveFloat = 1.0,
    ) -> None:
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([inputs, *hidden, outputs]):
            layers += [nn.Linear(fan_in, fan_out, bias), ACTIVATIONS[activation]()]
        super().__init__(*layers[:-1])
        redraw(self, init, init_scale)


class Perceptron(MLP):
    """A weighted sum of the inputs, and a bias, for each output: an MLP without hidden layers."""

    def __init__(self, inputs: PositiveInt, outputs: PositiveInt = 1, **mlp: Any) -> None:
        super().__init__(inputs, outputs, hidden=(), activation="identity", **mlp)


@torch.no_grad()
def redraw(network: nn.Module, init: Init, scale: float) -> None:
    """Draw the parameters anew, layer by layer, the weights before the biases."""
    for parameter in network.parameters():
        if init == "normal":
            parameter.normal_(std=scale)
        elif init == "uniform":
            parameter.uniform_(-scale, scale)
        elif scale != 1:
            parameter.mul_(scale)
