"""The networks: a perceptron, and the multi-layer perceptron (MLP) it grew into, in plain PyTorch.

Shapes: inputs ``x (rows, inputs)``, logits ``(rows, outputs)``. A study trains many replicas of a
network at once, and they are the last dimension: weights ``(inputs, outputs, replicas)``, logits
``(rows, outputs, replicas)``. There they are what the processor's wide registers go along.
"""

import math
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from perceptrons.memory import free_memory

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "identity"]
Init = Literal["torch", "normal", "uniform"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}
# numbers kept for each weight that is trained: itself, its gradient, two of the optimizer's
KEPT = 4


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
        replicas: Number of replicas to train at once: number r starts from the weights that the
            seed + r gives. ``null``: an ordinary network.
        init_scale_grid: Scales of the initial weights to train with, each with that many replicas.

    Raises:
        ValueError: If a width is below 1, a name is unknown, a scale not above 0 and finite, or
            there is no memory for so many replicas.
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
        replicas: int | None = None,
        init_scale_grid: Sequence[float] = (),
    ) -> None:
        super().__init__()
        check_widths(inputs, outputs, hidden)
        check_names(activation, init)
        check_scales(init_scale, init_scale_grid)
        self.seeds = replicas or 1
        self.scales = [*init_scale_grid] or [init_scale]
        grid = replicas is not None or init_scale_grid
        self.replicas = self.seeds * len(self.scales) if grid else None
        widths = [*pairwise([inputs, *hidden, outputs])]
        check_memory(replicas, self.replicas, sum((i + bias) * o for i, o in widths))
        layers: list[nn.Module] = []
        for fan_in, fan_out in widths:
            layers += [self.linear(fan_in, fan_out, bias), ACTIVATIONS[activation]()]
        self.layers = nn.ModuleList(layers[:-1])
        if self.replicas is None:
            reset(list(self.parameters()), init, init_scale)
        else:
            self.draw(init)

    def linear(self, inputs: int, outputs: int, bias: bool) -> nn.Module:
        if self.replicas is None:
            return nn.Linear(inputs, outputs, bias)
        return ReplicaLinear(inputs, outputs, self.replicas, bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    @torch.no_grad()
    def draw(self, init: Init) -> None:
        """Draw each replica's weights as an ordinary network with its seed has them."""
        linears = [cast(ReplicaLinear, layer) for layer in self.layers[::2]]
        # as nn.Linear has them, one replica after the other
        drawn = [
            [each.transpose(0, -1).contiguous() for each in layer.parameters()] for layer in linears
        ]
        generator, first = torch.Generator(), torch.initial_seed()
        for number, (scale, seed) in enumerate(product(self.scales, range(self.seeds))):
            generator.manual_seed((first + seed) % 2**64)
            ones = [[each[number] for each in layer] for layer in drawn]
            for layer in ones:
                bound = 1 / math.sqrt(layer[0].shape[1])
                for each in layer:
                    each.uniform_(-bound, bound, generator=generator)
            reset([each for layer in ones for each in layer], init, scale, generator)
        for linear, layer in zip(linears, drawn, strict=True):
            for parameter, each in zip(linear.parameters(), layer, strict=True):
                parameter.copy_(each.transpose(0, -1))

    @torch.no_grad()
    def repeat(self, times: int) -> None:
        """Have all replicas ``times`` over, one copy of them all after the other."""
        self.replicas = (self.replicas or 1) * times
        for parameter in self.parameters():
            parameter.data = parameter.repeat(*[1] * (parameter.ndim - 1), times)


class ReplicaLinear(nn.Module):
    """A linear layer for each of many replicas.

    Shapes: ``x (rows, inputs)``, or ``(rows, inputs, replicas)`` where each has its own; weight
    ``(inputs, outputs, replicas)``, bias ``(outputs, replicas)``, result
    ``(rows, outputs, replicas)``.
    """

    def __init__(self, inputs: int, outputs: int, replicas: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs, replicas))
        self.bias = nn.Parameter(torch.empty(outputs, replicas)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        sums = (beside_outputs(x) * self.weight).sum(1)
        return sums if self.bias is None else sums + self.bias


def beside_outputs(x: Tensor) -> Tensor:
    """A layer's inputs with a dimension for its outputs: ``(rows, inputs, 1, replicas)``."""
    return x[:, :, None, None] if x.ndim == 2 else x[:, :, None]


class Perceptron(MLP):
    """A weighted sum of the inputs, and a bias, for each output.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        bias: Whether each neuron adds a bias to its weighted sum.
        init: Initial weights and biases: ``torch`` as ``nn.Linear`` draws them, ``normal`` from
            N(0, init_scale^2), ``uniform`` from U(-init_scale, init_scale).
        init_scale: Scale of the initial weights; with ``torch`` a factor on what it draws.
        replicas: Number of replicas to train at once: number r starts from the weights that the
            seed + r gives. ``null``: an ordinary perceptron.
        init_scale_grid: Scales of the initial weights to train with, each with that many replicas.

    Raises:
        ValueError: If a width is below 1, a name is unknown, a scale not above 0 and finite, or
            there is no memory for so many replicas.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int = 1,
        bias: bool = True,
        init: Init = "torch",
        init_scale: float = 1.0,
        replicas: int | None = None,
        init_scale_grid: Sequence[float] = (),
    ) -> None:
        super().__init__(
            inputs,
            outputs,
            bias=bias,
            init=init,
            init_scale=init_scale,
            replicas=replicas,
            init_scale_grid=init_scale_grid,
        )


@torch.no_grad()
def reset(
    parameters: list[Tensor], init: Init, scale: float, generator: torch.Generator | None = None
) -> None:
    """Draw anew what ``nn.Linear`` drew: layer by layer, the weights before the biases."""
    for parameter in parameters:
        if init == "normal":
            parameter.normal_(std=scale, generator=generator)
        elif init == "uniform":
            parameter.uniform_(-scale, scale, generator=generator)
        elif scale != 1:
            parameter.mul_(scale)


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


def check_scales(init_scale: float, grid: Sequence[float]) -> None:
    if not 0 < init_scale < math.inf:
        raise ValueError(f"init_scale={init_scale}: must be above 0 and finite")
    if not all(0 < scale < math.inf for scale in grid):
        raise ValueError(f"init_scale_grid={[*grid]}: every scale must be above 0 and finite")
    if len({*grid}) < len(grid):
        raise ValueError(f"init_scale_grid={[*grid]}: the same scale is there twice")


def check_memory(replicas: int | None, in_all: int | None, parameters: int) -> None:
    """Find out that there are none, or more than there is memory for, before any is made.

    What the rows need beside the weights is not known here: it comes block by block.
    """
    if replicas is not None and replicas < 1:
        raise ValueError(f"replicas={replicas}: must be at least 1")
    each = parameters * KEPT * torch.finfo(torch.get_default_dtype()).bits // 8
    needed, free = each * (in_all or 1), free_memory()
    there = f"{needed / 2**30:.3g} GiB, and {free / 2**30:.3g} are free"
    if needed > free and in_all is None:
        raise ValueError(f"hidden: to train {parameters} weights needs {there}")
    if needed > free:
        fitting = f"{free // each} would fit"
        raise ValueError(f"replicas={replicas}: {in_all} replicas need {there}; {fitting}")
