"""What an error is about that a class raises: a setting, or else a line of the user's own code."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from perceptrons.configs import leaves
from perceptrons.mistakes import imported, nearest
from perceptrons.origins import Origins
from perceptrons.parser import BASES
from perceptrons.raised import Raised

# what libraries call a setting in a message otherwise than by its name
ALIASES = {
    "lr": "learning rate",
    "betas": "beta parameter",
    "etas": "eta value",
    "eps": "epsilon",
    "max_time": "duration",
}
# a library's message, the class that it is about, and what to say instead
SAYINGS = {
    "empty parameter list": ("model.net", "has no weights to train"),
    "more than one stateful callback": ("trainer.callbacks", "is there twice, with these settings"),
}


def line_of(failure: BaseException, settings: Any, origins: Origins) -> str:
    """What an error comes down to: the setting it is about and its file, or the place in the code.

    Args:
        failure: The error.
        settings: All settings of the command.
        origins: Where they come from.
    """
    every = settings.as_dict()
    classes = list(classes_of(every))
    raised, given = Raised(failure, classes), origins.every()
    path = named(raised, given, [*leaves(every), *settings.keys(branches=True)])
    name = path.rpartition(".")[2]
    if path and (path not in dict(classes) or raised.said.startswith(f"{name}=")):
        line = path + raised.said.removeprefix(name)
        return line + suggestion(line) + origins.of(line)
    raised.owner = path or raised.owner
    for phrase, (about, instead) in SAYINGS.items():
        if phrase in raised.said:
            raised.said, raised.owner = instead, about
    raised.said = raised.said.removeprefix(f"{raised.owner.rpartition('.')[2]}: ")
    line = about_given(raised, given) or about_class(raised, classes, origins)
    place = "" if path else raised.place()
    return (line.rstrip(".") if place else line) + origins.of(line) + place


def classes_of(settings: Any, path: str = "") -> Iterator[tuple[str, type]]:
    """The classes that settings name, by their paths."""
    if isinstance(settings, list):
        for each in settings:
            yield from classes_of(each, path)
    elif isinstance(settings, dict):
        class_ = imported(str(settings.get("class_path")))
        if class_:
            yield path, class_
        for key, value in settings.items():
            yield from classes_of(value, path if key == "init_args" else f"{path}.{key}".strip("."))


def named(raised: Raised, given: dict[str, Any], names: list[str]) -> str:
    """Path of the setting that a message starts with, as the project's own do: ``name=value: ``.

    Args:
        raised: The error.
        given: The settings that are given.
        names: The paths of all settings.
    """
    start = re.match(r"(\w+)(=|: )", raised.said)
    if not start:
        return ""
    paths = [path.replace("init_args.", "") for path in (*given, *names)]
    paths = [path for path in paths if path.rpartition(".")[2] == start[1]]

    def unlikely(path: str) -> tuple[bool, bool]:
        is_said = path in given and raised.said.startswith(f"{start[1]}={given[path]!r}")
        return not is_said, not path.startswith(raised.owner)

    return min(paths, key=unlikely, default="")


def suggestion(line: str) -> str:
    """``; did you mean ...?`` for a line that lists what to choose from, and does not have it."""
    found = re.match(r"\S+='(.*?)': choose one of ((?:[\w/]+, )*[\w/]+)(?!.*did you mean)", line)
    return nearest(found[1], found[2].split(", ")) if found else ""


def about_given(raised: Raised, given: dict[str, Any]) -> str:
    """A message, after the given setting that it is about; empty if it is about none.

    Args:
        raised: The error.
        given: The settings that are given.
    """
    scope = f"{raised.owner}." * bool(raised.owner)
    mine = {path: it for path, it in given.items() if path.startswith(scope) and path not in BASES}
    signs = [(sign(raised, path.rpartition(".")[2], it), path) for path, it in mine.items()]
    found = sorted((it, path) for it, path in signs if it)
    return f"{found[0][1]}={as_given(mine[found[0][1]])}: {raised.said}" if found else ""


def sign(raised: Raised, name: str, value: Any) -> tuple[int, int] | None:
    """That an error is about a setting: how weak the sign is, and where in a text; or ``None``."""
    tokens = {token.strip(".") for token in re.findall(r"[^\s=`'\"()\[\],]+", raised.said)}
    at, code = mention(name, raised.said), raised.library_code()
    if at >= 0 and spellings(value) & tokens:
        return 0, at
    if at >= 0 and code:  # a library's words, in which the name stands for the setting
        return 1, at
    if code and not raised.plain and (at := mention(name, code)) >= 0:
        return 2, at
    return None


def mention(name: str, text: str) -> int:
    """Where a text has the name of a setting, as itself or otherwise; -1 where it has not."""
    spoken = (name, ALIASES[name]) if name in ALIASES else (name,)
    found = re.search("|".join(rf"\b{re.escape(each)}s?\b" for each in spoken), text, re.I)
    return found.start() if found else -1


def spellings(value: Any) -> set[str]:
    """How a value may be written in a message."""
    if isinstance(value, list):
        return set().union(*map(spellings, value))
    return {str(value), str(float(value))} if isinstance(value, int | float) else {str(value)}


def as_given(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def about_class(raised: Raised, classes: Sequence[tuple[str, type]], origins: Origins) -> str:
    """A message, after the class that it is about, if it is about one.

    Args:
        raised: The error.
        classes: The classes that the settings name, by their paths.
        origins: Where the settings come from.
    """
    tokens = re.findall(r"\w+", raised.said)
    mentioned = (path for path, class_ in classes if class_.__name__ in tokens)
    path = raised.owner or next(mentioned, "")
    if path not in dict(classes):
        return raised.said
    given = origins.value(path)
    given = given.get("class_path") if isinstance(given, dict) else given
    name = given if isinstance(given, str) else dict(classes)[path].__name__
    return f"{path}={name!r}: {raised.said}"
