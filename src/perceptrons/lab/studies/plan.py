"""What a study trains: its seeds, the settings of its grid, its folds; and what is made of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any, NamedTuple, TypeVar

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from ..data.split import SplitData
from ..data.tables import TableData, own_hooks
from .group import Clip, Group
from .members import MakeNet, named_tensors, seed_all
from .rehearsal import INSTEAD, SWEEP, check_memory, check_trainable, free_memory, rehearse
from .rows import ReadData, Source
from .study import StudyModule

Setting = dict[str, Any]
Build = Callable[[Setting], Any]  # makes the user's module
Made = TypeVar("Made")


class Member(NamedTuple):
    """What sets a member apart."""

    seed: int
    setting: Setting
    fold: int | None


@dataclass(frozen=True)
class Plan:
    """A study's members: each seed, with each setting of a grid, in each fold.

    Args:
        seed: The first seed.
        seeds: How many there are, counting up from it.
        grid: Values to try for each setting, such as ``model.optimizer.lr``.
        folds: How many folds the data is cut into; ``None``: its own split.

    Raises:
        ValueError: If a number is out of range, or the grid is not of different numbers.
    """

    seed: int
    seeds: int = 1
    grid: Mapping[str, Sequence[float]] = field(default_factory=dict)
    folds: int | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds={self.seeds}: must be at least 1")
        if self.seed + self.seeds > 2**32:
            last = f"the last of {self.seed} and {self.seeds - 1} more is above {2**32 - 1}"
            raise ValueError(f"seeds={self.seeds}: {last}")
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"folds={self.folds}: must be at least 2")
        for name, values in self.grid.items():
            check_values(name, values)

    @property
    def settings(self) -> list[Setting]:
        """Every combination of the grid's values."""
        return [dict(zip(self.grid, each, strict=True)) for each in product(*self.grid.values())]

    @property
    def members(self) -> list[Member]:
        folds = range(self.folds) if self.folds else [None]
        seeds = range(self.seed, self.seed + self.seeds)
        return [Member(s, setting, f) for setting in self.settings for f in folds for s in seeds]


def check_values(name: str, values: Any) -> None:
    given = f"grid={{{name}: {values}}}"
    kinds = {type(each) for each in values} if isinstance(values, Sequence) else {None}
    if not values or not kinds <= {int, float} or not all(map(math.isfinite, values)):
        why = f"a list of numbers is expected; {SWEEP} takes others"
        raise ValueError(f"{given}: {why}")
    if len({*values}) < len(values):
        raise ValueError(f"{given}: the same value is there twice")


def make_study(
    plan: Plan,
    data: L.LightningDataModule,
    build: Build,
    net_of: Callable[[Setting], nn.Module] | None = None,
    clip: Clip = (None, None),
    compile: bool = False,  # noqa: A002  the user's word for it
    build_for: Callable[[Setting, Source], Any] | None = None,
    learned: Sequence[dict[str, Any]] = (),
) -> StudyModule:
    """The module that trains a plan's members.

    Args:
        plan: The members.
        data: The data.
        build: Makes the user's module with a setting.
        net_of: Makes its network alone, which is faster.
        clip: How gradients are clipped.
        compile: Whether to make several updates in one function, compiled by ``torch.compile``.
        build_for: Makes the user's module with a setting, told by the data of a fold.
        learned: States of the folds, where a checkpoint has them.

    Raises:
        ValueError: If they cannot be trained together.
    """
    folds, seeds = folds_of(data, plan.folds, learned), range(plan.seed, plan.seed + plan.seeds)
    random, groups = False, list[Group]()
    for setting in plan.settings:
        make, make_net = partial(build, setting), net_of and partial(net_of, setting)
        two = make_pair(plan.seed, setting, make, make_net, folds[0])
        check_shapes(two, (groups or [two])[0])
        found = rehearse(two, partial(under_seed, make=make))
        if not groups:
            check_memory(two, found, len(plan.settings) * len(folds), plan.seeds)
        random |= found.random
        for fold in folds:
            told = partial(build_for, setting, fold) if build_for else make
            module = under_seed(plan.seed, told)
            group = Group(module, two.members.make, setting, seeds, fold, clip, compile)
            group.leave_out(found.untrained)
            groups.append(group)
    return StudyModule(groups, plan.members, random)


def make_pair(
    seed: int, setting: Setting, make: Callable[[], Any], make_net: MakeNet | None, data: Source
) -> Group:
    """Two members of a setting, to be tried."""
    module = under_seed(seed, make)
    check_trainable(module)
    make_net = net_maker(seed, module, make, make_net)
    return Group(module, make_net, setting, (seed, seed ^ 1), data)


def check_shapes(group: Group, first: Group) -> None:
    """Find a setting that changes the shape of a weight.

    Raises:
        ValueError: If it does.
    """
    both = (named_tensors(each.module.net) for each in (group, first))
    shapes, wanted = ({name: tensor.shape for name, tensor in each} for each in both)
    if shapes != wanted:
        changed = ", ".join(f"{name}={value}" for name, value in group.setting.items())
        raise ValueError(f"grid: {changed} changes a shape; {SWEEP} trains such")


def net_maker(seed: int, module: Any, make: Callable[[], Any], make_net: MakeNet | None) -> MakeNet:
    """What makes a network as the user's module has it, under whatever seed there is.

    Args:
        seed: Seed of the module.
        module: The module.
        make: Makes it.
        make_net: Makes a network alone, which serves where the module leaves it as it is.
    """
    whole: MakeNet = lambda: make().net  # noqa: E731
    for each in filter(None, (make_net, whole)):
        net = under_seed(seed, each)
        mine = dict(named_tensors(net))
        same = all(torch.equal(mine[name], its) for name, its in named_tensors(module.net))
        if same and net is not module.net:
            return each
    name = type(module).__name__
    raise ValueError(f"seeds: {name} has another network each time it is made; {INSTEAD}")


def under_seed(seed: int, make: Callable[[], Made]) -> Made:
    """What a function makes under a seed; what else draws random numbers does not notice."""
    with isolate_rng():
        seed_all(seed)
        return make()


def folds_of(data: Any, folds: int | None, learned: Sequence[dict[str, Any]]) -> Sequence[Source]:
    """The data of each fold, encoded as the checkpoint's folds are, where there is one.

    Raises:
        ValueError: If there is nothing to hold out.
    """
    if own := own_hooks(data):
        what = f"a study reads the rows themselves, not by {own[0]} of {type(data).__name__}"
        raise ValueError(f"seeds: {what}; {INSTEAD}")
    if folds is None:
        return [data if isinstance(data, TableData) else ReadData(data, free_memory())]
    if not isinstance(data, SplitData):
        raise ValueError(f"folds={folds}: {type(data).__name__} has no rows to hold out")
    made = [data.fold(number, folds) for number in range(folds)]
    for fold, state in zip(made, learned, strict=False):
        fold.load_state_dict(state)
    return made
