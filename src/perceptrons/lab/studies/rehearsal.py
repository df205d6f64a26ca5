"""What cannot be a study is found before it begins.

Two members are tried against lone runs, and the memory for all of them is looked for.
"""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from ..training.compiled import check_step
from ..training.spans import takes_spans
from .gradients import loss_of_each, mapped
from .group import MEASURED, Group, optimizer_of
from .members import FastMembers, named_tensors

SWEEP = f"{__package__.partition('.')[0]} sweep"  # the command
INSTEAD = f"{SWEEP} trains one run after the other"
# what Lightning calls once in a while, and may change how a module is trained
HOOKS = (
    *("setup", "configure_model", "configure_callbacks", "on_fit_start", "on_train_start"),
    *("on_train_epoch_start", "on_train_epoch_end", "on_train_end", "on_fit_end"),
)
UPDATES = 3
ROWS = 64
# where Linux tells the memory of a container: version 2 and 1 of control groups
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
RECORD = 200  # bytes of what is written down of a member
BESIDES = 20 * 2**20  # what else is imported and made while there is a study
OF_GROUP = 2**20  # what else is made of a group: its loader, its optimizer, the tracing of a graph
ORDER = 8  # bytes of the number of a row
HELD = 1.7  # bytes that the C library holds for a byte that many updates take and give back
# times what a block keeps: all that is computed and its gradients, while a graph is traced; of rows
# that members share vmap makes copies in another order
FAST, MAPPED, SHARED = 2, 5, 8


class Rehearsal(NamedTuple):
    """What two members have shown.

    Attributes:
        random: Whether they draw random numbers, so that they differ from a lone run.
        kept: Bytes that the optimizer keeps for each byte of weights.
        untrained: Names of weights to which a lone run gives no gradient.
    """

    random: bool
    kept: float
    untrained: list[str]


def check_trainable(module: L.LightningModule) -> None:
    """Find that a module does not say what a study needs to know.

    Raises:
        ValueError: If it does not.
    """
    name, needs = type(module).__name__, ("net", "loss", "optimizer", "scheduler")
    if lacks := [each for each in needs if not hasattr(module, each)]:
        raise ValueError(f"seeds: {name} has no {lacks[0]!r}, which a study needs; {INSTEAD}")
    if not takes_spans(module):
        raise ValueError(f"seeds: {name} has a hook that must see each update; {INSTEAD}")
    for hook in HOOKS:
        if is_overridden(hook, module):
            owner = next(each for each in type(module).__mro__ if hook in vars(each))
            if hook not in vars(owner).get("measuring_hooks", ()):
                what = f"a study does not call {hook} of {name}, unless measuring_hooks names it"
                raise ValueError(f"seeds: {what}; {INSTEAD}")
    if others := [n for n, _ in module.named_parameters() if not n.startswith("net.")]:
        what = f"{others[0]} is trained and no part of net"
        raise ValueError(f"seeds: {what}; {INSTEAD}")


def rehearse(group: Group, build: Callable[[int], Any]) -> Rehearsal:
    """Try a group of two members.

    Args:
        group: The group.
        build: Makes the user's module under a seed.

    Raises:
        ValueError: If members would do otherwise than alone.
    """
    lone = [build(seed) for seed in group.seeds]
    with isolate_rng(), mapped():
        warnings.simplefilter("ignore")  # what Lightning says to a module without a trainer
        x, y = (column[:ROWS] for column in next(iter(group.loader)))
        own = x.ndim > group.members.ndim
        rows = [(x[..., n], y[..., n]) if own else (x, y) for n in range(2)]
        module = build(group.seeds[0])
        random = draws(module, *rows[0])
        module.eval()
        always = draws(module, *rows[0])
        if not (always or check_step(module, *rows[0], "seeds")):
            what = f"training_step of {type(module).__name__} cannot be tried without the trainer"
            raise ValueError(f"seeds: {what}; {INSTEAD}")
        if random:
            for net in (group.net, *(each.net for each in lone)):
                net.eval()
        found = gradients_of(group, x, y)
        untrained: list[str] = []
        for number, module in enumerate([] if always else lone):
            untrained = check_member(group, number, found, module, *rows[number])
        kept = check_optimizer(lone, build(group.seeds[0]), group)
    return Rehearsal(random, kept, untrained)


