"""Several updates in one function that ``torch.compile`` compiles: gradients, and the optimizer."""

import operator
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from perceptrons.blocks import Blocks, Weights, cut, rows_of
from perceptrons.rules import State, rule_of, sgd

# updates in one function: fewer where there are so many weights that it takes long to compile
UPDATES, UPDATES_OF_LARGE, LARGE = 4, 2, 64
# calls of it for a block in a row, with its weights still in the cache
CALLS = 8

Batch = tuple[Tensor, ...]
Call = tuple[Weights, list[State], list[Batch], list[Tensor]]


class Piece(NamedTuple):
    """What of everything belongs to one block.

    Attributes:
        part: Its replicas.
        segment: Number of the segment that they are in.
        weights: Views of the weights.
        states: Views of the optimizer's state, for each weight.
    """

    part: slice | None
    segment: int
    weights: Weights
    states: list[State]


class Compiled:
    """Makes several updates at once, by one compiled function that serves all blocks.

    Args:
        blocks: The network's weights, and its gradients.
        optimizer: The optimizer, whose state is kept up to date.
        owners: For each segment of replicas, the optimizer's tensors by the weights' names.

    Raises:
        ValueError: If the optimizer's rule is none of those here.
    """

    def __init__(
        self, blocks: Blocks, optimizer: torch.optim.Optimizer, owners: list[Weights]
    ) -> None:
        self.blocks, self.optimizer, self.owners = blocks, optimizer, owners
        self.rule = rule_of(optimizer)
        found = {id(each): group for group in optimizer.param_groups for each in group["params"]}
        self.groups = [[found[id(each)] for each in segment.values()] for segment in owners]
        self.settings = [{**group, "params": None, "lr": None} for group in self.groups[0]]
        weights = sum(each.shape[:-1].numel() for each in blocks.weights.values())
        self.at_once = UPDATES if weights <= LARGE else UPDATES_OF_LARGE
        self.call: Any = torch.compile(self.updates, fullgraph=True, dynamic=False)
        self.compiled = self.failed = False
        self.device = next(iter(blocks.weights.values())).device

    @property
    def ready(self) -> bool:
        """Whether the optimizer has all of its state, which it makes at its first update."""
        stateless = self.rule is sgd and not self.settings[0]["momentum"]
        return stateless or bool(self.optimizer.state)

    def updates(
        self, weights: Weights, states: list[State], batches: list[Batch], coming: list[Tensor]
    ) -> None:
        """Updates of one block, one for each batch, which change its weights and states.

        ``coming`` holds the learning rates ``(batches, weights)``, and how many updates there will
        have been ``(batches,)``.
        """
        rates, numbers = coming
        new, kept = weights, [{**state} for state in states]
        for at, (x, y) in enumerate(batches):
            _, gradients = self.gradients(new, x, y)
            new = {
                name: self.rule(
                    weight, gradients[i], kept[i], rates[at, i], numbers[at], self.settings[i]
                )
                for i, (name, weight) in enumerate(new.items())
            }
        for name, weight in weights.items():
            weight.copy_(new[name])
        for state, changed in zip(states, kept, strict=True):
            for name in state:
                state[name].copy_(changed[name])

    @property
    def gradients(self) -> Any:
        return self.blocks.gradient

    @torch.no_grad()
    def run(
        self, batches: Iterator[Batch], count: int, schedulers: list[Any], asked: Callable[[], Any]
    ) -> tuple[int, list[Batch]]:
        """Make at most ``count`` updates; how many it were, and batches taken and not used."""
        made, pieces = 0, [*self.pieces()]
        counts = [state["step"] for state in self.optimizer.state.values() if "step" in state]
        calls: list[Call] = []
        last: list[Batch] = []
        while made + self.at_once <= count and not asked() and not self.failed:
            coming = []
            for _ in range(min(CALLS, (count - made) // self.at_once)):
                some = [*islice(batches, self.at_once)]
                if not self.compiled and not self.compile(pieces[0], some, self.numbers()):
                    return made, some
                # the same tensors again take half as long to check as new ones
                if schedulers or counts or not same(some, last):
                    calls, last = self.calls(pieces, some, schedulers), some
                coming.append(calls)
                for done in counts:
                    done += self.at_once
            for of_block in zip(*coming, strict=True):
                for call in of_block:
                    self.call(*call)
            made += self.at_once * len(coming)
        return made, []

    def calls(self, pieces: list[Piece], batches: list[Batch], schedulers: list[Any]) -> list[Call]:
        """What the compiled function takes for each block."""
        rates, numbers = self.rates(schedulers), self.numbers()
        return [(*of(each, batches), [rates[:, each.segment], numbers]) for each in pieces]

    def pieces(self) -> Iterator[Piece]:
        for part in self.blocks.parts:
            weights = self.blocks.views(part)
            if part is None:
                yield Piece(None, 0, weights, self.states(0, None))
                continue
            each = next(iter(self.owners[0].values())).shape[-1]
            segment, start = divmod(part.start, each)
            there = slice(start, start + part.stop - part.start)
            yield Piece(part, segment, weights, self.states(segment, there))

    def states(self, segment: int, part: slice | None) -> list[State]:
        """Views of the optimizer's state of each weight, for a segment's replicas."""
        found = [self.optimizer.state.get(each, {}) for each in self.owners[segment].values()]
        return [
            {
                name: cut(value, part)
                for name, value in state.items()
                if isinstance(value, Tensor) and name != "step"
            }
            for state in found
        ]

    def numbers(self) -> Tensor:
        """How many updates there will have been, with each of the next."""
        state: Any = next(iter(self.optimizer.state.values()), {})
        done = int(state.get("step", 0))
        numbers = torch.arange(done + 1, done + 1 + self.at_once, dtype=torch.float64)
        return numbers.to(self.device)

    def rates(self, schedulers: list[Any]) -> Tensor:
        """Learning rates of the next updates ``(updates, segments, weights)``."""
        rates = []
        for _ in range(self.at_once):
            rates.append([[group["lr"] for group in groups] for groups in self.groups])
            for scheduler in schedulers:
                scheduler.step()
        return torch.tensor(rates, dtype=torch.float64, device=self.device)

    def compile(self, piece: Piece, batches: list[Batch], numbers: Tensor) -> bool:
        """Compile the function by a call that is taken back; whether that could be done."""
        print("compiling the updates ...", end=" ", flush=True)
        start = time.monotonic()
        weights, states, tables = of(piece, batches)
        changed = [*weights.values(), *(value for state in states for value in state.values())]
        before = [each.clone() for each in changed]
        rates = torch.zeros(self.at_once, len(weights), dtype=torch.float64, device=self.device)
        try:
            self.call(weights, states, tables, [rates, numbers])
        except TorchDynamoException as failure:
            self.failed = True
            said = " ".join(str(failure).partition("\n\n")[0].split())
            print(f"not possible, going on without: {said[:200]}")
            return False
        for each, value in zip(changed, before, strict=True):
            each.copy_(value)
        self.compiled = True
        print(f"took {time.monotonic() - start:.1f} s")
        return True


def same(some: list[Batch], others: list[Batch]) -> bool:
    """Whether these are those very batches."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def of(piece: Piece, batches: list[Batch]) -> tuple[Weights, list[State], list[Batch]]:
    """What the compiled function takes for a block."""
    tables = [tuple(rows_of(each, piece.part) for each in batch) for batch in batches]
    return piece.weights, piece.states, tables
