"""The parser of fit, validate, test and predict: Lightning's, with errors in one line, short help.

Names that jsonargparse spells with an underscore are in this file alone.
"""

import argparse
import copy
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, Union, cast, get_args, get_origin

import lightning as L
import torch
import yaml
from jsonargparse import Namespace, get_loader, set_dumper, set_loader, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, _InstantiatorFn
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..data.tables import TableData
from ..runs.files import Dumper, yaml_text
from ..runs.kinds import full_name, imported_class, is_inside, parameters
from ..runs.trusted import CHOSEN
from .errors import (
    PACKAGE,
    fail,
    line_of,
    nearest,
    reason,
    relative_path,
    value_in,
    with_suggestion,
)
from .help import actions_of, below, class_help, is_lab, names_of, own_classes, short_help
from .settings import TOLD
from .study import Recipes, without_untold

# Lightning has it read settings from any address that stands where a class could
set_parsing_settings(config_read_mode_fsspec_enabled=False)
# or else a default of this kind, such as that of Lightning's Timer, could not be written down
Dumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))

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
# what values of a type are called; a tensor is none that a user types
KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text, in quotes",
    dict: "settings, as {name: value}",
    type(None): "null",
    torch.Tensor: "",
}
# a class that lacks arguments: one that is made at once, or later by what is given then
NEEDED = "the following arguments are required: "
LACKS = re.compile(
    rf"class_path '[\w.]*?(?P<name>\w+)':\s+{NEEDED}(?P<needs>.*)"
    rf"|callable class: {NEEDED}(?P<also>.*)\n(?: *(?!Given value:)[^ ].*\n)*?"
    r" *Given value: Namespace\(class_path='[\w.]*?(?P<made>\w+)'"
)


def with_meant(loaded: Any, key: str = "") -> Any:
    """Settings with the classes that short names mean, where a class is to be chosen."""
    if isinstance(loaded, list):
        return [with_meant(each, key) for each in loaded]
    if isinstance(loaded, dict):
        name = loaded.get("class_path")
        meant = {"class_path": MEANT[name]} if isinstance(name, str) and name in MEANT else {}
        return {each: with_meant(value, str(each)) for each, value in {**loaded, **meant}.items()}
    known = isinstance(loaded, str) and loaded in MEANT and key in ("", *CHOSEN)
    return {"class_path": MEANT[loaded]} if known else loaded


load_yaml = get_loader("yaml")
set_dumper("yaml", yaml_text)
set_loader("yaml", lambda text: with_meant(load_yaml(text)), (yaml.YAMLError,))


class SettingsParser(LightningArgumentParser):
    """Lightning's parser, where a flag is written out in full and a mistake costs one line."""

    verb = ""  # where it is a command's, whose help is short
    asked = ""  # the flag by which a command asks for the help of a class

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def parse_and_complete(self, words: list[str]) -> tuple[Namespace, dict[str, Any]]:
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
        SettingsParser.asked = next((word for word in words if ".help" in word), "")
        pairs = pairwise(["", *words])  # where help is asked for a name alone is read
        words = [MEANT.get(word, word) if last.endswith(".help") else word for last, word in pairs]
        printing = [word for word in words if word.startswith("--print_config")]
        config = self.parse_args([each for each in words if each not in printing], defaults=False)
        verb, given = config.subcommand, config[config.subcommand]
        chosen, files = dict(given.items(branches=False)), given.pop("config", None)
        parser = cast(Any, self)._subcommands_action._name_parser_map[verb]
        parser.set_defaults(given.as_dict())
        if printing:
            self.parse_args([verb, *printing])
        config[verb] = parser.get_defaults()
        config[verb].config = files
        return config, chosen

    def print_help(self, file: Any = None) -> None:
        if self.verb:
            print(short_help(self, self.verb), file=file)
        elif place := re.match(r"Help for --.*=(.*)", self.description or ""):
            flag = self.asked.partition(".help")[0]
            print(class_help(self, imported_class(place[1]), flag), file=file)
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
            verb, _, first = missing[1].partition(".")
            needed = missing[1].replace(f"{verb}.", "") if first else missing[1]
            trained = f"{verb} --ckpt_path last"
            if verb == "fit" or not first:
                trained = "fit --config configs/xor.yaml"
            return f"{needed}: must be given, as by {PACKAGE} {trained}"
        if found := re.search(
            r"unrecognized arguments: ([^\s=]+)|[Oo]ption '([^']+)'(?: is not|$)", message
        ):
            return self.unknown(path, found[1] or found[2], message)
        given = value_in(message, path)
        if (hint := self.type_of(path, message)) is not None:
            near = nearest(given, choices_of(hint))
            return f"{path}{'=' if given else ''}{given}: expected {in_words(hint)}{near}"
        line = reason(message, given)
        key = path.rpartition(".")[2]
        base = BASES.get(key, nn.Module) if path else object
        # a short name that two classes have is sent on as a path, which the message then quotes
        other = re.match(r"Import path (?:\S*\b(\w+) )?does not|Expected '(\S+)' to be a sub", line)
        absent = re.match(r"no such class; given '([\w.]+)'$", line)
        if other or (absent and absent[1] in class_names(object)):
            line = f"{(other and (other[1] or other[2])) or given} is no {base.__name__}"
        if lack := LACKS.search(message):
            line = f"{lack['name'] or lack['made']} needs {lack['needs'] or lack['also']}"
        of_class = "no such class" in line or key in (*BASES, "net", "loss", "")
        names = class_names(base) if of_class else ()
        return with_suggestion(f"{path}: {line}" if path else line, names)

    def type_of(self, path: str, message: str) -> Any:
        """The type of the setting that a message is about; ``None`` where that is a class."""
        name = path.rpartition(".")[2]
        for class_path in reversed(re.findall(r"class_path[= ]'([\w.]+)'", message)):
            class_type = imported_class(class_path)
            actions = actions_of(class_type) if isinstance(class_type, type) else []
            if found := [each for each in actions if each.dest == f"x.{name}"]:
                break
        else:
            found = [each for one in self.parsers() for each in one._actions if each.dest == path]
        hints = [getattr(each, "_typehint", None) or each.type for each in found]
        return next((hint for hint in hints if not takes_classes(hint)), None)

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


