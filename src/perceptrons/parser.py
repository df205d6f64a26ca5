"""The parser of the command line: Lightning's, where a mistake costs one line.

What a mistake comes down to, ``mistakes.py`` finds out; which of the user's own settings it is
about, and in which file that is, is found out here.
"""

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
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from perceptrons.mistakes import PACKAGE, explain, fail, nearest, parameters, reason, shown

# what the short class names of a key are names of
BASES: dict[str, type] = {
    "data": L.LightningDataModule,
    "model.net": nn.Module,
    "model.loss": nn.Module,
    "model.optimizer": Optimizer,
    "model.scheduler": LRScheduler,
    "trainer.callbacks": L.Callback,
    "trainer.logger": Logger,
}
# keys that hold further settings, by their last part
GROUPS = ("model", "trainer", "best", "last", "init_args")
# flags that are read before argparse can find that their value is missing
EARLY = ("config", "name", "resume", "ckpt_path")
# what libraries call a setting in a message otherwise than by its name
ALIASES = {"learning rate": "lr", "beta parameter": "betas", "duration": "max_time"}


class Parser(LightningArgumentParser):
    """Lightning's parser, where a mistake costs one line and a flag is written out in full."""

    origins: "Origins | None" = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        settings = super().parse_args(*args, **kwargs)
        if self.origins and self.exit_on_error and not self._subcommands_action:
            self.origins.check_nulls(settings)
        return settings

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside a parser: the outer one reports
            raise argument_error(message) from ex
        below = (
            self._subcommands_action._name_parser_map.values() if self._subcommands_action else []
        )
        flags = [flag for parser in (self, *below) for flag in parser._option_string_actions]
        line = explain(message, flags, BASES)
        fail(line + (self.origins.of(line) if self.origins else ""), ex)


class Origins:
    """Where settings come from: the config files that a command names, or its flags.

    Args:
        words: The words of the command.

    Raises:
        SystemExit: If a config file cannot be read, or a value is missing.
    """

    def __init__(self, words: list[str]) -> None:
        self.all_words = words
        self.flags: dict[str, str] = {}
        for word, after in pairwise([*words, ""]):
            if word.startswith("--"):
                flag, equals, value = word[2:].partition("=")
                if flag in EARLY and not equals and (not after or after.startswith("--")):
                    fail(f"{flag}: a value is missing")
                path = flag.removesuffix("+").replace("init_args.", "")
                self.flags[path] = value if equals else after
        named = [after for word, after in pairwise(words) if word in ("-c", "--config")]
        named += [word.partition("=")[2] for word in words if word.startswith("--config=")]
        self.configs = {name: read_config(name) for name in named}

    def name(self) -> str | None:
        """Name of the run: as given, or else the config file's."""
        given = self.value("name")
        return (
            str(given)
            if given is not None
            else next((Path(name).stem for name in reversed(self.configs)), None)
        )

    def value(self, path: str) -> Any:
        """A setting as it is given, ``None`` where it is not."""
        if path in self.flags:
            return None if self.flags[path] == "null" else self.flags[path]
        values = [found for config in self.configs.values() for found in within(config, path)]
        return values[-1] if values else None

    def given(self, paths: Iterable[str]) -> dict[str, Any]:
        """Those of some settings that flags give, as YAML reads them."""
        return {path: read(self.flags[path]) for path in paths if path in self.flags}

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
        path = re.split("[=:,]", line, maxsplit=1)[0]
        if line.endswith(": missing"):  # what lacks it may be there
            path = path.rpartition(".")[0]
        files = [name for name, settings in self.configs.items() if within(settings, path)]
        return f" (in {files[-1]})" if files and path not in self.flags else ""

    def every(self) -> dict[str, Any]:
        """All settings that are given, by their paths, but for the names of classes."""
        every: dict[str, Any] = {}
        for config in self.configs.values():
            every |= leaves(config)
        every |= self.given(self.flags)
        return {path: value for path, value in every.items() if path not in BASES}

    def check_nulls(self, settings: Any) -> None:
        """Find what is given as ``null`` and may not be: jsonargparse lets it pass in a class."""
        for path, value in self.every().items():
            parent, _, name = path.rpartition(".")
            class_ = settings.get(f"{parent}.class_path") if parent else None
            parameter = parameters(class_).get(name) if class_ and value is None else None
            if parameter is None or parameter.default in (None, parameter.empty):
                continue
            if not re.search("None|Optional", str(parameter.annotation)):
                default = json.dumps(parameter.default)
                line = f"{path}=null: must have a value; left out, it is {default}"
                fail(line + self.of(line))

    def locate(self, said: str) -> str:
        """What a library says, after the path of the given setting that it is about."""
        every, start = self.every(), re.match(r"(\w+)(=|: )", said)
        if start and start[2] == "=":
            paths = [path for path in every if path.rpartition(".")[2] == start[1]]
            paths.sort(key=lambda path: not said.startswith(f"{start[1]}={every[path]!r}"))
            return said if not paths else paths[0].removesuffix(start[1]) + said
        scope, plain = f".{start[1]}." if start else ".", said.lower()
        for phrase, name in ALIASES.items():
            plain = plain.replace(phrase, name)
        tokens = {token.strip(".") for token in re.split(r"[\s=`'\"()\[\],]+", said)}
        about = []
        for path, value in every.items():
            found = re.search(rf"\b{re.escape(path.rpartition('.')[2].lower())}\b", plain)
            if found and scope in f".{path}":
                about.append((not spellings(value) & tokens, found.start(), path))
        if not about or said.startswith(path := min(about)[2]):
            return said
        return f"{path}={every[path]!r}: {said.removeprefix(start[0] if start else '')}"


