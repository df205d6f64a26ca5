"""The parser of the command line: Lightning's, where a mistake costs one line.

jsonargparse reports a mistake as a tree of all that it tried, over many lines; the facts that a
user needs are picked out of it here: the argument, what was given, what is allowed, what is near.
"""

import importlib
import inspect
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import lightning as L
import yaml
from jsonargparse._util import argument_error
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from perceptrons.mistakes import choose, fail, nearest

PACKAGE = f"{__package__}."

# what the short class names of a key are names of
BASES: dict[str, type] = {
    "data": L.LightningDataModule,
    "model.net": nn.Module,
    "model.loss": nn.Module,
    "model.optimizer": Optimizer,
    "model.scheduler": LRScheduler,
    "trainer.callbacks": L.Callback,
}


class Parser(LightningArgumentParser):
    """Lightning's parser, where a mistake costs one line and a flag is written out in full."""

    origins: "Origins | None" = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside a parser: the outer one reports
            raise argument_error(message) from ex
        below = (
            self._subcommands_action._name_parser_map.values() if self._subcommands_action else []
        )
        flags = [flag for parser in (self, *below) for flag in parser._option_string_actions]
        line = explain(message, flags)
        fail(line + (self.origins.of(line) if self.origins else ""), ex)


class Origins:
    """Where settings come from: the config files that a command names, or its flags.

    Args:
        words: The words of the command.

    Raises:
        SystemExit: If a config file cannot be read.
    """

    def __init__(self, words: list[str]) -> None:
        self.all_words = words
        self.flags: dict[str, str] = {}
        for word, after in pairwise([*words, ""]):
            if word.startswith("--"):
                flag, equals, value = word[2:].partition("=")
                self.flags[flag] = value if equals else after
        named = [after for word, after in pairwise(words) if word in ("-c", "--config")]
        named += [word.partition("=")[2] for word in words if word.startswith("--config=")]
        self.configs = {name: read_config(Path(name)) for name in named}

    def name(self) -> str | None:
        """Name of the run: as given, or else the config file's."""
        given = self.value("name")
        return (
            str(given)
            if given
            else next((Path(name).stem for name in reversed(self.configs)), None)
        )

    def value(self, path: str) -> Any:
        """A setting as it is given, ``None`` where it is not."""
        values = [found for config in self.configs.values() for found in within(config, path)]
        return self.flags.get(path) or (values[-1] if values else None)

    def given(self, paths: Iterable[str]) -> dict[str, Any]:
        """Those of some settings that flags give, as YAML reads them."""
        return {path: yaml.safe_load(self.flags[path]) for path in paths if path in self.flags}

    def give(self, path: str) -> bool:
        """Whether a setting is given at all."""
        return path in self.flags or any(within(config, path) for config in self.configs.values())

    def without(self, path: str) -> list[str]:
        """The words of the command but for a flag and its value."""
        value_at = [at + 1 for at, word in enumerate(self.all_words) if word == f"--{path}"]
        return [
            word
            for at, word in enumerate(self.all_words)
            if at not in value_at and word.partition("=")[0] != f"--{path}"
        ]

    def of(self, line: str) -> str:
        """`` (in <file>)`` where the setting that a line starts with is from a config file."""
        path = re.split("[=:]", line, maxsplit=1)[0]
        files = [name for name, settings in self.configs.items() if within(settings, path)]
        return f" (in {files[-1]})" if files and path not in self.flags else ""


def within(settings: Any, path: str) -> list[Any]:
    """The value at a path such as ``model.net.hidden`` of a config file, if it is there."""
    for key in path.split("."):
        inner = settings.get("init_args", {}) if isinstance(settings, dict) else {}
        if isinstance(settings, dict) and key in settings:
            settings = settings[key]
        elif key in inner:
            settings = inner[key]
        else:
            return []
    return [settings]


def as_flags(settings: dict[str, Any]) -> list[str]:
    """The settings that differ from the defaults, as flags that give them again."""
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in flat(settings).items()
    ]


def flat(settings: dict[str, Any], start: str = "") -> dict[str, Any]:
    """Settings by the names of their flags, without arguments that a class has by default."""
    flags: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and "class_path" in value:
            path = value["class_path"]
            flags[start + key] = path.rpartition(".")[2] if path.startswith(PACKAGE) else path
            defaults, given = parameters(path), value.get("init_args", {})
            differing = {name: it for name, it in given.items() if it != defaults.get(name)}
            flags |= flat(differing, f"{start}{key}.")
        elif isinstance(value, dict):
            flags |= flat(value, f"{start}{key}.")
        else:
            flags[start + key] = value
    return flags


