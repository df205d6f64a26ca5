"""Several updates in one function of machine code: gradients, and the optimizer.

A call costs some 10 us whatever it holds, so it holds as many updates as make that small, and fewer
where there are so many weights that compiling would take long.
"""

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from ..data.loader import Rows
from .functional import (
    State,
    check_compiles,
    count_updates,
    has_hooks,
    is_ready,
    states_of,
    step,
    updates_made,
)
from .gradients import Gradient, Weights, single, with_clipping
from .graphs import Function, Updates, compile_or_load, describe
from .protocol import Trainable

# seconds of a call that make its own cost a tenth, and of a number that an update makes
CALL, NUMBER = 1e-4, 5e-10
# updates in a call, and tensors that it updates, each by some 15 operations. 16 of 2-2-1 compile in
# 14 s of the processor, as 4 do, whose updates take half as long again; 32 do in 22 s, and are no
# faster. More operations than those of 64 tensors would take minutes
MOST, TENSORS = 16, 64
ROW = 8  # calls for a block in a row, with its weights still in the cache
LARGE = 2**21  # bytes of rows that leave them no place there, and would be held for nothing
BATCHES = (0, 1, 2, 10)  # numbers that a training step is tried with
SHAPES = 4  # of batches in a call, each of which is compiled for itself

