"""Many networks as one module: a member for each seed, in a further dimension of every parameter.

Shapes: ``x (rows, ...)`` and ``y (rows, outputs)``, with a last dimension of members where each has
rows of its own; logits ``(rows, outputs, members)``, losses ``(members,)``.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..training.protocol import ELEMENTWISE

# numbers in the largest of a network's weights, at most, for the fast layout, which makes all
# products and sums them up: with more, products of matrices by vmap are faster
LARGEST = 128

Weights = dict[str, Tensor]
MakeNet = Callable[[], nn.Module]


class Members(ABC):
    """The networks of several seeds.

    Args:
        make: The user's constructor.
        tensors: Parameters and buffers of all by name, each with a first dimension of members.
        ndim: Dimensions of a batch of inputs that all members share.

    Attributes:
        net: A module with all parameters, by the names that the user's network gives them.
        dimension: Where members lie in them.
    """

    dimension: int

    def __init__(self, make: MakeNet, tensors: Weights, ndim: int) -> None:
        self.make, self.ndim = make, ndim
        self.net = self.new()
        for name, tensor in named_tensors(self.net):
            tensor.data = tensors[name]  # so that weights that two layers share stay shared
        self.count = tensors[name].shape[self.dimension]

    def new(self) -> nn.Module:
        """A network, whose weights do not matter."""
        with isolate_rng():
            return self.make()

    @abstractmethod
    def logits(self, weights: Weights, x: Tensor) -> Tensor:
        """Logits of as many members as the weights and buffers have."""

    @property
    def trained(self) -> set[str]:
        """Names of the weights that are trained."""
        return {name for name, weight in self.net.named_parameters() if weight.requires_grad}

    @property
    def weights(self) -> Weights:
        return {name: weight.detach() for name, weight in self.net.named_parameters()}

    @property
    def buffers(self) -> Weights:
        return dict(self.net.named_buffers())

    def part(self, tensors: Weights, part: slice) -> Weights:
        """Some members of several parameters."""
        return {name: self.cut(tensor, part) for name, tensor in tensors.items()}

    def cut(self, tensor: Tensor, part: Any) -> Tensor:
        """Some members, or one, of a parameter, or of what an optimizer keeps for it."""
        return tensor[..., part] if self.dimension == -1 else tensor[part]

    def member(self, number: int) -> nn.Module:
        """One of the networks, as the user's constructor makes it."""
        net = self.new()
        every = dict(named_tensors(self.net))
        with torch.no_grad():
            for name, tensor in named_tensors(net):
                tensor.copy_(self.alone(every[name], number))
        for mine, its in zip(net.modules(), self.net.modules(), strict=True):
            mine.training = its.training
        return net

    def alone(self, tensor: Tensor, number: int) -> Tensor:
        """What a tensor of all members has for one, shaped as the user's network has it."""
        one = self.cut(tensor.detach(), number)
        one = one.mT if self.dimension == -1 and one.ndim == 2 else one
        return one.cpu().clone(memory_format=torch.contiguous_format)


class MemberLinear(nn.Linear):
    """A linear layer of many members, which are the last dimension.

    There the processor's wide registers go along them: compiled, a member of a tiny network takes
    an eighth of what ``torch.func.vmap`` makes of it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.stride(-1) or torch.compiler.is_compiling():
            sums = (x[:, :, None] * self.weight).sum(1)
        else:  # members have the same inputs
            sums = (x[..., 0] @ self.weight.flatten(1)).view(len(x), *self.weight.shape[1:])
        return sums if self.bias is None else sums + self.bias


class Normalize(torch.autograd.Function):
    """Numbers ``(rows, numbers, members)`` with mean 0 and variance 1, in half of torch's steps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        x = x - x.mean(1, keepdim=True)
        scale = (x.square().mean(1, keepdim=True) + eps).rsqrt()
        made = x * scale
        ctx.save_for_backward(made, scale)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        made, scale = ctx.saved_tensors
        along = (gradient * made).mean(1, keepdim=True)
        centred = gradient - gradient.mean(1, keepdim=True)
        return centred.addcmul(made, along, value=-1) * scale, None


class MemberNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        x = Normalize.apply(x, self.eps)  # type: ignore[no-untyped-call]
        x = x if self.weight is None else x * self.weight
        return x if self.bias is None else x + self.bias


LAYERS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: MemberLinear,
    nn.LayerNorm: MemberNorm,
}
# what a network may do with each number by itself, as functions, methods and operators are named
FUNCTIONS = "add sub mul truediv neg abs pow square sqrt exp sin cos tanh sigmoid relu relu6"
FUNCTIONS += " gelu silu elu selu mish softplus leaky_relu hardtanh logsigmoid softsign"