def draws(module: Any, x: Tensor, y: Tensor) -> bool:
    """Whether a module's loss draws random numbers."""
    before = torch.get_rng_state()
    module.loss(module.net(x), y)
    return not torch.equal(before, torch.get_rng_state())


@contextmanager
def named_culprit(kind: str) -> Iterator[None]:
    """Say in which module it was that ``vmap`` failed."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as failure:
        callers = (frame.f_locals.get("self") for frame, _ in walk_tb(failure.__traceback__))
        modules = [type(each).__name__ for each in callers if isinstance(each, nn.Module)]
        said = " ".join(str(failure).split()).partition(". ")[0][:150]
        why = f"{[kind, *modules][-1]} cannot be trained from many seeds at once ({said})"
        raise ValueError(f"seeds: {why}; {INSTEAD}") from None


def gradients_of(group: Group, x: Tensor, y: Tensor) -> list[Tensor]:
    """Gradients of all members, which says in which part it was that there are none."""
    net, loss = type(group.module.net).__name__, group.module.loss
    buffers = {name: buffer.clone() for name, buffer in group.members.buffers.items()}
    with named_culprit(net):
        logits = group.members.logits({**group.members.weights, **buffers}, x).detach()
    with named_culprit(type(loss).__name__ if isinstance(loss, nn.Module) else "the loss"):
        if loss_of_each(loss, logits, y, x.ndim > group.members.ndim).shape != logits.shape[-1:]:
            raise ValueError("it is no single number")
    with named_culprit("hand_gradients" if group.by_hand else net):
        found: list[Tensor] = group.blocks.gradients(x, y)
        return found


def check_member(
    group: Group, number: int, found: list[Tensor], module: Any, x: Tensor, y: Tensor
) -> list[str]:
    """Compare a member's gradients and buffers with those of a lone module.

    Returns the names of weights that have no gradient.
    """
    weights = dict(module.net.named_parameters())
    if group.by_hand:
        its = [each.detach() for each in module.hand_gradients(x, y)[1]]
    else:
        module.loss(module.net(x), y).backward()
        its = [weight.grad for weight in weights.values()]
    alone = group.members.alone
    pairs = [
        (alone(mine, number), gradient)
        for mine, gradient in zip(found, its, strict=True)
        if gradient is not None
    ]
    largest = max((float(gradient.abs().max()) for _, gradient in pairs), default=0.0)
    same = all(close(mine, gradient, 1e-4 * largest) for mine, gradient in pairs)
    mine = dict(named_tensors(group.net))
    for name, tensor in named_tensors(module.net):  # a call may have changed some of them
        same &= close(alone(mine[name], number), tensor)
    if not same:
        name = type(module.net).__name__
        raise ValueError(f"seeds: members of {name} do not train as it does alone; {INSTEAD}")
    return [name for name, gradient in zip(weights, its, strict=True) if gradient is None]


def close(one: Tensor, other: Tensor, off: float = 1e-5) -> bool:
    return torch.allclose(one, other, 1e-3, off, equal_nan=True)


def check_optimizer(lone: list[Any], together: Any, group: Group) -> float:
    """Compare some updates of two members with those that each has alone, given the gradients.

    Returns what the optimizer keeps for each byte of weights.
    """
    alone, mine, name = group.members.alone, dict(group.net.named_parameters()), ""
    start, options = {n: weight.detach().clone() for n, weight in mine.items()}, {}
    given = [{n: torch.randn_like(w) for n, w in mine.items()} for _ in range(UPDATES)]
    for number, module in enumerate(lone):
        own = [{n: alone(each, number) for n, each in every.items()} for every in given]
        optimizer = try_updates(module, own)
        name, options = type(optimizer).__name__, options_of(module, optimizer)
    together.net = group.net
    try:
        optimizer = try_updates(together, given)
    except (RuntimeError, TypeError, ValueError):
        raise ValueError(coupling_error(name)) from None
    if options_of(together, optimizer) != options:
        why = "has other settings for a weight of many members than for that of one"
        raise ValueError(f"optimizer={name!r}: {why}; {INSTEAD}")
    for number, module in enumerate(lone):
        for at, weight in module.net.named_parameters():
            begun = alone(start[at], number)  # a weight is large beside what an update changes
            moved, its = alone(mine[at], number) - begun, weight.detach() - begun
            rounded = 1e-6 * begun.abs() + 1e-5 * its.square().mean().sqrt()
            if ((moved - its).abs() > 1e-3 * its.abs() + rounded).any():
                raise ValueError(coupling_error(name))
    kept = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
    weights = sum(weight.nbytes for weight in mine.values())
    return float(sum(each.nbytes for each in kept if each.ndim) / weights)


def options_of(module: Any, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The settings that an optimizer has for each weight, by its name."""
    names = {id(weight): name for name, weight in module.net.named_parameters()}
    return {
        names.get(id(weight), ""): {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
        for weight in group["params"]
    }


def try_updates(module: Any, given: list[dict[str, Tensor]]) -> torch.optim.Optimizer:
    """Make an update with each of the gradients; a rule that needs more couples the members."""
    optimizer, how = optimizer_of(module)
    for gradients in given:
        for at, weight in module.net.named_parameters():
            weight.grad = gradients[at] if weight.requires_grad else None
        try:
            optimizer.step()
        except TypeError:  # it takes a closure
            raise ValueError(coupling_error(type(optimizer).__name__)) from None
        if how:
            how.scheduler.step()
    return optimizer


def coupling_error(name: str) -> str:
    why = "what it does to a weight depends on others"
    return f"optimizer={name!r}: couples the members of a study: {why}; {INSTEAD}"


def check_memory(two: Group, found: Rehearsal, groups: int, members: int) -> None:
    """Find out that there is no memory for a study.

    Args:
        two: A group of two of its members.
        found: What they have shown.
        groups: How many groups there are.
        members: How many members each has.

    Raises:
        ValueError: If there is not enough.
    """
    need, free, count = bytes_needed(two, found, groups, members), free_memory(), groups * members
    if need > free:
        fit = max(0, free - BESIDES) * count // (need - BESIDES)
        said = f"{count} members need {need / 2**30:.3g} GiB, and {free / 2**30:.3g} are free"
        raise ValueError(f"seeds={members}: {said}; about {fit} would fit")


def bytes_needed(two: Group, found: Rehearsal, groups: int, members: int) -> int:
    """Bytes that a study takes at most, beside the data.

    That is what all members keep, and the most of what is there for a while: a checkpoint that is
    written, or the update of a group: its gradients, rows, and what a block of it computes.
    """
    x, y = two.table("train")
    batch = min(len(x), two.data.batch_size or len(x))
    sizes = [weight.nbytes / 2 for weight in two.net.parameters()]
    weights, buffers = sum(sizes), sum(b.nbytes / 2 for b in two.net.buffers())
    kept = weights * (1 + found.kept) + buffers
    shuffled = two.data.shuffle
    orders = len(x) * ORDER if shuffled else 0
    rows = 2 * batch * (x[0].nbytes + y[0].nbytes) if shuffled else 0
    # an optimizer that keeps something computes with as much for the largest of the weights
    update = weights + (2 * max(sizes) if found.kept else 0) + orders + rows
    # a block's rows are measured in larger pieces
    larger = max(1, min(len(x), MEASURED) / batch)
    block = min(members, two.blocks.most) * two.bytes_of_each
    traced = FAST if isinstance(two.members, FastMembers) else MAPPED if shuffled else SHARED
    everyone = groups * members
    update = HELD * members * update + block * max(traced, HELD * larger)
    at_once = groups * OF_GROUP + max(everyone * kept, update)
    return BESIDES + int(everyone * (kept + orders + RECORD) + at_once)


def free_memory() -> int:
    """Bytes of memory that can be had, or where that is not told, that there are."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    found = re.search(r"MemAvailable: +(\d+) kB", told(Path("/proc/meminfo")))
    all_ = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [int(said) for file in LIMITS if (said := told(file)).isdecimal()]
    return min([1024 * int(found[1]) if found else all_, *limits])


def told(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""
