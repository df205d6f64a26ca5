"""Many networks as one module: a member for each seed, in a further dimension of every parameter.

Shapes: ``x (rows, ...)`` and ``y (rows, outputs)``, with a last dimension of members where each has
rows of its own; logits ``(rows, outputs, members)``, losses ``(members,)``.
"""

import copy
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.func import functional_call

from ..training.protocol import dense_layers

Weights = dict[str, Tensor]
MakeNet = Callable[[], nn.Module]


class Members(ABC):
    """The networks of several seeds.

    Args:
        first: The first of them, as the user's constructor makes it.
        tensors: Parameters and buffers of all by name, each with a first dimension of members.

    Attributes:
        net: A module with all parameters, by the names that the user's network gives them.
        dimension: Where members lie in them.
    """

    dimension: int

    def __init__(self, first: nn.Module, tensors: Weights) -> None:
        self.first, self.count = first, len(next(iter(tensors.values())))
        self.net = self.network(tensors)

    @abstractmethod
    def network(self, tensors: Weights) -> nn.Module:
        """The module that holds the parameters and buffers of all."""

    @abstractmethod
    def logits(self, weights: Weights, x: Tensor) -> Tensor:
        """Logits of as many members as the weights and buffers have."""

    @property
    def weights(self) -> Weights:
        return {name: weight.detach() for name, weight in self.net.named_parameters()}

    @property
    def buffers(self) -> Weights:
        return dict(self.net.named_buffers())

    def cut(self, tensor: Tensor, part: slice | int | None) -> Tensor:
        """Some members of a parameter, or of what an optimizer keeps for it."""
        if part is None:
            return tensor
        return tensor[..., part] if self.dimension == -1 else tensor[part]

    def member(self, number: int) -> nn.Module:
        """One of the networks, as the user's constructor makes it."""
        net = copy.deepcopy(self.first)
        state = self.net.state_dict()
        net.load_state_dict({name: self.alone(state[name], number) for name in net.state_dict()})
        return net.train(self.net.training)

    def alone(self, tensor: Tensor, number: int) -> Tensor:
        """What a tensor of all members has for one, shaped as the user's network has it."""
        one = self.cut(tensor.detach(), number)
        return (one.mT if self.dimension == -1 and one.ndim == 2 else one).cpu().clone()


class MemberLinear(nn.Module):
    """A linear layer of many members, which are the last dimension.

    There the processor's wide registers go along them: compiled, a member of a tiny network takes
    an eighth of what ``torch.func.vmap`` makes of it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.transpose(0, -1).contiguous())
        self.bias = nn.Parameter(bias.transpose(0, -1).contiguous()) if bias is not None else None

    def forward(self, x: Tensor) -> Tensor:
        beside_outputs = x[:, :, None, None] if x.ndim == 2 else x[:, :, None]
        sums = (beside_outputs * self.weight).sum(1)
        return sums if self.bias is None else sums + self.bias


class FastMembers(Members):
    """Networks of linear layers with elementwise activations: members are the last dimension.

    Weights ``(inputs, outputs, members)``, biases ``(outputs, members)``.
    """

    dimension = -1

    def network(self, tensors: Weights) -> nn.Module:
        return nn.Sequential(
            *(
                MemberLinear(tensors[f"{number}.weight"], tensors.get(f"{number}.bias"))
                if isinstance(layer, nn.Linear)
                else copy.deepcopy(layer)
                for number, layer in enumerate(self.first.children())
            )
        )

    def logits(self, weights: Weights, x: Tensor) -> Tensor:
        made: Tensor = functional_call(self.net, weights, (x,))
        return made


class MappedMembers(Members):
    """Networks of any kind, by ``torch.func.vmap``: members are the first dimension."""

    dimension = 0

    def __init__(self, first: nn.Module, tensors: Weights, ndim: int = 2) -> None:
        super().__init__(first, tensors)
        self.ndim = ndim  # dimensions of a batch of inputs that all members share

    def network(self, tensors: Weights) -> nn.Module:
        net = copy.deepcopy(self.first)
        made: dict[int, nn.Parameter] = {}  # weights that two layers share stay shared
        for prefix, layer in net.named_modules():
            start = f"{prefix}." if prefix else ""
            for name, parameter in layer.named_parameters(recurse=False):
                if id(parameter) not in made:
                    trained = parameter.requires_grad
                    made[id(parameter)] = nn.Parameter(tensors[start + name], trained)
                layer.register_parameter(name, made[id(parameter)])
            for name, _ in layer.named_buffers(recurse=False):
                setattr(layer, name, tensors[start + name])
        return net

    def logits(self, weights: Weights, x: Tensor) -> Tensor:
        def alone(weights: Weights, x: Tensor) -> Tensor:
            made: Tensor = functional_call(self.net, weights, (x,))
            return made

        rows = -1 if x.ndim > self.ndim else None
        mapped = torch.vmap(alone, (0, rows), -1, randomness="different")
        made: Tensor = mapped(weights, x)
        return made


def stack(make: MakeNet, seeds: Sequence[int], fast: bool = True, ndim: int = 2) -> Members:
    """The networks that a constructor makes under several seeds, bit for bit.

    What else draws random numbers does not notice.

    Args:
        make: Makes one.
        seeds: The seeds.
        fast: Whether members may be the last dimension, where the network allows it.
        ndim: Dimensions of a batch of inputs.

    Raises:
        ValueError: If the seeds make networks of different shapes.
    """
    tensors: Weights = {}
    nets: list[nn.Module] = []  # the first
    with isolate_rng():
        for number, seed in enumerate(seeds):
            seed_all(seed)
            net = make()
            nets = nets or [net]
            for name, tensor in named_tensors(net):
                if number == 0:
                    tensors[name] = tensor.new_empty(len(seeds), *tensor.shape)
                if name not in tensors or tensors[name].shape[1:] != tensor.shape:
                    raise ValueError(f"seeds: {name} has another shape under seed {seed}")
                tensors[name][number] = tensor.detach()
    if fast and dense_layers(nets[0]) is not None:
        return FastMembers(nets[0], tensors)
    return MappedMembers(nets[0], tensors, ndim)


def seed_all(seed: int) -> None:
    """Seed everything that Lightning's ``seed_everything`` does."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def named_tensors(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name, shared ones under each of their names."""
    return chain(net.named_parameters(remove_duplicate=False), net.named_buffers())


def parts(count: int, size: int) -> list[slice]:
    """Blocks of at most ``size`` members, all of them as large if possible."""
    least = -(-count // max(1, size))
    blocks = next((n for n in range(least, 2 * least + 8) if count % n == 0), least)
    width = -(-count // blocks)
    return [slice(start, min(start + width, count)) for start in range(0, count, width)]
