"""Losses and gradients of many members: in blocks, so small that the processor's cache holds them.

Shapes: as in ``members.py``.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.func import grad_and_value

from ..training.gradients import LEAN, Gradient, Loss, Weights, single_by_hand
from .members import FastMembers, Members, parts

# bytes of weights and activations that a block has at most: about what a core's own cache holds; a
# GPU has work for all of its cores, and time to start it, only with far more at once. Where vmap
# starts each operation, that costs ten times as much, and so do blocks
CACHE, MAPPED, OF_GPU = 2**21, 2**24, 2**30


@contextmanager
def mapped() -> Iterator[None]:
    """Without torch's advice to its own authors, about operations that vmap makes one by one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        yield


def of_each(function: Loss, logits: Tensor, y: Tensor, own: bool = False) -> Tensor:
    """What a function of logits and targets gives for each member, which comes last.

    Args:
        function: A function of one member's.
        logits: Of all members.
        y: Their targets.
        own: Whether each has targets of its own.
    """
    rows = -1 if own else None
    made: Tensor = torch.vmap(function, (-1, rows), -1, randomness="different")(logits, y)
    return made


def pooled(loss: Loss, logits: Tensor, y: Tensor) -> bool:
    """Whether a loss of all members' logits is the mean of their losses, with their gradients.

    Then one call serves all, without ``vmap``. It is found out by trying, with logits as one member
    has them.
    """
    logits = torch.randn(*logits.shape, 4, dtype=logits.dtype, requires_grad=True)
    try:
        apart = of_each(loss, logits, y).sum()
        together = loss(logits, widened(y, 4)) * 4
        found = [torch.autograd.grad(each, logits)[0] for each in (apart, together)]
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    return torch.allclose(apart, together, rtol=1e-4) and torch.allclose(
        found[0], found[1], 1e-4, 1e-6
    )


def widened(y: Tensor, members: int) -> Tensor:
    """Targets that members share, as each of them has them."""
    return y[..., None].expand(*y.shape, members)


def by_autograd(members: Members, loss: Loss, together: bool) -> Gradient:
    """Gradients by torch.

    Args:
        members: The networks.
        loss: The loss of one of them.
        together: Whether one call of the loss serves all members, as :func:`pooled` finds.
    """

    def summed(
        weights: Weights, buffers: Weights, x: Tensor, y: Tensor, loss: Loss
    ) -> tuple[Tensor, Tensor]:
        weights = {n: w if n in members.trained else w.detach() for n, w in weights.items()}
        logits, own = members.logits({**weights, **buffers}, x), x.ndim > members.ndim
        if not together:
            losses = of_each(loss, logits, y, own)
            return losses.sum(), losses.detach()
        count = logits.shape[-1]
        total = loss(logits, y if own else widened(y, count)) * count
        return total, total.detach()

    def gradient(
        weights: Weights, buffers: Weights, x: Tensor, y: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        if torch.compiler.is_compiling():
            lean = partial(summed, buffers=buffers, x=x, y=y, loss=LEAN.get(loss, loss))
            gradients, (_, losses) = grad_and_value(lean, has_aux=True)(weights)
            return losses, [*gradients.values()]
        # not by torch.func: where nothing is compiled, it takes two to five times as long
        with torch.enable_grad(), mapped():
            leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            total, losses = summed(leaves, buffers, x, y, loss)
            given = torch.autograd.grad(total, [*leaves.values()], materialize_grads=True)
        return losses, [*given]

    return gradient


def by_hand(module: Any, members: Members) -> Gradient:
    """Gradients as the user's module has them written out."""
    alone = single_by_hand(module)

    def gradient(
        weights: Weights, buffers: Weights, x: Tensor, y: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        rows = -1 if x.ndim > members.ndim else None
        every = torch.vmap(alone, (0, 0, rows, rows), randomness="different")
        found: tuple[Tensor, list[Tensor]] = every(weights, buffers, x, y)
        return found

    return gradient


class Blocks:
    """The members of a group, block by block.

    Args:
        members: The networks.
        gradient: Their losses and gradients.
        bytes_of_each: Bytes that a member's weights and activations take.

    Attributes:
        most: Members in a block, at most.
    """

    def __init__(self, members: Members, gradient: Gradient, bytes_of_each: int) -> None:
        self.members, self.gradient = members, gradient
        on_cpu = next(iter(members.weights.values())).device.type == "cpu"
        cache = (CACHE if isinstance(members, FastMembers) else MAPPED) if on_cpu else OF_GPU
        self.most = max(1, cache // bytes_of_each)
        several = [*parts(members.count, self.most)]
        self.parts: list[slice | None] = [*several] if len(several) > 1 else [None]
        self.pieces = [(part, *self.views(part)) for part in self.parts]

    def views(self, part: slice | None) -> tuple[Weights, Weights]:
        """Weights and buffers of a block."""
        cut, members = self.members.cut, self.members
        return (
            {name: cut(weight, part) for name, weight in members.weights.items()},
            {name: cut(buffer, part) for name, buffer in members.buffers.items()},
        )

    def rows(self, table: Tensor, part: slice | None, own: bool) -> Tensor:
        """A batch's rows for a block, whose members mostly have them in common."""
        return table[..., part] if own and part is not None else table

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The gradient of each of the weights."""
        if len(self.parts) == 1:
            return self.gradient(*self.pieces[0][1:], x, y)[1]
        own = x.ndim > self.members.ndim
        whole = [torch.empty_like(weight) for weight in self.members.weights.values()]
        for part, weights, buffers in self.pieces:
            rows = [self.rows(each, part, own) for each in (x, y)]
            found = self.gradient(weights, buffers, rows[0], rows[1])[1]
            for each, piece in zip(whole, found, strict=True):
                self.members.cut(each, part).copy_(piece)
        return whole

    @torch.no_grad()
    def logits(self, x: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Each block, and its logits ``(rows, outputs, members)``."""
        own = x.ndim > self.members.ndim
        for part, weights, buffers in self.pieces:
            with mapped():
                logits = self.members.logits({**weights, **buffers}, self.rows(x, part, own))
            yield part or slice(None), logits


def bytes_of_one(members: Members, loss: Loss, x: Tensor, y: Tensor) -> int:
    """Bytes of a member's weights, and of what a backward pass keeps of a batch."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    net = members.member(0)
    saved = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with isolate_rng(), torch.enable_grad(), saved:
        loss(net(x), y)
    shared = {tensor.untyped_storage().data_ptr() for tensor in (x, y)}
    weights = {weight.untyped_storage().data_ptr() for weight in net.parameters()}
    activations = sum(size for at, size in kept.items() if at not in shared | weights)
    products = 0
    if isinstance(
        members, FastMembers
    ):  # a layer's weights times its inputs, before they are summed
        products = max(len(x) * w.nbytes for w in net.parameters() if w.ndim == 2)
    return sum(weight.nbytes for weight in net.parameters()) + activations + products
