"""The networks: a perceptron, and the multi-layer perceptron (MLP) it grew into, in plain PyTorch."""

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
    """Linear layers with an activation between them; the last layer gives logits.

    ``x (rows, inputs)`` goes in, logits ``(rows, outputs)`` come out. There is no activation after the last
    layer, because every loss here starts from logits.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        hidden: Width of each hidden layer: ``[]`` is a perceptron, ``[2]`` one hidden layer of two neurons,
            ``[10, 10, 10]`` three of ten.
        activation: What a hidden neuron does to its weighted sum.
        bias: Whether each neuron adds a bias to its weighted sum.
        init: Initial weights and biases: ``torch`` as ``nn.Linear`` draws them, ``normal`` from N(0, init_scale^2),
            ``uniform`` from U(-init_scale, init_scale).
        init_scale: Scale of the initial weights; with ``init: torch`` a factor on what ``nn.Linear`` draws.

    Raises:
        ValueError: If a width is below 1, a name is unknown, or the scale is not positive and finite.
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
        _check(inputs, outputs, hidden, activation, init, init_scale)
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
        """Replace what ``nn.Linear`` drew: each layer's weights, then its biases, in the layers' order."""
        for parameter in self.parameters():
            if init == "normal":
                parameter.normal_(std=scale)
            elif init == "uniform":
                parameter.uniform_(-scale, scale)
            else:
                parameter.mul_(scale)


class Perceptron(MLP):
    """One linear layer: a weighted sum of the inputs and a bias, for each output.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        bias: Whether each neuron adds a bias to its weighted sum.
        init: Initial weights and biases: ``torch`` as ``nn.Linear`` draws them, ``normal`` from N(0, init_scale^2),
            ``uniform`` from U(-init_scale, init_scale).
        init_scale: Scale of the initial weights; with ``init: torch`` a factor on what ``nn.Linear`` draws.

    Raises:
        ValueError: If a width is below 1, a name is unknown, or the scale is not positive and finite.
    """

    def __init__(
        self, inputs: int, outputs: int = 1, bias: bool = True, init: Init = "torch", init_scale: float = 1.0
    ) -> None:
        super().__init__(inputs, outputs, bias=bias, init=init, init_scale=init_scale)


def _check(
    inputs: int, outputs: int, hidden: Sequence[int], activation: str, init: str, init_scale: float
) -> None:
    for name, width in [("inputs", inputs), ("outputs", outputs), *(("hidden", width) for width in hidden)]:
        if width < 1:
            raise ValueError(f"{name}={width}: a layer has at least 1 neuron")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r}: choose one of {', '.join(ACTIVATIONS)}")
    if init not in get_args(Init):
        raise ValueError(f"init={init!r}: choose one of {', '.join(get_args(Init))}")
    if not (math.isfinite(init_scale) and init_scale > 0):
        raise ValueError(f"init_scale={init_scale}: must be above 0 and finite")
