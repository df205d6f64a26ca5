"""The parser of fit, validate, test and predict: Lightning's, with errors in one line, short help.

Names that jsonargparse and Lightning spell with an underscore are in this file alone.
"""

import argparse
import copy
import importlib
import pkgutil
import re
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Union, cast, get_args

import lightning as L
import torch
import yaml
from jsonargparse import Namespace, get_loader, set_loader, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, _InstantiatorFn
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..data.tables import first_batch, sizes_of
from ..runs.kinds import imported_class, parameters
from .errors import PACKAGE, fail, line_of, nearest, reason, relative_path, with_suggestion
from .help import below, names_of, own_classes, short_help
from .settings import TOLD
from .study import Recipes, without_untold

# Lightning has it read settings from any address that stands where a class could
set_parsing_settings(config_read_mode_fsspec_enabled=False)
# or else a default of this kind, such as that of Lightning's Timer, could not be written down
yaml.SafeDumper.add_multi_representer(
    Enum, lambda dumper, member: dumper.represent_data(member.value)
)

# what is set by these keys: classes that go by their short names, as networks and losses do
BASES: dict[str, type] = {
    "model": L.LightningModule,
    "data": L.LightningDataModule,
    "callbacks": L.Callback,
    "logger": Logger,
    "optimizer": Optimizer,
    "scheduler": LRScheduler,
}
# files at the top of the package that run the program
NOT_IMPORTED = ("__main__", "lab")
# short names that torch and Lightning, or Lightning and the lab, both have: which class is meant
MEANT = {
    "ReduceLROnPlateau": "lightning.pytorch.cli.ReduceLROnPlateau",
    "CSVLogger": f"{PACKAGE}.lab.training.loggers.CSVLogger",
    "TensorBoardLogger": f"{PACKAGE}.lab.training.loggers.RunLogger",
}
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"  # what Lightning loads its own with
LINKED = {
    f"model.init_args.{path}{name}": name
    for path in ("", "net.init_args.")
    for name in TOLD[: 2 if path else None]
}


def with_meant(loaded: Any) -> Any:
    """Settings with the classes that short names mean."""
    if isinstance(loaded, list):
        return [with_meant(each) for each in loaded]
    if isinstance(loaded, dict):
        name = loaded.get("class_path")
        meant = {"class_path": MEANT[name]} if isinstance(name, str) and name in MEANT else {}
        return {key: with_meant(each) for key, each in {**loaded, **meant}.items()}
    return {"class_path": MEANT[loaded]} if isinstance(loaded, str) and loaded in MEANT else loaded


load_yaml = get_loader("yaml")
set_loader("yaml", lambda text: with_meant(load_yaml(text)), (yaml.YAMLError,))


def dump_unchecked(parser: Any, settings: Any) -> str:
    """Settings as YAML, with null, and with what the data might say."""
    how = {"skip_validation": True, "skip_link_targets": False}
    return cast(str, parser.dump(settings, "yaml", False, **how))


