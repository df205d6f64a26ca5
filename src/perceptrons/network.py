"""The networks: a perceptron, and the multi-layer perceptron (MLP) it grew into, in plain PyTorch.

Shapes: inputs ``x (rows, inputs)``, logits ``(rows, outputs)``.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "identity"]
Init = Literal["torch", "normal", "uniform"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}


class MLP(nn.Module):
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

    Raises:
        ValueError: If a width is below 1, a name is unknown, or the scale not above 0 and finite.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int = 1,
        hidden: Sequence[int] = (),
        activation: Activation = "sigmoid",
        bias: bool = True,
        init: Init = "torch",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        check_widths(inputs, outputs, hidden)
        check_names(activation, init)
        if not 0 < init_scale < math.inf:
            raise ValueError(f"init_scale={init_scale}: must be above 0 and finite")
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([inputs, *hidden, outputs]):
            layers += [nn.Linear(fan_in, fan_out, bias), ACTIVATIONS[activation]()]
        self.layers = nn.ModuleList(layers[:-1])
        self.reset(init, init_scale)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    @torch.no_grad()
    def reset(self, init: Init, scale: float) -> None:
        """Draw anew what ``nn.Linear`` drew: layer by layer, the weights before the biases."""
        for parameter in self.parameters():
            if init == "normal":
                parameter.normal_(std=scale)
            elif init == "uniform":
                parameter.uniform_(-scale, scale)
            else:
                parameter.mul_(scale)


class Perceptron(MLP):
    """A weighted sum of the inputs, and a bias, for each output.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        bias: Whether each neuron adds a bias to its weighted sum.
        init: Initial weights and biases: ``torch`` as ``nn.Linear`` draws them, ``normal`` from
            N(0, init_scale^2), ``uniform`` from U(-init_scale, init_scale).
        init_scale: Scale of the initial weights; with ``torch`` a factor on what it draws.

    Raises:
        ValueError: If a width is below 1, a name is unknown, or the scale not above 0 and finite.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int = 1,
        bias: bool = True,
        init: Init = "torch",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__(inputs, outputs, bias=bias, init=init, init_scale=init_scale)


def check_widths(inputs: int, outputs: int, hidden: Sequence[int]) -> None:
    for name, width in (("inputs", inputs), ("outputs", outputs)):
        if width < 1:
            raise ValueError(f"{name}={width}: must be at least 1")
    if any(width < 1 for width in hidden):
        raise ValueError(f"hidden={list(hidden)}: every layer must have at least 1 neuron")


def check_names(activation: str, init: str) -> None:
    for name, given, allowed in (
        ("activation", activation, get_args(Activation)),
        ("init", init, get_args(Init)),
    ):
        if given not in allowed:
            raise ValueError(f"{name}={given!r}: choose one of {', '.join(allowed)}")