Call = tuple[Function, list[Tensor]]  # and what it takes
Step = Callable[[], None]  # of the schedulers


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
    """Makes several updates at once, by compiled functions that all blocks of a shape share.

    Args:
        optimizer: The optimizer, whose state is kept up to date.
        parameters: What it optimizes, by name.
        gradient: Losses and gradients of a block.
        blocks: The blocks.
        cut: What a tensor of all members has for those of a block.
        members: How many networks there are.
        numbers: How many numbers an update of one makes.
        ndim: Dimensions of a batch of inputs that members share.

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
    ) -> None:
        check_compiles(optimizer)
        self.optimizer, self.parameters, self.gradient = optimizer, parameters, gradient
        self.blocks, self.cut, self.ndim = blocks, cut, ndim
        most = min(MOST, TENSORS // len(parameters), round(CALL / (NUMBER * numbers * members)))
        self.at_once = 1 << max(1, most).bit_length() - 1  # so that spans divide by it
        self.call: dict[Any, Function] = {}
        self.failed = has_hooks(optimizer, parameters.values())
        if self.failed:
            print("compile=True: hooks must see each update; going on without", flush=True)
        self.loss = torch.zeros(())  # the last
        self.states: list[list[State]] = []

    @torch.no_grad()
    def run(
        self, batches: Iterator[Rows], count: int, step_schedulers: Step | None
    ) -> tuple[int, list[Rows]]:
        """Make at most ``count`` updates; how many it were, and batches taken and not used."""
        if not is_ready(self.optimizer):
            return 0, [*islice(batches, 1)]
        made, last, large = 0, list[Rows](), False
        calls: list[Call] = []
        while made + self.at_once <= count and not self.failed:
            coming: list[list[Call]] = []
            for _ in range(min(ROW, (count - made) // self.at_once)):
                some = [*islice(batches, self.at_once)]
                other = [*map(id, some)] != [*map(id, last)]
                if step_schedulers or updates_made(self.optimizer) or other:
                    found = self.calls(some, step_schedulers)
                    if not found:
                        return made + self.make(coming), some
                    size = sum(column.nbytes for each in some for column in each)
                    calls, large, last = found, bool(last) and other and size > LARGE, some
                coming.append(calls)
                count_updates(self.optimizer, self.at_once)
                if large:
                    break
            made += self.make(coming)
        return made, []

    def make(self, coming: list[list[Call]]) -> int:
        """Make calls, block by block; how many updates that is."""
        for of_block in zip(*coming, strict=True):
            for function, tensors in of_block:
                (self.loss,) = function(tensors)
        return self.at_once * len(coming)

    def coming(self, step_schedulers: Step | None, device: torch.device) -> list[Tensor]:
        """Learning rates of the next updates, and how many there will have been with each.

        Raises:
            ValueError: If a scheduler changes what else the compiled updates have as constants.
        """
        done, rates, constants = updates_made(self.optimizer), [], self.constants()
        numbers = torch.arange(done + 1, done + 1 + self.at_once, dtype=torch.float64)
        for _ in range(self.at_once):
            rates.append([group["lr"] for group in self.optimizer.param_groups])
            if step_schedulers:
                step_schedulers()
        if self.constants() != constants:
            what = "the scheduler changes more than the learning rate"
            raise ValueError(
                f"compile=True: {what}; go without, or set its cycle_momentum to false"
            )
        return [torch.tensor(rates, dtype=torch.float64).to(device), numbers.to(device)]

    def constants(self) -> list[Any]:
        """All settings of the optimizer but the learning rates."""
        names = self.optimizer.defaults.keys() - {"lr"}
        return [{name: group[name] for name in names} for group in self.optimizer.param_groups]

    def calls(self, batches: list[Rows], step_schedulers: Step | None) -> list[Call]:
        """What makes the updates of each block; nothing where these batches are not compiled."""
        if not self.states:  # views, made once
            kept = [states_of(self.optimizer, each) for each in self.parameters.values()]
            self.states = [
                [{key: self.cut(v, block.part) for key, v in state.items()} for state in kept]
                for block in self.blocks
            ]
        found = [self.found(*each, batches) for each in zip(self.blocks, self.states, strict=True)]
        if None in found:
            return []
        coming = self.coming(step_schedulers, batches[0][0].device)
        return [(function, [*tensors, *coming]) for function, tensors in found if function]

    def found(self, block: Block, states: list[State], batches: list[Rows]) -> Any:
        """The function for a block and its batches, compiled the first time, and what it takes."""
        own = block.part is not None and batches[0][0].ndim > self.ndim  # rows of each member
        rows = [tuple(c[..., block.part] for c in each) for each in batches] if own else batches
        # a batch that comes again is given once
        given = {id(column): column for batch in rows for column in batch}
        places = {each: at for at, each in enumerate(given)}
        plan = [[places[id(column)] for column in batch] for batch in rows]
        tensors = [*block.weights.values(), *block.buffers.values()]
        tensors += [value for state in states for value in state.values()]
        tensors += given.values()
        key = (str(plan), *((each.shape, each.stride()) for each in tensors))
        if key not in self.call and not self.failed:
            if len(self.call) == SHAPES * len(self.blocks):
                return None
            one, many = (self.flat(block, states, each, len(given)) for each in (plan[:1], plan))
            coming = self.coming(None, rows[0][0].device)
            self.compile(key, one, many, [*tensors, *coming])
        return None if self.failed else (self.call[key], tensors)

    def flat(self, block: Block, states: list[State], plan: Any, columns: int) -> Updates:
        """Updates of a block, one for each batch of a plan, as a function of tensors in a row.

        These are its weights, buffers and states, the columns of which a plan has the places,
        learning rates ``(batches, groups)``, and how many updates there will have been with each
        ``(batches,)``. It changes weights and states, and gives the last loss.
        """

        def updates(*tensors: Tensor) -> Tensor:
            given, loss = iter(tensors), torch.empty(0)
            weights = {name: next(given) for name in block.weights}
            buffers = {name: next(given) for name in block.buffers}
            own = [{key: next(given) for key in state} for state in states]
            column = [next(given) for _ in range(columns)]
            optimized = [*self.parameters.values()], [*weights.values()]
            for places, rate, number in zip(plan, *given, strict=False):
                loss, found = self.gradient(weights, buffers, *(column[at] for at in places))
                step(self.optimizer, *optimized, found, own, rate, number)
            return loss

        return updates

    def compile(self, key: Any, one: Updates, many: Updates, tensors: list[Tensor]) -> None:
        """Compile many updates, of which the graph of one tells all, by calls that are undone."""
        print("compiling the updates ...", end=" ", flush=True)
        start, before = time.monotonic(), [each.clone() for each in tensors]
        try:
            told = describe(one, tensors)
            if describe(one, tensors) != told:
                raise ValueError("the network or the loss computes something else at each call")
            name = f"{told} {key}"
            self.call[key] = compile_or_load(many, tensors, name)
        except Exception as failure:  # a compiler, and what it calls, may raise anything
            self.failed = True
            said = " ".join((str(failure) or type(failure).__name__).partition("\n\n")[0].split())
            print(f"not possible, going on without: {said[:200]}", flush=True)
        else:
            print(f"took {time.monotonic() - start:.1f} s", flush=True)
        for each, value in zip(tensors, before, strict=True):
            each.copy_(value)


def compiled_alone(module: Any, optimizer: torch.optim.Optimizer, clip: Any) -> Compiled:
    """What makes several updates of a module at once; ``clip`` as Lightning's settings have it."""
    parameters = dict(module.net.named_parameters())
    weights = {name: weight.detach() for name, weight in parameters.items()}
    block = Block(None, weights, dict(module.net.named_buffers()))
    gradient = single(module)
    if clip[0]:
        gradient = with_clipping(gradient, None, *clip)
    return Compiled(optimizer, parameters, gradient, [block])


