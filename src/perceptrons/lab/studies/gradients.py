"""Losses and gradients of many members: in blocks, so small that the processor's cache holds them.

Shapes: as in ``members.py``.
"""

import gc
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from ..training.compiled import Block
from ..training.gradients import LEAN, Gradient, Loss, Weights, single_by_hand
from .members import FastMembers, Members, slices

# bytes of weights and activations that a block has at most: about what a core's own cache holds;
# more where nothing is compiled, and each operation takes time to start. Where vmap starts them,
# that costs ten times as much; a GPU has work for all of its cores only with far more at once
CACHE, EAGER, MAPPED, OF_GPU = 2**21, 2**23, 2**24, 2**30
OFTEN = 20  # calls after which it pays to trace a graph
GRAPHS: WeakValueDictionary[Any, GraphModule] = WeakValueDictionary()  # that groups have in common


@contextmanager
def mapped() -> Iterator[None]:
    """Without torch's advice to its own authors, about operations that vmap makes one by one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")
        yield


def loss_of_each(function: Loss, logits: Tensor, y: Tensor, own: bool = False) -> Tensor:
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


def pools_members(loss: Loss, y: Tensor) -> bool:
    """Whether a loss of all members is their mean: one call serves them, without ``vmap``."""
    if loss is F.cross_entropy or (
        isinstance(loss, nn.CrossEntropyLoss) and loss.weight is None and loss.reduction == "mean"
    ):
        return y.is_floating_point()
    return loss in LEAN


def by_autograd(members: Members, loss: Loss) -> Gradient:
    """Gradients by torch of members, given the loss of one of them."""

    def gradient(
        weights: Weights, buffers: Weights, x: Tensor, y: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        function = LEAN.get(loss, loss) if torch.compiler.is_compiling() else loss
        trained, own = members.trained, x.ndim > members.ndim
        # not by torch.func: where nothing is compiled, it takes two to five times as long
        with torch.enable_grad():
            leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            used = {name: w if name in trained else w.detach() for name, w in leaves.items()}
            logits = members.logits({**used, **buffers}, x)
            if isinstance(members, FastMembers) and pools_members(loss, y):
                count = logits.shape[-1]
                targets = y if own else y[..., None].expand(*y.shape, count)
                losses = function(logits, targets) * count
            else:
                losses = loss_of_each(function, logits, y, own)
            ones = torch.ones(losses.shape, dtype=losses.dtype, device=losses.device)
            (back,) = torch.autograd.grad(losses, [logits], ones)
            if isinstance(members, FastMembers):  # it hands on its order in memory, vmap's is bad
                back = back.contiguous()
            found = torch.autograd.grad(logits, [*leaves.values()], back, materialize_grads=True)
        return losses.detach(), [*found]

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

    Gradients that are asked for often come by a graph for each shape of the tensors: half of an
    update of many small networks is the Python that leads to torch's operations, and most of it
    where ``vmap`` does. What makes another graph the next time, as by a counter of its own, or has
    operations that ``vmap`` makes member by member, is called as it is.

    Args:
        members: The networks.
        gradient: Their losses and gradients.
        bytes_of_each: Bytes that a member's weights and activations take.
        compiled: Whether they are compiled.

    Attributes:
        most: Members in a block, at most.
        pieces: Which members a block has, and views of their weights and buffers.
    """

    def __init__(
        self, members: Members, gradient: Gradient, bytes_of_each: int, compiled: bool = False
    ) -> None:
        self.members, self.gradient = members, gradient
        self.calls: Counter[Any] = Counter()
        self.graphs: dict[Any, Any] = {}
        on_cpu = next(members.net.parameters()).device.type == "cpu"
        fast = CACHE if compiled else EAGER
        cache = (fast if isinstance(members, FastMembers) else MAPPED) if on_cpu else OF_GPU
        self.most = max(1, cache // bytes_of_each)
        self.pieces = [
            Block(part, *(members.part(all_, part) for all_ in (members.weights, members.buffers)))
            for part in slices(members.count, self.most)
        ]

    def rows(self, part: slice | None, *columns: Tensor) -> list[Tensor]:
        """A batch's rows for a block, whose members mostly have them in common."""
        own = columns[0].ndim > self.members.ndim
        return [column[..., part] if own else column for column in columns]

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The gradient of each of the weights."""
        if len(self.pieces) == 1:
            return self.of_block(self.pieces[0], x, y)
        whole = [torch.empty_like(each) for each in self.members.weights.values()]
        for block in self.pieces:
            found = self.of_block(block, *self.rows(block.part, x, y))
            torch._foreach_copy_([self.members.cut(each, block.part) for each in whole], found)
        return whole

    def of_block(self, block: Block, *rows: Tensor) -> list[Tensor]:
        given = *block.weights.values(), *block.buffers.values(), *rows
        shapes = tuple((each.shape, each.stride()) for each in (given[0], *rows))
        if graph := self.graphs.get(shapes):
            found: list[Tensor] = graph(*given)
            return found

        def gradients(*tensors: Tensor) -> list[Tensor]:
            left = iter(tensors)
            named: Any = [dict(zip(names, left, strict=False)) for names in block[1:]]
            return self.gradient(*named, *left)[1]

        self.calls[shapes] += 1
        with mapped():
            if self.calls[shapes] == OFTEN:
                with suppress(Exception), isolate_rng():
                    self.graphs[shapes] = self.traced(gradients, block, *rows)
            return gradients(*given)

    def traced(self, function: Any, block: Block, *rows: Tensor) -> GraphModule:
        """What a function does with a block, in torch's operations.

        Raises:
            ValueError: If that differs from call to call, or grows with the number of members.
        """

        def trace(part: slice) -> GraphModule:
            weights, buffers = (self.members.part(all_, part).values() for all_ in block[1:])
            own = *weights, *(each.clone() for each in buffers), *self.rows(part, *rows)
            return make_fx(function)(*own)

        # of few, because what vmap makes member by member is a long graph for many
        one, again = (trace(slice(0, 2)) for _ in range(2))
        if one.code != again.code:
            raise ValueError("another graph for every call")
        given = *block.weights.values(), *block.buffers.values(), *rows
        alike = one.code, *((each.shape, each.stride()) for each in given)
        # tensors that a loss or a network holds are constants of its graph alone
        shared = WeakValueDictionary() if [*one.buffers()] else GRAPHS
        if alike in shared:
            return shared[alike]
        if len(one.graph.nodes) != len(trace(slice(0, 3)).graph.nodes):
            raise ValueError("a longer graph for more members")
        made = trace(slice(None))
        made.graph.eliminate_dead_code()  # such as the losses
        for node in made.graph.nodes:
            node.meta.clear()  # megabytes of what its tensor was like
        made.recompile()
        gc.collect()  # or what was computed would stay a while
        return shared.setdefault(alike, made)

    @torch.no_grad()
    def logits(self, x: Tensor) -> Iterator[tuple[slice | None, Tensor]]:
        """Each block, and its logits ``(rows, outputs, members)``."""
        for part, weights, buffers in self.pieces:
            with mapped():
                yield part, self.members.logits({**weights, **buffers}, *self.rows(part, x))


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
    weights = [*net.parameters()]
    shared = {tensor.untyped_storage().data_ptr() for tensor in (x, y, *weights)}
    size = sum(bytes_ for at, bytes_ in kept.items() if at not in shared)
    if isinstance(members, FastMembers):  # weights times inputs, before they are summed
        size += max(len(x) * weight.nbytes for weight in weights if weight.ndim == 2)
    return size + sum(weight.nbytes for weight in weights)
