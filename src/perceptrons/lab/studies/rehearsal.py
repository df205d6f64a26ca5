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

from ..training.compiled import Loss, check_step
from ..training.spans import takes_spans
from .gradients import by_hand as by_hand_of
from .gradients import mapped, of_each
from .group import optimizer_of
from .members import MakeNet, Members, stack

INSTEAD = "perceptrons sweep trains one run after the other"
UPDATES = 3
ROWS = 64


class Rehearsal(NamedTuple):
    """What two members have shown.

    Attributes:
        random: Whether they draw random numbers, so that they differ from a lone run.
        kept: Bytes that the optimizer keeps for each byte of weights.
    """

    random: bool
    kept: float


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
    if isinstance(module.loss, nn.Module) and [*module.loss.parameters()]:
        raise ValueError(f"seeds: the loss has weights that are trained; {INSTEAD}")


def rehearse(
    build: Callable[[], Any], make_net: MakeNet, seed: int, x: Tensor, y: Tensor
) -> Rehearsal:
    """Try two members.

    Args:
        build: Makes the user's module.
        make_net: Makes its network.
        seed: Seed of the first.
        x: Inputs of a batch.
        y: Its targets.

    Raises:
        ValueError: If members would do otherwise than alone.
    """
    module = build()
    targets = getattr(module, "targets", None)
    x, y = x[:ROWS], targets(y[:ROWS]) if targets else y[:ROWS]
    by_hand = getattr(module, "hand_gradients", None) is not None
    members = stack(make_net, [seed, seed + 1], not by_hand, x.ndim)
    with isolate_rng(), mapped():
        warnings.simplefilter("ignore")  # what Lightning says to a module without a trainer
        random = check_net(members, x)
        check_loss(module.loss, members, x, y)
        if not random:
            check_step(module, x, y, "seeds")
        if by_hand:
            check_hand(module, members, x, y)
        kept = check_optimizer(build, members)
    return Rehearsal(random, kept)


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


def check_net(members: Members, x: Tensor) -> bool:
    """Compare the members' logits with lone ones; whether they are random."""
    lone = [members.member(number) for number in range(2)]
    name = type(members.first).__name__
    with named_culprit(name):
        torch.manual_seed(0)
        logits = members.logits({**members.weights, **members.buffers}, x).detach()
    # buffers, such as the means of a batch norm, may have changed with the call
    with torch.no_grad():
        torch.manual_seed(0)
        alone = torch.stack([net(x) for net in lone], -1)
        random = not torch.equal(alone, torch.stack([net(x) for net in lone], -1)) and changes(
            lone[0], x
        )
    if not random and not torch.allclose(logits, alone, 1e-3, 1e-5):
        raise ValueError(f"seeds: members of {name} do not compute what it does alone; {INSTEAD}")
    return random


def changes(net: nn.Module, x: Tensor) -> bool:
    """Whether a network gives other logits with other random numbers."""
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(net(x))
    return not torch.allclose(*found)


def check_loss(loss: Loss, members: Members, x: Tensor, y: Tensor) -> None:
    with torch.no_grad():
        logits = torch.stack([members.member(number)(x) for number in range(2)], -1)
    with named_culprit(type(loss).__name__ if isinstance(loss, nn.Module) else "the loss"):
        each = of_each(loss, logits, y)
    alone = torch.stack([loss(logits[..., number], y) for number in range(2)])
    if each.shape != alone.shape or not torch.allclose(each, alone, 1e-3, 1e-5):
        raise ValueError(f"seeds: the loss of two members is not that of each alone; {INSTEAD}")


def check_hand(module: Any, members: Members, x: Tensor, y: Tensor) -> None:
    """Compare two members' gradients by hand with those that each has alone."""
    with named_culprit("hand_gradients"):
        _, found = by_hand_of(module, x.ndim)(members.weights, members.buffers, x, y)
    for number in range(2):
        module.net.load_state_dict(members.member(number).state_dict())
        for mine, its in zip(found, module.hand_gradients(x, y)[1], strict=True):
            if not torch.allclose(mine[number], its, 1e-3, 1e-5):
                raise ValueError(f"seeds: hand_gradients are not those of each member; {INSTEAD}")


def check_optimizer(build: Callable[[], Any], members: Members) -> float:
    """Compare some updates of two members with those that each has alone, given the gradients.

    Returns what the optimizer keeps for each byte of weights.
    """
    names = dict(members.net.named_parameters())
    given = [{name: torch.randn_like(w) for name, w in names.items()} for _ in range(UPDATES)]
    lone = [members.member(number) for number in range(2)]
    name = ""
    try:
        for number, net in enumerate([*lone, members.net]):
            module = build()
            module.net = net
            optimizer, how = optimizer_of(module)
            name = type(optimizer).__name__
            for gradients in given:
                for at, weight in net.named_parameters():
                    found = gradients[at]
                    weight.grad = found if net is members.net else members.alone(found, number)
                optimizer.step()
                if how:
                    how["scheduler"].step()
    except (RuntimeError, TypeError, ValueError) as failure:
        if (name and net is members.net) or isinstance(failure, (RuntimeError, TypeError)):
            raise ValueError(coupled(name)) from None
        raise
    for number, net in enumerate(lone):
        for at, weight in net.named_parameters():
            if not torch.allclose(members.alone(names[at], number), weight, 1e-3, 1e-5):
                raise ValueError(coupled(name))
    kept = [
        v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)
    ]
    weights = sum(weight.nbytes for weight in module.net.parameters())
    return float(sum(each.nbytes for each in kept if each.ndim) / weights)


def coupled(name: str) -> str:
    why = "what it does to a weight depends on others"
    return f"optimizer={name!r}: couples the members of a study: {why}; {INSTEAD}"