class Blind(L.LightningModule):
    """In front of a module's class: without the trainer's counts, as without all else of it."""

    @property
    def current_epoch(self) -> int:
        raise RuntimeError("there is no trainer")

    global_step = current_epoch


def check_step(module: Any, x: Tensor, y: Tensor, setting: str) -> bool:
    """Find a training step that trains on something else than the loss of the module's network.

    Returns whether it could be tried: what asks the trainer cannot, and nothing is known of it.

    Raises:
        ValueError: If it does, in any batch of an epoch or from some call on.
    """
    kind = type(module)
    module.__class__ = type(kind.__name__, (Blind, kind), {"__qualname__": "check_step.<locals>"})
    try:
        every = [module.training_step((x, y), number) for number in BATCHES]
    except (RuntimeError, AttributeError):
        return False
    finally:
        module.__class__ = kind
    wanted = module.loss(module.net(x), y)
    if not isinstance(wanted, Tensor):
        raise ValueError(f"{type(module.loss).__name__}: gives {wanted!r}, which is no tensor")
    for made in every:
        found = made["loss"] if isinstance(made, Mapping) else made
        if found is not None and not torch.allclose(found, wanted, 1e-3, 1e-5):
            what = f"training_step of {kind.__name__} gives another loss than loss(net(x), y)"
            raise ValueError(f"{setting}: {what}, which is what it trains on")
    return True


def check_single(module: Any, x: Tensor, y: Tensor) -> bool:
    """Find what cannot be trained by compiled updates.

    Returns whether the module's step could be tried, and always gives the same; it says why not.

    Raises:
        ValueError: If it cannot.
    """
    if not isinstance(module, Trainable):
        why = "needs a module with net, loss, optimizer and scheduler"
        raise ValueError(f"compile=True: {why}; {type(module).__name__} is none")
    twin: Any = copy.deepcopy(module)
    with isolate_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Lightning says to a module without a trainer
        check_compiles(twin.optimizer(twin.parameters()))
        before = dict(twin.net.named_buffers())
        twin.net(x)
        if other := [n for n, each in twin.net.named_buffers() if each is not before.get(n)]:
            raise ValueError(f"compile=True: forward replaces {other[0]}; change it in place")
        once, again = (torch.as_tensor(twin.loss(twin.net(x), y)) for _ in range(2))
        why = "" if torch.equal(once, again) else "a loss is another at each call, as by dropout"
        if not why and not check_step(twin, x, y, "compile=True"):
            why = f"training_step of {type(module).__name__} cannot be tried without the trainer"
    if why:
        print(f"compile=True: {why}; going on without", flush=True)
    return not why