def in_words(hint: Any) -> str:
    """What a setting of a type may be, such as ``a whole number > 0``."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        literals = [each for each in inner if get_origin(each) is Literal]
        others = [in_words(each) for each in inner if each not in literals]
        return ", or ".join(dict.fromkeys(filter(None, [one_of(literals), *others])))
    if origin is Literal:
        return one_of([hint])
    if hasattr(hint, "_restrictions"):
        bounds = re.sub("v([<>=]+)", r"\1 ", hint._expression)
        return f"{KINDS[hint._type]} {bounds}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return KINDS[dict]
    if inner and isinstance(origin, type) and issubclass(origin, Iterable):
        return "a list of " + re.sub(r"^an? (whole number|\w+)", r"\1s", in_words(inner[0]))
    return KINDS[hint] if hint in KINDS else f"a {getattr(hint, '__name__', hint)}"


def one_of(literals: list[Any]) -> str:
    names = dict.fromkeys(str(name) for each in literals for name in get_args(each))
    return "one of " * (len(names) > 1) + ", ".join(names)


def takes_classes(hint: Any) -> bool:
    """Whether a setting of a type is a class, or a list of such."""
    if get_origin(hint) is Literal or hint in KINDS or hasattr(hint, "_restrictions"):
        return hint is type(None)
    return get_origin(hint) is Callable or all(map(takes_classes, get_args(hint)))


def choices_of(hint: Any) -> list[str]:
    """Names that a setting of a type may be: those of classes, or those it lists itself."""
    if get_origin(hint) is Literal:
        return [str(each) for each in get_args(hint)]
    if isinstance(hint, type) and hint not in KINDS and not hasattr(hint, "_restrictions"):
        return [*class_names(hint)]
    return [name for each in get_args(hint) for name in choices_of(each)]


def class_names(base: type) -> set[str]:
    """Short names of the classes below one, or any that a setting may name, that are imported."""
    bases = [*BASES.values(), nn.Module] if base is object else [base]
    found = {each.__name__ for one in bases for each in below(one)}
    return {name for name in found if not name.startswith("_")}


class ModuleMaker(_InstantiatorFn):
    """Lightning's maker of modules, which lets ``load_from_checkpoint`` make them again.

    Lightning's own fails where an argument that is linked to the data is none of the class's.
    """

    cli: Any

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
        elif isinstance(made, TableData) and (kept := self.cli.learned.get(class_type.__name__)):
            made.load_state_dict(kept)  # before a module is told by it
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
    """Import every file at the top of the package, so that classes there go by short names.

    A name that torch or Lightning has too, such as ``Transformer``, means the class there.
    """
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in NOT_IMPORTED:
            try:
                importlib.import_module(f"{PACKAGE}.{module.name}")
            except Exception as failure:  # a file of the user's may raise anything
                file = Path(getattr(module.module_finder, "path", ""), f"{module.name}.py")
                fail(f"{relative_path(file)}: cannot be imported: {line_of(failure)}", failure)
    every = {each for base in (*BASES.values(), nn.Module) for each in below(base)}
    ours = {each for each in every if is_inside(each.__module__, PACKAGE) and not is_lab(each)}
    own = {each for each in ours if imported_class(full_name(each)) is each}
    others = {each.__name__ for each in every - own}
    MEANT.update({each.__name__: full_name(each) for each in own if each.__name__ in others})