class FastMembers(Members):
    """Networks of linear layers, norms and elementwise activations: members are the last dimension.

    Weights ``(inputs, outputs, members)``, biases ``(outputs, members)``.
    """

    dimension = -1

    def __init__(self, make: MakeNet, tensors: Weights, ndim: int) -> None:
        last = {name: each.transpose(0, -1).contiguous() for name, each in tensors.items()}
        super().__init__(make, last, ndim)
        for layer in self.net.modules():
            layer.__class__ = LAYERS.get(type(layer), type(layer))

    def logits(self, weights: Weights, x: Tensor) -> Tensor:
        if x.ndim == 2:  # as many as there are members, or they would share the masks of a dropout
            x = x[..., None].expand(*x.shape, next(iter(weights.values())).shape[-1])
        made: Tensor = functional_call(self.net, weights, (x,))
        return made


class WithBuffers(nn.Module):
    """A network that gives its buffers too, as they are after the call."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, Weights]:
        return self.net(x), dict(self.net.named_buffers())


class MappedMembers(Members):
    """Networks of any kind, by ``torch.func.vmap``: members are the first dimension."""

    dimension = 0

    def __init__(self, make: MakeNet, tensors: Weights, ndim: int) -> None:
        super().__init__(make, tensors, ndim)
        # which attention takes where nothing is trained, and vmap would call member by member
        torch.backends.mha.set_fastpath_enabled(False)
        self.reading = WithBuffers(self.net)
        names = {id(tensor): name for name, tensor in own_tensors(self.net)}
        # where in it a tensor goes, and its name here
        self.places = {
            f"{prefix}.{place}": names[id(tensor)]
            for prefix, layer in self.reading.named_modules()
            for place, tensor in own_tensors(layer, recurse=False)
        }

    def logits(self, weights: Weights, x: Tensor) -> Tensor:
        def alone(weights: Weights, x: Tensor) -> Any:  # torch.compile takes no generic type here
            there = {place: weights[name] for place, name in self.places.items()}
            # torch's own tying takes a layer that is there twice for two, and loses its weights
            logits, buffers = functional_call(self.reading, there, (x,), tie_weights=False)
            # what a network writes into a buffer is there; what it puts in its place is not
            return logits, {name: b for name, b in buffers.items() if b is not weights[name]}

        rows = -1 if x.ndim > self.ndim else None
        mapped = torch.vmap(alone, (0, rows), (-1, 0), randomness="different")
        with sdpa_kernel(SDPBackend.MATH):  # others would be called member by member
            logits, placed = mapped(weights, x)
        for name, buffer in placed.items():
            weights[name].copy_(buffer.detach())
        made: Tensor = logits
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
    if fast and ndim == 2 and is_plain(nets[0], tensors):
        return FastMembers(make, tensors, ndim)
    return MappedMembers(make, tensors, ndim)


def is_plain(net: nn.Module, tensors: Weights) -> bool:
    """Whether a network is small layers and elementwise functions, as its calls tell."""
    own = [f"{name}." for name, each in net.named_modules() if name and type(each) in LAYERS]
    mine = {f"{name}{key}" for name in own for key in ("weight", "bias")}
    weights = {name: each for name, each in net.named_parameters() if name in mine}
    if weights.keys() != tensors.keys():
        return False
    if max(weight.numel() for weight in weights.values()) > LARGEST:
        return False
    try:
        nodes = [*fx.symbolic_trace(net).graph.nodes]
    except Exception:  # what decides by its numbers, or does what torch.fx does not know
        return False
    return nodes[1].op != "placeholder" and all(
        plain_call(node, net) for node in nodes if node.op != "placeholder"
    )


def plain_call(node: fx.Node, net: nn.Module) -> bool:
    """Whether a call does the same with members in a last dimension."""
    if node.op == "call_module":
        layer = net.get_submodule(str(node.target))
        one_dimension = not isinstance(layer, nn.LayerNorm) or len(layer.normalized_shape) == 1
        return type(layer) in (*LAYERS, *ELEMENTWISE, nn.Dropout) and one_dimension
    if node.op == "output":
        return isinstance(node.args[0], fx.Node)
    name = getattr(node.target, "__name__", node.target)
    return node.op.startswith("call") and name in FUNCTIONS.split()


def seed_all(seed: int) -> None:
    """Seed what draws the numbers of a network that is made on the CPU."""
    random.seed(seed)
    np.random.seed(seed)
    # not torch.manual_seed, which takes a millisecond for devices that are not there
    torch.default_generator.manual_seed(seed)


def named_tensors(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name, shared ones under each of their names."""
    return chain(net.named_parameters(remove_duplicate=False), net.named_buffers())


def own_tensors(net: nn.Module, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name, shared ones under the first."""
    return chain(net.named_parameters(recurse=recurse), net.named_buffers(recurse=recurse))


def slices(count: int, size: int) -> list[slice]:
    """Blocks of at most ``size`` members, all of them as large if possible."""
    least = -(-count // max(1, size))
    blocks = next((n for n in range(least, 2 * least + 8) if count % n == 0), least)
    width = -(-count // blocks)
    return [slice(start, min(start + width, count)) for start in range(0, count, width)]
