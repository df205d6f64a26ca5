"""How a mistake ends the program: in one line on stderr, with exit status 2 and no traceback."""

import argparse
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NoReturn

PACKAGE = __package__.partition(".")[0]
DEBUG = f"{PACKAGE.upper()}_DEBUG"
LAB = Path(__file__).parents[1]
# where the files lie that are not the user's
NOT_OURS = ("site-packages", "dist-packages")
# how alike two names have to be for one to be meant by the other
NEAR = 0.65
# letters that a line has at most: what a library says may go on for pages
LONGEST = 1200
# errors whose message says enough without their name
PLAIN = (ValueError, TypeError, RuntimeError, OSError)
# what torch says of a loss or a network of one's own, and whose mistake that is
NO_LOSS = {
    r"grad can be implicitly created only.*": "loss: gives a number for each row; mean() makes one",
    r"element 0 of tensors does not require.*": "loss: is detached from the weights",
    r"'(\w+)' object has no attribute 'backward'": r"loss: gives a \1, which is no tensor",
    r"Target size \(torch.Size\(\[(.*)\]\)\) must .*Size\(\[(.*)\]\)\)": (
        r"net: outputs of shape (\2), and targets of shape (\1)"
    ),
}


# lines of jsonargparse's message that say what was tried, not what is wrong
TRIED = re.compile(
    r"\s*$|Subtypes:|Errors:|Given value|Does not validate|Problem with given|Subclass types expect"
    r"|Expected a (path|dot import path|<class)|a class path|a dict with|Parser key \"[^\"]*\":$"
)
CHOICES = re.compile(r"one of|any of|choose|Literal|must be|available|known|network:", re.I)
WHOLE = re.compile(r"[\[(]*({|Namespace|NestedArg)")


def fail(line: str, cause: BaseException | None = None, status: int = 2) -> NoReturn:
    """End with one line on stderr.

    Args:
        line: The setting, what was given, and what is expected.
        cause: The error behind it: raised instead where ``<PACKAGE>_DEBUG=1`` asks for it.
        status: The exit status: 2 for a mistake in the command, 1 for a failure of the run.
    """
    if os.environ.get(DEBUG) and cause is not None:
        raise cause
    with suppress(OSError):  # a full disk
        sys.stdout.flush()
        print(f"error: {one_line(line)}", file=sys.stderr, flush=True)
    raise SystemExit(status)


def one_line(text: str) -> str:
    """Text in one line, without control characters."""
    line = " ".join(text.split())
    line = "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def nearest(given: str, names: Iterable[str]) -> str:
    """``; did you mean ...?`` where a name is near to what was given; else nothing."""
    near = [(likenesses(given, name), name) for name in names]
    near = [each for each in near if each[0][0] >= NEAR]
    # of those as long as what was given, where there are such
    alike = [each for each in near if each[1].count(".") == given.count(".")] or near
    best = max(alike)[1] if alike else given
    return f"; did you mean {best}?" if best != given else ""


def likenesses(one: str, other: str) -> tuple[float, float]:
    """How alike two names are: in that part between dots which differs most, and as a whole."""
    first, second = (name.strip("-").lower() for name in (one, other))
    parts = zip(reversed(first.split(".")), reversed(second.split(".")), strict=False)
    least = min(SequenceMatcher(None, *pair).ratio() for pair in parts)
    return least, SequenceMatcher(None, first, second).ratio()


def with_suggestion(line: str, more: Iterable[str] = ()) -> str:
    """A line with the nearest name to what it quotes, among the choices it tells and some more."""
    found = re.search(r"given '([\w.+/-]+)'$", line) or re.search(r"'([\w.+/-]+)'", line)
    if not found or "did you mean" in line:
        return line
    choices = CHOICES.split(line.replace(f"'{found[1]}'", " "), maxsplit=1)[1:]
    own = re.findall(r"[A-Za-z_][\w./-]*\w", "".join(choices))
    return line + nearest(found[1], [*own, *more])


def line_of(error: BaseException, owner: str = "", classes: Collection[Any] = ()) -> str:
    """An error that a class has raised: whose it is, its message, and the user's file and line.

    Args:
        error: The error.
        owner: Name of the class or of the setting that it comes from, where that is known.
        classes: Classes that the settings name; the owner is the one in whose method it was raised.
    """
    error = first_cause(error)
    owner = owner or owner_of(error, classes)
    said = next(filter(None, (line.strip() for line in str(error).splitlines())), "")
    for torchs, plain in NO_LOSS.items():
        if found := re.fullmatch(torchs, said):
            return found.expand(plain) + place_in_code(error)
    name = type(error).__name__
    if not said or not (isinstance(error, PLAIN) or name == "MisconfigurationException"):
        said = f"{name}: {said}".removesuffix(": ")
    if owner and not re.match(rf"(\w+\.)*{re.escape(owner)}\b", said):
        said = f"{owner}: {said}"
    # a message that names a setting needs no place in the code, nor what a library's class refuses
    refused = re.match(r"(\w+: )?\w[\w.]*(=.*?)?: ", said) and is_plain(error)
    place = "" if refused or is_refused_by_library(error) else place_in_code(error)
    return with_suggestion(said) + place