def read_config(path: Path) -> Any:
    if not path.is_file():
        near = nearest(str(path), map(str, path.parent.glob("*.yaml")))
        fail(f"config={str(path)!r}: no such file{near}")
    try:
        settings = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as mistake:
        fail(f"config={str(path)!r}: is not YAML: {mistake}", mistake)
    if not isinstance(settings, dict):
        fail(f"config={str(path)!r}: holds no settings, such as 'seed_everything: 777'")
    return settings


def explain(message: str, flags: Iterable[str]) -> str:
    """A message of jsonargparse's in one line.

    Args:
        message: The message.
        flags: All flags there are, such as ``--trainer.max_epochs``.
    """
    if found := re.search(r"unrecognized arguments: ([^\s=]+)", message):
        return f"{found[1]}: no such argument{nearest(found[1], flags)}"
    if found := re.search(r"does not accept option '([^']+)'|Key \"(.+?)\" is not exp", message):
        key = found[1] or found[2]
        return f"{key}: no such key{nearest(key, [flag.lstrip('-') for flag in flags])}"
    if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
        return f"{found[1]}: no such command; {choose(found[1], words(found[2]))}"
    if found := re.search(r"\{(.*)\}, but it was not provided", message):
        return f"no command; choose one of {', '.join(words(found[1]))}"
    if found := re.search(r"arguments are required: (.*)", message):
        missing = re.sub(r"\b\w+\.(?=data|model)", "", found[1])
        return f"{missing}: missing; a config has them, such as --config configs/xor.yaml"
    path = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    return explain_value(path, message) if path else said_by_class(message)


def said_by_class(message: str) -> str:
    """What a class says of its own argument, without what jsonargparse puts round it."""
    found = re.search(r"^ *- (\w+=.*)$", message, re.M)
    return found[1] if found else message


def explain_value(path: str, message: str) -> str:
    """What is wrong with the value at a path such as ``model.net.activation``."""
    if found := re.search(r"Option '([^']+)' is not accepted", message):
        classes = re.findall(r"class_path(?:=| )'([\w.]+)'", message)
        names = [f"{path}.{name}" for name in parameters(classes[-1])] if classes else []
        given = f"{path}.{found[1]}"
        return f"{given}: no such argument{nearest(given, names)}"
    given = value(message)
    if found := re.search(r"Literal\[([^\]]+)\]", message):
        return f"{path}={given!r}: {choose(given, words(found[1]))}"
    if path in BASES and given in (names := subclasses(BASES[path])) and names.count(given) > 1:
        return f"{path}={given!r}: several classes have this name; give one with its module"
    if path in BASES:
        near = nearest(given.rpartition(".")[2], subclasses(BASES[path]))
        return f"{path}={given!r}: no such class{near}"
    kinds = re.findall(r"Expected a <class '(?:[\w.]+\.)?(?!NoneType)(\w+)'>", message)
    if kinds:
        return f"{path}={given!r}: expected {' or '.join(dict.fromkeys(kinds))}"
    return f"{path}: {message.partition(':')[2]}"


def value(message: str) -> str:
    """The value that a message is about: the innermost, where it is nested."""
    for start in ("Got value", "path string", "Given value"):
        if found := re.search(rf"{start}: (.+?)(?:\. Got value.*)?$", message, re.M):
            return found[1]
    return ""


def words(text: str) -> list[str]:
    return re.findall(r"[-\w]+", text)


def parameters(class_path: str) -> dict[str, Any]:
    """Parameters of a class, and of the classes it passes them on to, with their defaults."""
    module, _, name = class_path.rpartition(".")
    classes = inspect.getmro(getattr(importlib.import_module(module), name))
    own = [vars(class_)["__init__"] for class_ in reversed(classes) if "__init__" in vars(class_)]
    found = [parameter for init in own for parameter in inspect.signature(init).parameters.values()]
    return {parameter.name: parameter.default for parameter in found}


def subclasses(base: type) -> list[str]:
    """Short names of the subclasses of a class, as far as they are imported."""
    direct: list[type] = base.__subclasses__()
    return [below.__name__ for below in direct] + [
        name for below in direct for name in subclasses(below)
    ]
