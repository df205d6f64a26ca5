"""Gradients of many replicas: in blocks, one after the other, so small that the cache holds them.

Shapes: ``x (rows, inputs)`` and ``y (rows, outputs)``, with a last dimension of replicas where each
has rows of its own; weights have it always, where there are replicas.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from perceptrons import backprop
from perceptrons.losses import LEAN, LossFunction
from perceptrons.network import MLP

# bytes of weights and activations that a block has at most: about what a core's own cache holds; a
# GPU has work for all of its cores, and time to start it, only with far more at once
CACHE, OF_GPU = 2**21, 2**30

Weights = dict[str, Tensor]
# loss, summed over replicas, and its gradient for each of the weights
Gradient = Callable[[Weights, Tensor, Tensor], tuple[Tensor, list[Tensor]]]


class ByHand(nn.Module):
    """The gradients that ``backprop.py`` writes out, as a module, whose weights can be replaced."""

    def __init__(self, net: MLP, loss: str) -> None:
        super().__init__()
        self.net, self.loss = net, loss

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        return backprop.gradients(self.net, x, y, self.loss)


def summed(loss: LossFunction, logits: Tensor, y: Tensor) -> Tensor:
    """A loss that is a mean, as a sum over the replicas, each of which gets its own gradient."""
    if logits.ndim == 2:
        return loss(logits, y)
    wide = y if y.ndim == 3 else y[:, :, None].expand(*y.shape, logits.shape[2])
    return loss(logits, wide) * logits.shape[2]


def by_hand(net: MLP, name: str, loss: LossFunction) -> Gradient:
    """Gradients by the chain rule as it is written out."""
    written = ByHand(net, name)

    def gradient(weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        named = {f"net.{name}": weight for name, weight in weights.items()}
        logits, gradients = functional_call(written, named, (x, y))
        return summed(loss, logits, y), gradients

    return gradient


def by_autograd(net: nn.Module, loss: LossFunction) -> Gradient:
    """Gradients by torch."""

    def value(weights: Weights, x: Tensor, y: Tensor, loss: LossFunction) -> Tensor:
        return summed(loss, functional_call(net, weights, (x,)), y)

    def gradient(weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        if torch.compiler.is_compiling():
            of = partial(value, x=x, y=y, loss=LEAN.get(loss, loss))
            gradients, found = grad_and_value(of)(weights)
            return found, [*gradients.values()]
        # not by torch.func: where nothing is compiled, it takes two to five times as long
        with torch.enable_grad():
            leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            found = value(leaves, x, y, loss)
            given = torch.autograd.grad(found, [*leaves.values()], materialize_grads=True)
        return found.detach(), [*given]

    return gradient


class Blocks:
    """A network's weights, block by block.

    Args:
        net: The network.
        gradient: Its loss and gradients for weights, ``x`` and ``y``.
        rows: Rows of a batch.
        segment: Replicas that share an optimizer's settings; no block has some of two such.
            ``None``: all.
    """

    def __init__(
        self, net: nn.Module, gradient: Gradient, rows: int, segment: int | None = None
    ) -> None:
        self.net, self.gradient = net, gradient
        self.weights = {name: weight.detach() for name, weight in net.named_parameters()}
        replicas = getattr(net, "replicas", None)
        self.parts: list[slice | None] = [None]
        if replicas is not None:
            each = sum(w.shape[:-1].numel() + rows * w.shape[-2] for w in self.weights.values())
            on_cpu = all(weight.device.type == "cpu" for weight in self.weights.values())
            size = max(1, (CACHE if on_cpu else OF_GPU) // (4 * each))
            self.parts = [*parts(replicas, segment or replicas, size)]

    def views(self, part: slice | None) -> Weights:
        return {name: cut(weight, part) for name, weight in self.weights.items()}

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The loss, summed over replicas, and its gradient for each of the weights."""
        if len(self.parts) == 1:
            return self.gradient(self.weights, x, y)
        whole = [torch.empty_like(weight) for weight in self.weights.values()]
        total = x.new_zeros(())
        for part in self.parts:
            loss, gradients = self.gradient(self.views(part), rows_of(x, part), rows_of(y, part))
            total += loss
            for each, piece in zip(whole, gradients, strict=True):
                cut(each, part).copy_(piece)
        return total, whole

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """Logits ``(rows, outputs, replicas)``."""
        each = (
            functional_call(self.net, self.views(part), (rows_of(x, part),)) for part in self.parts
        )
        return torch.cat([*each], -1)


def parts(replicas: int, segment: int, size: int) -> list[slice]:
    """Blocks of at most ``size`` replicas, in each segment alike, and all as large if possible."""
    least = -(-segment // size)
    count = next((count for count in range(least, 2 * least + 8) if segment % count == 0), least)
    width = -(-segment // count)
    return [
        slice(start, min(start + width, first + segment))
        for first in range(0, replicas, segment)
        for start in range(first, first + segment, width)
    ]


def cut(tensor: Tensor, part: slice | None) -> Tensor:
    """Those replicas of a tensor that has them as its last dimension."""
    return tensor if part is None else tensor[..., part]


def rows_of(table: Tensor, part: slice | None) -> Tensor:
    """A table's rows for some replicas, which mostly have them in common."""
    return cut(table, part) if table.ndim == 3 else table
