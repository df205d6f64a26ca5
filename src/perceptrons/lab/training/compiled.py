"""Several updates in one function that ``torch.compile`` compiles: gradients, and the optimizer.

A call costs some 80 us whatever it holds, so it holds as many updates as make that small, and fewer
where there are so many weights that compiling would take long.
"""

import operator
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.func import functional_call, grad_and_value

from ..data.loader import Rows
from .functional import (
    Rule,
    State,
    check_compiles,
    count_updates,
    is_ready,
    states_of,
    updates_made,
)

# seconds of a call that make its own cost a tenth, and of a number that an update makes
CALL, NUMBER = 8e-4, 5e-10
MOST, LARGE = 16, 64  # updates in a call, and weights from which on it is a quarter of them
ROW = 8  # calls for a block in a row, with its weights still in the cache
SHAPES = 4  # of batches in a call, each of which is compiled for itself

Weights = dict[str, Tensor]
# losses and gradients, given weights, buffers, inputs and targets
Gradient = Callable[[Weights, Weights, Tensor, Tensor], tuple[Tensor, list[Tensor]]]


class Block(NamedTuple):
    """Weights that are updated by one call: all, or those of some members of a study.

    Attributes:
        part: Which members they are of; ``None``: all.
        weights: Views of the weights.
        buffers: Views of the buffers.
    """

    part: slice | None
    weights: Weights
    buffers: Weights