class SettingsParser(LightningArgumentParser):
    """Lightning's parser, where a flag is written out in full and a mistake costs one line."""

    verb = ""  # where it is a command's, whose help is short

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def parse_twice(self, words: list[str]) -> tuple[Namespace, dict[str, Any]]:
        """Parse a command as it is given, and complete it by defaults then.

        In one go a class that a flag chooses would get the defaults of the one it takes the place
        of, where its own has settings of the same names.

        Returns:
            All settings, and by their paths those that are given.
        """
        for action in (cast(Any, action) for each in self.parsers() for action in each._actions):
            kinds = get_args(getattr(action, "_typehint", None))
            if {int, float} <= {*kinds}:  # 1 is one batch, and 1.0 all: not to be tried first
                ordered = sorted(kinds, key=lambda kind: kind is float)
                action._typehint = Union[tuple(ordered)]  # noqa: UP007  of a list
        printing = [word for word in words if word.startswith("--print_config")]
        config = self.parse_args([each for each in words if each not in printing], defaults=False)
        verb, given = config.subcommand, config[config.subcommand]
        chosen, files = dict(given.items(branches=False)), given.pop("config", None)
        parser = cast(Any, self)._subcommands_action._name_parser_map[verb]
        named = {name: given.get(name) for name in ("model", "data")}
        parser.set_defaults({name: each.as_dict() for name, each in named.items() if each})
        config = self.parse_args([verb, *printing, "--config", dump_unchecked(parser, given)])
        config[verb].config = files
        return config, chosen

    def print_help(self, file: Any = None) -> None:
        if self.verb:
            print(short_help(self, self.verb), file=file)
        else:
            super().print_help(file)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside a parser: the outer one reports
            raise argparse.ArgumentError(None, message) from ex
        fail(self.in_one_line(message), ex)

    def in_one_line(self, message: str) -> str:
        """What a message of jsonargparse's comes down to: the setting, and its innermost lines."""
        path = ".".join(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
        if missing := re.match(r"the following arguments are required: (.*)", message):
            needed = [each.partition(".")[2] or each for each in missing[1].split(", ")]
            example = f", as in {PACKAGE} fit --config configs/xor.yaml" * ("data" in needed)
            return f"{', '.join(needed)}: must be given{example}"
        if found := re.search(
            r"unrecognized arguments: ([^\s=]+)|[Oo]ption '([^']+)'(?: is not|$)", message
        ):
            return self.unknown(path, found[1] or found[2], message)
        line = reason(message)
        key = path.rpartition(".")[2]
        base = BASES.get(key, nn.Module) if path else object
        other = re.match(r"(no such class|Import path does not .*); given '([\w.]+)'$", line)
        if other and (other[1] != "no such class" or other[2] in class_names(object)):
            line = f"{other[2]} is no {base.__name__}"
        of_class = "no such class" in line or key in (*BASES, "net", "loss", "")
        names = class_names(base) if of_class else ()
        return with_suggestion(f"{path}: {line}" if path else line, names)

    def unknown(self, path: str, option: str, message: str) -> str:
        """That there is no such setting: what there is instead, and the nearest of it."""
        if not option.startswith("-") and not path and "unrecognized" in message:
            return f"{option}: no such argument; a file goes after --config"
        classes = re.findall(r"class_path[= ]'([\w.]+)'", message)
        chosen = imported_class(classes[-1]) if path and classes else None
        names = names_of(chosen) if isinstance(chosen, type) else []
        name = option.lstrip("-")
        full = f"{path}.{name}" if path and not name.startswith(path) else name
        if names:
            near = nearest(name, names)
            return f"{full}: no such setting; choose one of {', '.join(names)}{near}"
        flags = [flag.strip("-") for each in self.parsers() for flag in each._option_string_actions]
        defaults = self.get_defaults().as_dict() if not self._subcommands_action else {}
        model = imported_class((defaults.get("model") or {}).get("class_path"))
        flags += [f"model.{each}" for each in parameters(model)]
        for key, base in (("data", L.LightningDataModule), ("model.net", nn.Module)):
            flags += [f"{key}.{each}" for found in own_classes(base) for each in names_of(found)]
        flags += [f"model.optimizer.{each}" for each in parameters(torch.optim.SGD)]
        return f"{full}: no such setting{nearest(full, flags)}"

    def parsers(self) -> list["SettingsParser"]:
        """This parser, and those of its subcommands."""
        below = self._subcommands_action
        return [self, *(below._name_parser_map.values() if below else [])]


def class_names(base: type) -> set[str]:
    """Short names of the classes below one, or any that a setting may name, that are imported."""
    bases = [*BASES.values(), nn.Module] if base is object else [base]
    found = {each.__name__ for one in bases for each in below(one)}
    return {name for name in found if not name.startswith("_")}


def link_to_data(parser: LightningArgumentParser, settings: Callable[[], Any]) -> None:
    """Let a module and its network be told by the data what they need to know of it."""
    for target, name in LINKED.items():
        say = partial(linked_value, name=name, target=target, settings=settings)
        say.__name__ = f"{name} of "  # type: ignore[attr-defined]  # for the help
        parser.link_arguments("data", target, say, apply_on="instantiate")


def with_values(text: str, values: dict[str, int | float]) -> str:
    """Settings, as YAML, with some more numbers, which are given by their paths."""
    settings = yaml.safe_load(text)
    for path, value in values.items():
        *above, name = path.split(".")
        holder = settings
        for key in above:
            holder = holder.setdefault(key, {})
        holder[name] = value.real  # of a subclass, such as PositiveInt, a plain number
    return yaml.safe_dump(settings, sort_keys=False) if values else text


def linked_value(data: Any, name: str, target: str, settings: Callable[[], Any]) -> Any:
    """What the data says of itself, or the user, or the first batch to train on, in this order.

    Only the data's word may not be contradicted. What the batch says is noted as if typed.
    """
    given, chosen = settings()
    class_type = imported_class(given.get(target.replace(f"init_args.{name}", "class_path")))
    typed, parameter = chosen.get(target), parameters(class_type).get(name)
    if parameter is None:
        return given.get(target)
    check_task(data, name, parameter.default, class_type)
    if hasattr(data, name):
        said = getattr(data, name)
        if typed not in (None, said):
            setting = target.replace("init_args.", "")
            fail(f"{setting}={typed}: the data has {said}; leave it out")
        return said
    if typed is None and name in TOLD[:3]:
        typed = sizes_of(first_batch(data), chosen.get("model.init_args.classes")).get(name)
        if typed is not None:
            chosen[target] = typed
    return given.get(target) if typed is None else typed


def check_task(data: Any, name: str, default: Any, class_type: type) -> None:
    """Find a module for classes where the target is numeric, or the other way round."""
    learns, classes = class_type.__name__, getattr(data, "classes", 0)
    if name == "classes" and classes is None and default is not None:
        fail(f"{learns}: learns classes, and the target is numeric; --model Regressor learns it")
    if name == "target_mean" and classes:
        names = getattr(data, "class_names", ())
        whole = names and all(name.lstrip("-").isdecimal() for name in names)
        advice = "; data.task=regression makes numbers of them" if whole else ""
        fail(f"{learns}: learns a numeric target, and this has {classes} classes{advice}")


class ModuleMaker(_InstantiatorFn):
    """Lightning's maker of modules, which lets ``load_from_checkpoint`` make them again.

    Lightning's own fails where an argument that is linked to the data is none of the class's.
    """

    def __init__(self, cli: Any, key: str, recipes: Recipes) -> None:
        super().__init__(cli, key)
        self.recipes = recipes

    def __call__(
        self, class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kw: Any
    ) -> Any:
        kw = without_untold(class_type, kw)
        try:
            made: Any = super().__call__(class_type, *args, applied_instantiation_links={}, **kw)
        except Exception as failure:
            if self.recipes.failed is None:
                self.recipes.failed = class_type, failure
            raise
        self.recipes.made[id(made)] = made, class_type, kw
        if self.key == "model":
            made.save_hyperparameters({**made.hparams, **self.plain(kw)}, logger=False)
        return made

    def plain(self, given: dict[str, Any]) -> dict[str, Any]:
        """All arguments in plain words, with those that the data has told."""
        settings = copy.deepcopy(self.cli.config_dump.get(self.key, {}))
        plain = {**settings.get("init_args", {}), **settings.get("dict_kwargs", {})}
        _, _, of_net = self.recipes.made.get(id(given.get("net")), (None, None, {}))
        if of_net:
            plain["net"].setdefault("init_args", {}).update(
                {name: of_net[name].real for name in TOLD if name in of_net}
            )
        plain |= {"_class_path": settings["class_path"], "_instantiator": INSTANTIATOR}
        # of a subclass of numbers, such as PositiveInt, a plain one
        return {**plain, **{name: given[name].real for name in TOLD if name in given}}


def import_model(model: type[L.LightningModule] | str | None) -> type[L.LightningModule] | None:
    """A class, given by itself or by its place in the package: ``classifier.Classifier``."""
    if not isinstance(model, str):
        return model
    module, _, name = model.rpartition(".")
    found = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
    return cast(type[L.LightningModule], found)


def import_files() -> None:
    """Import every file at the top of the package, so that classes there go by short names."""
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in NOT_IMPORTED:
            try:
                importlib.import_module(f"{PACKAGE}.{module.name}")
            except Exception as failure:  # a file of the user's may raise anything
                file = Path(getattr(module.module_finder, "path", ""), f"{module.name}.py")
                fail(f"{relative_path(file)}: cannot be imported: {line_of(failure)}", failure)
