"""The parser of fit, validate, test and predict: Lightning's, with errors in one line, short help.

Names that jsonargparse and Lightning spell with an underscore are in this file alone.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NoReturn

import lightning as L
import yaml
from lightning.pytorch.cli import LightningArgumentParser, _InstantiatorFn
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .errors import fail, nearest, suggested

# or else a default of this kind, such as that of Lightning's Timer, could not be written down
yaml.SafeDumper.add_multi_representer(
    Enum, lambda dumper, member: dumper.represent_data(member.value)
)

# whose subclasses go by their short names
BASES = (L.LightningModule, L.LightningDataModule, L.Callback, Logger)
BASES += (nn.Module, Optimizer, LRScheduler)
# what a network or a module is told by the data
TOLD = ("inputs", "outputs", "classes", "target_mean", "target_std")
# lines of jsonargparse's message that say what was tried, not what is wrong
TRIED = re.compile(r"Subtypes:|Errors:|Given value|Does not validate|Problem with|Unable to load")
NO_REASON = re.compile(r"Expected a <class '(NoneType|list)'>|Expected a path but")


class SettingsParser(LightningArgumentParser):
    """Lightning's parser, where a flag is written out in full and a mistake costs one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside a parser: the outer one reports
            raise argparse.ArgumentError(None, message) from ex
        fail(self.in_one_line(message), ex)

    def in_one_line(self, message: str) -> str:
        """What a message of jsonargparse's comes down to: the setting, and its innermost lines."""
        flags = [flag for parser in self.every() for flag in parser._option_string_actions]
        if found := re.search(r"unrecognized arguments: ([^\s=]+)", message):
            where = "; a file goes after --config" * (not found[1].startswith("-"))
            return f"{found[1]}: no such argument{where or nearest(found[1], flags)}"
        path = ".".join(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
        if found := re.search(r"Option '([^']+)' is not accepted", message):
            path, message = f"{path}.{found[1]}".strip("."), "no such setting"
            return f"{path}: {message}{nearest(path, [flag.strip('-') for flag in flags])}"
        line = "; or ".join(reasons(message)) or message
        return suggested(f"{path}: {line}" if path else line, class_names())

    def every(self) -> list["SettingsParser"]:
        """This parser, and those of its subcommands."""
        below = self._subcommands_action
        return [self, *(below._name_parser_map.values() if below else [])]


def reasons(message: str) -> list[str]:
    """The lines of a message that say what is wrong, of the innermost class that it is about."""
    lines = [line for line in message.splitlines() if line.strip()]
    lines = [re.sub(r'^( *)(- )?(Parser key ".*?":)?\s*', r"\1\2", line) for line in lines]
    left = [line for line in lines if line.strip() and not TRIED.match(line.strip(" -"))]
    left = [line for line in left if not NO_REASON.match(line.strip(" -"))]
    deepest = max((indent(line) for line in left), default=0)
    found = dict.fromkeys(said(line) for line in left if indent(line) == deepest)
    given = re.findall(r"^ *Given value: (?!Namespace|NestedArg)(.*)$", message, re.M)
    return [*found] + [f"given {each!r}" for each in given[:1]]


def indent(line: str) -> int:
    return len(line) - len(line.lstrip(" -"))


def said(line: str) -> str:
    """A line without the modules of classes."""
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>|typing\.(\w+)", r"\1\2", line.strip(" -")).strip()


def class_names() -> Iterator[str]:
    """Short names of the classes that a setting may name, as far as they are imported."""
    for base in BASES:
        yield from (each.__name__ for each in below(base) if not each.__name__.startswith("_"))


def below(base: Any) -> list[type]:
    direct: list[Any] = base.__subclasses__()
    return direct + [each for class_ in direct for each in below(class_)]


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
        """An object made anew, from parts made anew, with some arguments changed.

        Raises:
            ValueError: If it was not made from the settings.
        """
        if id(thing) not in self.made:
            raise ValueError(f"{type(thing).__name__}: was not made from the settings")
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
            raise ValueError(f"{class_type.__name__}: {name} is missing, and the data has no such")
    return {name: value for name, value in kwargs.items() if name not in untold}


def parameters(class_type: Any) -> dict[str, inspect.Parameter]:
    """Parameters of a class, and of the classes that it passes others on to."""
    found: dict[str, inspect.Parameter] = {}
    for each in inspect.getmro(class_type):
        if "__init__" not in vars(each):
            continue
        _, *own = inspect.signature(vars(each)["__init__"]).parameters.values()
        passed_on = [p for p in own if p.kind is p.VAR_KEYWORD]
        found = {p.name: p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} | found
        if not passed_on:
            break
    return found


class ModuleMaker(_InstantiatorFn):
    """Lightning's maker of modules, which lets ``load_from_checkpoint`` make them again.

    Lightning's own fails where an argument that is linked to the data is none of the class's.
    """

    def __init__(self, cli: Any, key: str, recipes: Recipes) -> None:
        super().__init__(cli, key)
        self.recipes = recipes

    def __call__(  # type: ignore[override]
        self, class_type: type, *args: Any, applied_instantiation_links: dict[str, Any], **kw: Any
    ) -> Any:
        self.cli._dump_config()
        there = {key: v for key, v in applied_instantiation_links.items() if self.has(key)}
        kw = without_untold(class_type, kw)
        try:
            made = super().__call__(class_type, *args, applied_instantiation_links=there, **kw)
        except Exception as failure:
            if self.recipes.failed is None:
                self.recipes.failed = class_type, failure
            raise
        self.recipes.made[id(made)] = made, class_type, kw
        return made

    def has(self, key: str) -> bool:
        """Whether the settings have a key."""
        settings = self.cli.config_dump
        for part in key.split("."):
            if not isinstance(settings, dict) or part not in settings:
                return False
            settings = settings[part]
        return True


def check_nulls(settings: Any, path: str = "") -> None:
    """Refuse null for an argument of a class that takes none: jsonargparse lets it pass.

    Raises:
        SystemExit: If there is one.
    """
    for key, value in vars(settings).items() if hasattr(settings, "__dict__") else ():
        where = f"{path}.{key}".strip(".")
        for each in value if isinstance(value, list) else [value]:
            check_nulls(each, where if key != "init_args" else path)
    class_type = imported(getattr(settings, "class_path", None))
    for name, parameter in parameters(class_type).items() if class_type else ():
        given = getattr(settings.init_args, name, ...) if "init_args" in settings else ...
        if given is None and parameter.default not in (None, parameter.empty):
            if not re.search("None|Optional|Any", str(parameter.annotation)):
                fail(f"{path}.{name}: must have a value; given null, the default is"
                     f" {parameter.default!r}")


def imported(class_path: Any) -> Any:
    """A class that settings name, which the parser has imported."""
    module, _, name = str(class_path).rpartition(".")
    return getattr(sys.modules.get(module), name, None)
