"""--seeds, --grid and --folds: the study that they ask for, from the settings of one run."""

import copy
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping

from ..data.tables import TableData
from ..runs.files import write_csv
from ..runs.kinds import parameters
from ..runs.text import say
from ..studies.plan import Plan, make_study
from ..studies.record import Study
from ..studies.rehearsal import INSTEAD, SWEEP
from ..studies.study import StudyModule
from ..studies.summary import Row, summaries
from ..training.spans import sees_each_batch, trains_alone
from .errors import nearest
from .settings import TOLD
from .verbs.compare import members_text


def plan_of(settings: Any, verb: str) -> Plan | None:
    """The members that a command's settings ask for; ``None`` where they ask for a single run.

    Raises:
        ValueError: If they are mistaken.
    """
    single = settings.seeds is None and not settings.grid and settings.folds is None
    if settings.member is not None and (single or verb in ("fit", "validate")):
        raise ValueError(f"member={settings.member!r}: only test and predict of a study have one")
    if single:
        return None
    seed = settings.seed_everything
    plan = Plan(
        seed, 1 if settings.seeds is None else settings.seeds, settings.grid or {}, settings.folds
    )
    for name, values in plan.grid.items():
        holder, key = place_of(settings, name)
        if isinstance(holder[key], bool) or not isinstance(holder[key], (int, float)):
            given = f"is {holder[key]!r}," if not hasattr(holder[key], "keys") else "is"
            why = f"{name} {given} not a number; {SWEEP} tries such"
            raise ValueError(f"grid={{{name}: {values}}}: {why}")
    return plan


def place_of(settings: Any, name: str) -> tuple[Any, str]:
    """Where a setting such as ``model.optimizer.lr`` is: what holds it, and its key.

    Raises:
        ValueError: If there is none.
    """
    *path, last = name.split(".")
    if path[:1] != ["model"]:
        raise ValueError(f"grid={{{name}: ...}}: a setting of the model, as model.optimizer.lr")
    holder = settings
    for key in path:
        holder = arguments(holder)
        holder = holder.get(key)
        if not hasattr(holder, "keys"):
            raise ValueError(f"grid={{{name}: ...}}: there is no {key}, or it has no settings")
    holder = arguments(holder)
    if last not in holder:
        known = [str(key) for key in vars(holder)]
        raise ValueError(f"grid={{{name}: ...}}: no such setting{nearest(last, known)}")
    if last in TOLD:
        raise ValueError(f"grid={{{name}: ...}}: is what the data says")
    return holder, last


def arguments(holder: Any) -> Any:
    """Arguments of what may be a class with its path."""
    return holder.init_args if "init_args" in holder else holder


def study_of(command: Any, plan: Plan, module: L.LightningModule, data: Any) -> StudyModule:
    """The module that trains a plan's members.

    Args:
        command: The command line, which has parsed one run.
        plan: The members.
        module: The module of that run.
        data: Its data.

    Raises:
        ValueError: If they cannot be trained together.
    """
    data.setup("fit")
    trainer: Any = command.trainer
    check_trainer(trainer)
    clip = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
    trainer.gradient_clip_val = None

    builder = Builder(command)
    compiled, learned = command.settings.compile, command.learned.get("folds", ())
    made = builder.net, clip, compiled, builder.for_data, learned
    study = make_study(plan, data, builder, *made)
    study.hand_out_by(trainer, data)
    trainer.callbacks.insert(0, Study())
    study.asked = command.settings.member
    if study.groups[0].data.shuffle and not isinstance(data, TableData):
        say("each member has the rows in an order of its own, not in that of a lone run")
    if study.random:
        say(
            "dropout and the like draw random numbers of each member's own, not those of a lone run"
        )
    return study


def check_trainer(trainer: Any) -> None:
    """Find what a trainer is to do to members that their lone runs would not see done to them.

    Raises:
        ValueError: If there is such.
    """
    if not trains_alone(trainer):
        why = "a study is trained by one process, in 32 bits, with all batches of an epoch"
        raise ValueError(f"seeds: {why}, none of them accumulated; {INSTEAD}")
    if trainer.reload_dataloaders_every_n_epochs:
        raise ValueError(
            f"reload_dataloaders_every_n_epochs: a study reads its rows once; {INSTEAD}"
        )
    for part in ("val", "test"):
        if isinstance(share := getattr(trainer, f"limit_{part}_batches"), int) or share != 1:
            what = "a study measures all rows of all members"
            raise ValueError(f"limit_{part}_batches={share}: {what}; 1.0 is expected")
    for callback in trainer.callbacks:
        name = type(callback).__name__
        if isinstance(callback, EarlyStopping):
            why = "couples the members of a study: their mean would end all of them"
            raise ValueError(f"callbacks: {name} {why}; {INSTEAD}")
        if sees_each_batch(callback):
            raise ValueError(f"callbacks: {name} must see each update; {INSTEAD}")