def spellings(value: Any) -> set[str]:
    """How a value may be written in a message."""
    return {str(value), str(float(value))} if isinstance(value, int | float) else {str(value)}


def read(text: str) -> Any:
    """The value of a flag, as YAML reads it."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def said_by_class(message: str) -> str:
    """What a class says of its own argument, without what jsonargparse puts round it."""
    said = reason(message)
    return Parser.origins.locate(said) if Parser.origins else said


def within(settings: Any, path: str) -> list[Any]:
    """The values at a path such as ``model.net.hidden`` of a config file, if it is there."""
    found = [settings]
    for key in path.split("."):
        found = [inner[key] for outer in found for inner in mappings(outer) if key in inner]
    return found


def mappings(settings: Any) -> list[dict[str, Any]]:
    """Where the keys of some settings are: in themselves, in a class's, in those of a list."""
    if isinstance(settings, list):
        return [inner for each in settings for inner in mappings(each)]
    if not isinstance(settings, dict):
        return []
    return [settings, *mappings(settings.get("init_args"))]


def leaves(settings: Any, path: str = "") -> dict[str, Any]:
    """The values of a config file by their paths."""
    inner = mappings(settings)
    if not inner:
        return {path: settings}
    found: dict[str, Any] = {}
    for mapping in inner:
        for key, value in mapping.items():
            if key not in ("class_path", "init_args"):
                found |= leaves(value, f"{path}.{key}" if path else str(key))
    return found


def as_flags(settings: dict[str, Any]) -> list[str]:
    """The settings that differ from the defaults, as flags that give them again."""
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in flat(settings).items()
    ]


def flat(settings: dict[str, Any], start: str = "") -> dict[str, Any]:
    """Settings by the names of their flags, without arguments that a class has by default."""
    flags: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and "class_path" in value:
            path = value["class_path"]
            flags[start + key] = path.rpartition(".")[2] if path.startswith(PACKAGE) else path
            defaults = {name: each.default for name, each in parameters(path).items()}
            given = value.get("init_args", {})
            differing = {name: it for name, it in given.items() if it != defaults.get(name)}
            flags |= flat(differing, f"{start}{key}.")
        elif isinstance(value, dict):
            flags |= flat(value, f"{start}{key}.")
        else:
            flags[start + key] = value
    return flags


def read_yaml(path: str, argument: str) -> Any:
    """What a YAML file holds that an argument names."""
    file = Path(path)
    start = f"{argument}={path!r}"
    if path and file.is_dir():
        fail(f"{start}: is a directory")
    if not file.is_file():
        asked = str(file.with_suffix(".yaml")) if path else ""
        fail(f"{start}: no such file{nearest(asked, map(str, file.parent.glob('*.yaml')))}")
    try:
        return yaml.safe_load(file.read_text())
    except UnicodeDecodeError as mistake:
        fail(f"{start}: is not text", mistake)
    except yaml.YAMLError as mistake:
        mark = getattr(mistake, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(getattr(mistake, "problem", mistake)).removeprefix("but ")
        fail(f"{start}: is not YAML{where}: {problem}", mistake)


def read_config(path: str) -> Any:
    settings = read_yaml(path, "config")
    if not isinstance(settings, dict):
        fail(f"config={path!r}: holds no settings, such as 'seed_everything: 777'")
    if "config" in settings:
        fail(f"config: no such key; a config is complete on its own (in {path})")
    if found := misshapen(settings):
        fail(f"{found} (in {path})")
    return settings


def misshapen(settings: Any, path: str = "") -> str:
    """What is wrong with the outline of a config file; empty where nothing is."""
    if not isinstance(settings, dict):
        holds_more = path.rpartition(".")[2] in GROUPS
        return f"{path}={shown(str(settings))}: expected settings, a line for each" * holds_more
    for key in settings:
        if not isinstance(key, str):
            return f"{path}.{key}".lstrip(".") + ": no such key; keys are text"
    keys = ("class_path", "init_args", "dict_kwargs")
    if not settings.keys().isdisjoint(keys):
        for key in settings.keys() - keys:
            return f"{path}.{key}: no such key; a class has class_path and init_args"
    found = (misshapen(each, f"{path}.{key}".lstrip(".")) for key, each in settings.items())
    return next(filter(None, found), "")
