"""What a person has said to trust: on the command line, in the project's file, by naming it."""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

PACKAGE = __name__.partition(".")[0]
# keys of the classes that a user chooses
CHOSEN = ("data", "model", "net", "loss", "optimizer", "scheduler", "callbacks", "logger")


def names(words: list[str], settings: Iterable[Any] = ()) -> list[str]:
    """What a person trusts: by ``--trust``, in the project's file, and by naming a class.

    Args:
        words: The words of a command.
        settings: Settings that the person has given: config files, and flags by their paths.
    """
    typed = [after for word, after in pairwise(words) if word == "--trust"]
    typed += [word.partition("=")[2] for word in words if word.startswith("--trust=")]
    split = [name for each in typed for name in re.split(r"[\[\],\s\"']+", each)]
    return [
        *filter(None, split),
        *project_names(),
        *(n for each in settings for n in classes_in(each)),
    ]


def without_trust(words: list[str]) -> list[str]:
    """A command's words but for ``--trust``, which is no setting of a run."""
    pairs = zip(["", *words], words, strict=False)
    return [w for before, w in pairs if "--trust" not in (before, w.partition("=")[0])]


def project_names() -> list[str]:
    """What the project's own ``pyproject.toml`` trusts; a run's directory has no say in it."""
    package = Path(str(sys.modules[PACKAGE].__file__)).resolve().parent
    folders = {package.parents[1] if package.parent.name == "src" else package.parent}
    here = Path.cwd()
    if not any((each / "config.yaml").exists() for each in (here, *here.parents)):
        folders.add(here)
    found: list[str] = []
    for folder in sorted(folders):
        with suppress(OSError, ValueError):
            content: Any = tomllib.loads((folder / "pyproject.toml").read_text())
            listed = content.get("tool", {}).get(PACKAGE, {}).get("trust", [])
            found += [str(name) for name in listed if name]
    return found


def classes_in(settings: Any, key: str = "") -> Iterator[str]:
    """The classes that settings name, by their full names."""
    if isinstance(settings, Mapping):
        for name, each in settings.items():
            yield from classes_in(
                each, key if name == "class_path" else str(name).rpartition(".")[2]
            )
    elif isinstance(settings, list):
        for each in settings:
            yield from classes_in(each, key)
    elif key in CHOSEN and isinstance(settings, str) and "." in settings:
        yield settings


def as_word(settings: Any) -> str:
    """Settings as a word of a command, which no file can have for its name: it is too long."""
    dumped = yaml.safe_dump(settings, sort_keys=False, default_flow_style=True, width=sys.maxsize)
    return dumped.strip() + 256 * " "