class Compiled:
    """Makes several updates at once, by one compiled function that serves all blocks.

    Args:
        optimizer: The optimizer, whose state is kept up to date.
        parameters: What it optimizes, by name.
        gradient: Losses and gradients of a block.
        blocks: The blocks.
        cut: What a tensor of all members has for those of a block.
        members: How many networks there are.
        numbers: How many numbers an update of one makes.
        ndim: Dimensions of a batch of inputs that members share.
        call: A function that another has compiled, and that serves here too.

    Raises:
        ValueError: If the optimizer has no functional form.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: dict[str, nn.Parameter],
        gradient: Gradient,
        blocks: Sequence[Block],
        cut: Callable[[Tensor, slice | None], Tensor] = lambda tensor, _: tensor,
        members: int = 1,
        numbers: int = 1,
        ndim: int = 2,
        call: Any = None,
    ) -> None:
        check_compiles(optimizer)
        self.optimizer, self.parameters, self.gradient = optimizer, parameters, gradient
        self.blocks, self.cut, self.ndim = blocks, cut, ndim
        groups = {id(each): group for group in optimizer.param_groups for each in group["params"]}
        trained = [each.requires_grad and id(each) in groups for each in parameters.values()]
        self.groups = [groups.get(id(each), optimizer.defaults) for each in parameters.values()]
        self.rules = [
            Rule(type(optimizer), group) if moves else None
            for group, moves in zip(self.groups, trained, strict=True)
        ]
        weights = sum(each.numel() for each in parameters.values()) // members
        most = MOST if weights <= LARGE else MOST // 4
        self.at_once = max(2, min(most, round(CALL / (NUMBER * numbers * members))))
        self.call = call or torch.compile(self.updates, fullgraph=True, dynamic=False)
        self.shapes: set[Any] = set()
        self.failed = False
        self.states: list[list[State]] | None = None

    def updates(
        self, block: Block, states: list[State], batches: list[Rows], coming: tuple[Tensor, Tensor]
    ) -> None:
        """Updates of one block, one for each batch, which change its weights and states.

        ``coming`` holds the learning rates ``(batches, weights)``, and how many updates there will
        have been ``(batches,)``.
        """
        rates, numbers = coming
        for at, (x, y) in enumerate(batches):
            _, gradients = self.gradient(block.weights, block.buffers, x, y)
            for number, weight in enumerate(block.weights.values()):
                if rule := self.rules[number]:
                    given, state = gradients[number], states[number]
                    rule.apply(weight, given, state, rates[at, number], numbers[at])

    @torch.no_grad()
    def run(
        self, batches: Iterator[Rows], count: int, step_schedulers: Callable[[], None] | None
    ) -> tuple[int, list[Rows]]:
        """Make at most ``count`` updates; how many it were, and batches taken and not used."""
        made, calls, last = 0, [], []
        if not is_ready(self.optimizer):
            return made, [*islice(batches, 1)]
        while made + self.at_once <= count and not self.failed:
            coming = []
            for _ in range(min(ROW, (count - made) // self.at_once)):
                some = [*islice(batches, self.at_once)]
                # the same tensors again take half as long to check as new ones
                if step_schedulers or updates_made(self.optimizer) or not same(some, last):
                    calls, last = self.calls(some, step_schedulers), some
                if not self.compiles(calls[0], some):
                    made += self.make(coming)
                    return made, some
                coming.append(calls)
                count_updates(self.optimizer, self.at_once)
            made += self.make(coming)
        return made, []

    def make(self, coming: list[Any]) -> int:
        """Make calls, block by block; how many updates that is."""
        for of_block in zip(*coming, strict=True):
            for call in of_block:
                self.call(*call)
        return self.at_once * len(coming)

    def calls(self, batches: list[Rows], step_schedulers: Callable[[], None] | None) -> list[Any]:
        """What the compiled function takes for each block."""
        device = batches[0][0].device
        done = updates_made(self.optimizer)
        numbers = torch.arange(done + 1, done + 1 + self.at_once, dtype=torch.float32)
        rates = []
        for _ in range(self.at_once):
            rates.append([group["lr"] for group in self.groups])
            if step_schedulers:
                step_schedulers()
        coming = torch.tensor(rates, dtype=torch.float64).to(device), numbers.to(device)
        if self.states is None:  # views, made once
            kept = [states_of(self.optimizer, each) for each in self.parameters.values()]
            self.states = [
                [
                    {key: self.cut(value, block.part) for key, value in state.items()}
                    for state in kept
                ]
                for block in self.blocks
            ]
        return [
            (block, states, [self.rows(batch, block.part) for batch in batches], coming)
            for block, states in zip(self.blocks, self.states, strict=True)
        ]

    def rows(self, batch: Rows, part: slice | None) -> Rows:
        """A batch's rows for a block, whose members mostly have them in common."""
        if part is None or batch[0].ndim == self.ndim:
            return batch
        return tuple(column[..., part] for column in batch)

    def compiles(self, call: Any, batches: list[Rows]) -> bool:
        """Whether such batches are compiled for; the first time, by a call that is taken back."""
        shape = tuple(batch[0].shape for batch in batches)
        if shape in self.shapes:
            return True
        if len(self.shapes) == SHAPES:
            return False
        print("compiling the updates ...", end=" ", flush=True)
        start = time.monotonic()
        block, states, rows, (rates, numbers) = call
        changed = [*block.weights.values(), *block.buffers.values()]
        changed += [value for state in states for value in state.values()]
        before = [each.clone() for each in changed]
        try:
            self.call(block, states, rows, (rates, numbers))
        except (TorchDynamoException, RuntimeError) as failure:
            self.failed = True
            said = " ".join(str(failure).partition("\n\n")[0].split())
            print(f"not possible, going on without: {said[:200]}", flush=True)
        else:
            print(f"took {time.monotonic() - start:.1f} s", flush=True)
            self.shapes.add(shape)
        for each, value in zip(changed, before, strict=True):
            each.copy_(value)
        return not self.failed


def same(some: list[Rows], others: list[Rows]) -> bool:
    """Whether these are those very batches."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def gradient_of(net: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> Gradient:
    """Loss and gradients of one network."""

    def gradient(
        weights: Weights, buffers: Weights, x: Tensor, y: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        def value(weights: Weights) -> Tensor:
            return loss(functional_call(net, {**weights, **buffers}, (x,)), y)

        gradients, found = grad_and_value(value)(weights)
        return found, [*gradients.values()]

    return gradient
