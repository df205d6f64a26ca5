"""What a user did wrong, said in one line: the argument, what was given, what is allowed, and the nearest name.

jsonargparse reports a mistake as a tree of all that it tried, over many lines; the facts a user needs are picked out
of that here.
"""

import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn

import lightning as L
from jsonargparse._util import argument_error
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

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
    """Lightning's parser, where a mistake costs one line and a flag must be written out in full."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside a parser: the outer one reports
            raise argument_error(message) from ex
        fail(explain(message, self._option_string_actions), ex)


def fail(line: str, cause: BaseException | None = None, status: int = 2) -> NoReturn:
    """End the program with one line and an exit status; with ``PERCEPTRONS_DEBUG=1`` raise the cause instead."""
    if os.environ.get("PERCEPTRONS_DEBUG") and cause is not None:
        raise cause
    print(f"perceptrons: error: {' '.join(line.split())}", file=sys.stderr)
    raise SystemExit(status)


def explain(message: str, flags: Iterable[str]) -> str:
    """A message of jsonargparse's in one line.

    Args:
        message: The message.
        flags: All flags there are, such as ``--trainer.max_epochs``.
    """
    if found := re.search(r"unrecognized arguments: ([^\s=]+)", message):
        return f"{found[1]}: no such argument{nearest(found[1], flags)}"
    if found := re.search(r"does not accept (?:option|key) '([^']+)'|Key \"([^\"]+)\" is not expected", message):
        key = found[1] or found[2]
        return f"{key}: no such key{nearest(key, [flag.lstrip('-') for flag in flags])}"
    if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
        return f"{found[1]}: no such command; {choose(found[1], words(found[2]))}"
    path = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    return explain_value(path, message) if path else message


def explain_value(path: str, message: str) -> str:
    """What is wrong with the value at a path such as ``model.net.activation``."""
    if found := re.search(r"Option '([^']+)' is not accepted", message):
        classes = re.findall(r"class_path(?:=| )'([\w.]+)'", message)
        names = parameters(classes[-1]) if classes else []
        return f"{path}.{found[1]}: no such argument{nearest(found[1], names)}"
    given = re.findall(r"(?:Got value|Given value): (.+?)(?:\. Got value.*)?$", message, re.M)
    start = f"{path}={given[0] if given else ''!r}"
    if found := re.search(r"Literal\[([^\]]+)\]", message):
        return f"{start}: {choose(given[0], words(found[1]))}"
    if found := re.search(r"dot import path string: (\S+)|has no attribute '(\w+)'|Got value: (\S+)$", message):
        if path in BASES:
            return f"{path}={given[0]!r}: no such class{nearest(given[0], names_of(BASES[path]))}"
    kinds = dict.fromkeys(re.findall(r"Expected a <class '(?:[\w.]+\.)?(?!NoneType)(\w+)'>", message))
    return f"{start}: expected {' or '.join(kinds)}" if kinds else f"{path}: {message.partition(':')[2]}"


def words(text: str) -> list[str]:
    return re.findall(r"[-\w]+", text)


def choose(given: str, choices: list[str]) -> str:
    return f"choose one of {', '.join(choices)}{nearest(given, choices)}"


def nearest(given: str, names: Iterable[str]) -> str:
    """``; did you mean ...?`` where a name is near what was given."""
    return "".join(f"; did you mean {name}?" for name in get_close_matches(given, list(names), 1))


def parameters(class_path: str) -> list[str]:
    """Names of all parameters of a class and of the classes it passes them on to."""
    module, _, name = class_path.rpartition(".")
    classes = inspect.getmro(getattr(importlib.import_module(module), name))
    return [name for class_ in classes if "__init__" in vars(class_) for name in inspect.signature(class_).parameters]


def names_of(base: type) -> list[str]:
    """Short names of a class's subclasses that are imported."""
    found: dict[str, None] = {}
    for subclass in base.__subclasses__():
        found |= dict.fromkeys([subclass.__name__, *names_of(subclass)])
    return list(found)
