"""What cannot be a study is found before it begins: two members are tried against lone runs."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from ..training.compiled import check_step
from ..training.spans import takes_spans
from .gradients import mapped, of_each
from .group import Group, optimizer_of
from .members import named_tensors

INSTEAD = "perceptrons sweep trains one run after the other"
UPDATES = 3
ROWS = 64


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
        what = "a study trains a module's net by its loss and optimizer"
        raise ValueError(f"seeds: {what}; {name} has no {lacks[0]!r}; {INSTEAD}")
    if not takes_spans(module):
        raise ValueError(f"seeds: {name} has a hook that must see each update; {INSTEAD}")
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
    with isolate_rng(), mapped(), without_fast_path():
        warnings.simplefilter("ignore")  # what Lightning says to a module without a trainer
        x, y = (column[:ROWS] for column in next(iter(group.new_loader())))
        own = x.ndim > group.ndim
        rows = [(x[..., n], y[..., n]) if own else (x, y) for n in range(2)]
        group.blocks = group.in_blocks()
        module = build(group.seeds[0])
        random = draws(module, *rows[0])
        module.eval()
        if not (always := draws(module, *rows[0])):
            check_step(module, *rows[0], "seeds")
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
def without_fast_path() -> Iterator[None]:
    """Keep attention from what it does only where nothing is trained, which has no gradients."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def named_culprit(kind: str) -> Iterator[None]:
    """Say in which module it was that ``vmap`` failed."""
    entered: list[nn.Module] = []
    hooks = [
        register_module_forward_pre_hook(lambda module, _: entered.append(module)),
        register_module_forward_hook(lambda *_: (entered.pop(), None)[1]),
    ]
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as failure:
        name = type(entered[-1]).__name__ if entered else kind
        said = " ".join(str(failure).split()).partition(". ")[0][:150]
        why = f"{name} cannot be trained from many seeds at once ({said})"
        raise ValueError(f"seeds: {why}; {INSTEAD}") from None
    finally:
        for hook in hooks:
            hook.remove()


def gradients_of(group: Group, x: Tensor, y: Tensor) -> list[Tensor]:
    """Gradients of all members, which says in which part it was that there are none."""
    net, loss = type(group.module.net).__name__, group.module.loss
    buffers = {name: buffer.clone() for name, buffer in group.members.buffers.items()}
    with named_culprit(net):
        logits = group.members.logits({**group.members.weights, **buffers}, x).detach()
    with named_culprit(type(loss).__name__ if isinstance(loss, nn.Module) else "the loss"):
        if of_each(loss, logits, y).shape != logits.shape[-1:]:
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
        its = [*module.hand_gradients(x, y)[1]]
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
    members, name = group.members, ""
    mine = dict(members.net.named_parameters())
    given = [{n: torch.randn_like(w) for n, w in mine.items()} for _ in range(UPDATES)]
    together.net = members.net
    try:
        for number, module in enumerate([*lone, together]):
            optimizer, how = optimizer_of(module)
            name = type(optimizer).__name__
            for gradients in given:
                for at, weight in module.net.named_parameters():
                    found = gradients[at]
                    found = found if module is together else members.alone(found, number)
                    weight.grad = found if weight.requires_grad else None
                optimizer.step()
                if how:
                    how["scheduler"].step()
    except (RuntimeError, TypeError, ValueError) as failure:
        if (name and module is together) or isinstance(failure, (RuntimeError, TypeError)):
            raise ValueError(coupled(name)) from None
        raise
    for number, module in enumerate(lone):
        for at, weight in module.net.named_parameters():
            if not close(members.alone(mine[at], number), weight):
                raise ValueError(coupled(name))
    kept = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
    weights = sum(weight.nbytes for weight in mine.values())
    return float(sum(each.nbytes for each in kept if each.ndim) / weights)


def coupled(name: str) -> str:
    why = "what it does to a weight depends on others"
    return f"optimizer={name!r}: couples the members of a study: {why}; {INSTEAD}"