def owner_of(error: BaseException, classes: Collection[Any]) -> str:
    """Name of the innermost of some classes in whose method an error was raised."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    # an optimizer that calls a closure has no part in what happens there
    own = [each.f_locals.get("self") for each in frames if "closure" not in each.f_locals]
    return next((type(each).__name__ for each in own[::-1] if type(each) in classes), "")


def is_plain(error: BaseException) -> bool:
    """Whether an error is of the kind by which the project's own code refuses a value."""
    frames = [*frames_of(error)]
    return (
        isinstance(error, ValueError) and bool(frames) and frames[-1][0].is_relative_to(LAB.parent)
    )


def is_refused_by_library(error: BaseException) -> bool:
    """Whether a library's class, such as an optimizer, refuses what it is made with."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    made = isinstance(error, ValueError) and bool(frames)
    made = made and frames[-1].f_code.co_name == "__init__"
    return made and not is_users(Path(frames[-1].f_code.co_filename))


def first_cause(error: BaseException) -> BaseException:
    """The first cause of an error, or the refusal of the project's own that it led to."""
    while error.__cause__ is not None and not is_plain(error):
        error = error.__cause__
    return error


def place_in_code(error: BaseException) -> str:
    """``; at <file>:<line>`` where the user's own code raised an error, or called what did."""
    for file, line in reversed([*frames_of(error)]):
        if is_users(file):
            return f"; at {relative_path(file)}:{line} ({DEBUG}=1 shows the traceback)"
    return ""


def frames_of(error: BaseException) -> Iterator[tuple[Path, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield Path(frame.f_code.co_filename), line


def is_users(file: Path) -> bool:
    """Whether a file is the user's: no library's, and not of the lab."""
    library = set(NOT_OURS) & set(file.parts) or file.is_relative_to(
        Path(sysconfig.get_path("stdlib"))
    )
    return file.is_absolute() and not library and not file.is_relative_to(LAB)


def relative_path(file: Path) -> str:
    """A file by its path from here."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def reason(message: str, given: str) -> str:
    """The innermost line of a message of jsonargparse's, on a class that cannot be made."""
    # of a file that is read where a class could stand the first line is enough
    message = re.sub(r"(?m)^( *)(- .*path string: .*)(?:\n\1  .*)*", r"\1\2", message)
    lines = message.partition("\n  Given value type:")[0].splitlines()
    left = [line for line in lines if not TRIED.match(line.lstrip(" -"))] or (lines[1:] and [""])
    line = max(left or lines, key=lambda line: len(line) - len(line.lstrip(" -")))
    line = re.sub(r'^[ -]*(Parser key "[^"]*": )?(.*callable class: )?|\. Got value: .*', "", line)
    return "; ".join([line or "no such class", *([f"given {given!r}"] if given else [])])


def value_in(message: str, path: str) -> str:
    """The value that a message of jsonargparse's is about, where it can be told."""
    found = re.findall(r"(?:Given value|Got value|path string): (.*)$", message, re.M)
    nested = re.fullmatch(r"NestedArg\(key='([\w.]+)', val=(.*)\)", found[-1]) if found else None
    if nested:  # a flag, of which this is the value or of which it holds another
        plain = [nested[2]] if path.endswith(nested[1]) else []
    else:  # of many settings another could be blamed, but not of a text that is none
        is_text = "Given value type: <class 'str'>" in message
        plain = [each for each in found if is_text or not WHOLE.match(each)]
        plain = [each.partition(". Got value")[0] for each in plain]
    return {"None": "null"}.get(plain[0], plain[0].strip("'")) if plain else ""


class Parser(argparse.ArgumentParser):
    """The parser of a verb that trains nothing: no abbreviations, and a mistake is one line."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(f"{PACKAGE} {verb}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"unrecognized arguments: ([^\s=]+)", message):
            flags = [flag for action in self._actions for flag in action.option_strings]
            fail(f"{found[1]}: no such argument{nearest(found[1], flags)}")
        if found := re.search(r"arguments are required: (.*)", message):
            fail(f"{found[1]}: must be given; {self.prog} --help tells what it is")
        fail(with_suggestion(message.removeprefix("argument ")))