class Recipes:
    """How objects of the settings were made, so that they can be made again.

    A study makes the network of a run again under another seed, or with another setting.
    """

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Callable[..., Any], dict[str, Any]]] = {}
        self.failed: tuple[type, Exception] | None = None

    def __call__(self, class_type: type, *args: Any, **kwargs: Any) -> Any:
        """Make an object, and note how: jsonargparse calls this in place of the class."""
        kwargs.pop("applied_instantiation_links", None)
        kwargs = without_untold(class_type, kwargs)
        try:
            made = class_type(*args, **kwargs)
        except Exception as failure:  # jsonargparse may lose it
            self.failed = class_type, failure
            raise
        self.made[id(made)] = made, class_type, kwargs
        return made

    def again(self, thing: Any, **changes: Any) -> Any:
        """An object made anew, from parts made anew, with some arguments changed."""
        _, class_type, kwargs = self.made[id(thing)]
        parts = {
            name: self.again(each) if id(each) in self.made else each
            for name, each in kwargs.items()
        }
        return class_type(**{**parts, **changes})


def without_untold(class_type: type, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments but for those that the data was asked for, and does not say."""
    untold = [name for name in TOLD if name in kwargs and kwargs[name] is None]
    for name in untold:
        if parameters(class_type)[name].default is inspect.Parameter.empty:
            raise ValueError(
                f"{class_type.__name__}: {name} is missing, and the data does not say it"
            )
    return {name: value for name, value in kwargs.items() if name not in untold}


class Builder:
    """Makes the module of a run with some of its settings changed.

    Once from the settings, which takes a third of a second; then as it was made then.
    """

    def __init__(self, command: Any) -> None:
        self.command = command
        self.made: dict[str, Any] = {}

    def __call__(self, setting: dict[str, Any]) -> Any:
        if (key := str(setting)) in self.made:
            return self.command.recipes.again(self.made[key])
        self.made[key] = self.command.module_with(setting)
        return self.made[key]

    def for_data(self, setting: dict[str, Any], data: Any) -> Any:
        """The same, told by the data of a fold what it says of itself."""
        made, recipes = self.made[str(setting)], self.command.recipes
        told = [name for name in TOLD if name in recipes.made[id(made)][2] and hasattr(data, name)]
        return recipes.again(made, **{name: getattr(data, name) for name in told})

    def net(self, setting: dict[str, Any]) -> Any:
        """Its network alone, where the settings name one."""
        net, recipes = self.made[str(setting)].net, self.command.recipes
        return recipes.again(net) if id(net) in recipes.made else self(setting).net


def with_setting(config: Any, subcommand: str, setting: dict[str, Any]) -> Any:
    """Settings of a run with some of them changed."""
    changed = copy.deepcopy(config)
    for name, value in setting.items():
        holder, key = place_of(changed[subcommand], name)
        holder[key] = type(holder[key])(value) if float(value).is_integer() else value
    return changed


def say_members(study: Any) -> None:
    """Say by which members a study predicts, and is tested."""
    if not isinstance(study, StudyModule):
        return
    if study.member is not None:
        seed, setting, fold = study.each[study.member]
        of_fold = {} if fold is None else {"fold": fold}
        say(f"member {study.member}: {in_words({'seed': seed, **setting, **of_fold})}")
        return
    settings = len(study.groups) // len(study.used)
    which = "; --member best has one of them"
    if settings > 1:
        which = (
            f" with {in_words(study.used[0].setting)}, the best of {settings} by {study.measure}"
        )
    members = len(study.each) // settings - study.diverged
    without = f" ({study.diverged} more diverged)" if study.diverged else ""
    say(f"the mean of {members:,} members{without}{which}")


def in_words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name.removeprefix('model.')} {value}" for name, value in settings.items())


def write_members(directory: Path, trainer: Any, study: StudyModule) -> tuple[list[Row], str]:
    """Write a row for each member; what they say together, and the same as a table."""
    (record,) = (each for each in trainer.callbacks if isinstance(each, Study))
    columns = record.rows([*study.each])
    write_csv(directory / "members.csv", columns)
    found = summaries(columns)
    return found, f"\n{members_text(found)}\n"
