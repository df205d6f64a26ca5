"""How a mistake ends the program: in one line, picked out of what a library says over many.

The facts that a user needs are the argument, what was given, what is allowed, and what is near.
"""

import ast
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, NoReturn

from perceptrons.commands import COMMANDS

PACKAGE = f"{__package__}."

# how alike two names have to be for one to be meant by the other
NEAR = 0.65
# messages of argparse's and jsonargparse's about the command, and what to say instead
SAYINGS = {
    r"argument (?:\S+/)?--(\S+): expected (?:one|\d+) arguments?": "{0}: a value is missing",
    r'Linked "(\S+)" must be given via': "{0}: comes from the data; leave it out",
    r"not accepted before subcommand '(\w+)'": "config: goes after the command, as in {0} --config",
    r'Parser key "(\S+)": Unable to load config "(.*)"': "{0}={1!r}: no such config file",
    r'Invalid option "(.*)" for --(\S+)': "{1}={0!r}: no such option",
}
# arguments of the classes at some keys that are none of the user's
ALREADY_GIVEN = {
    "model.net": ("inputs", "outputs"),
    "model.optimizer": ("params",),
    "model.scheduler": ("optimizer",),
}
# what a setting expects, where that is clearer than the name of the type
KINDS = {
    "str": "text, in a config between quotes",
    "bool": "true or false",
    "tuple": "list",
    "Sequence": "list",
    "Iterable": "list",
}


def fail(line: str, cause: BaseException | None = None, status: int = 2) -> NoReturn:
    """End with one line and a status; with ``PERCEPTRONS_DEBUG=1``, raise the cause."""
    if os.environ.get("PERCEPTRONS_DEBUG") and cause is not None:
        raise cause
    print(f"perceptrons: error: {' '.join(line.split())}", file=sys.stderr)
    raise SystemExit(status)


def choose(given: str, choices: list[str], more: str = "") -> str:
    return f"choose one of {', '.join(choices)}{more}{nearest(given, choices)}"


def nearest(given: str, names: Iterable[str]) -> str:
    """``; did you mean ...?`` where a name is near to what was given."""
    likeness, near = max(((likenesses(given, name), name) for name in names), default=((0.0,), ""))
    return f"; did you mean {near}?" if likeness[0] >= NEAR else ""


def nearest_path(given: str, names: Iterable[str]) -> str:
    """The same for a path such as ``modle.net.hidden``, whose start may be all that is wrong."""
    names = [*names]
    start, dot, rest = given.partition(".")
    starts = {name.partition(".")[0] for name in names}
    hint = nearest(given, names)
    if hint or not dot or start in starts:
        return hint
    hint = nearest(start, starts)
    return f"{hint.removesuffix('?')}.{rest}?" if hint else ""


def likenesses(one: str, other: str) -> tuple[float, float]:
    """How alike two names are: in that part between dots which differs most, and as a whole."""
    first, second = (name.strip("-").lower() for name in (one, other))
    parts = zip(reversed(first.split(".")), reversed(second.split(".")), strict=False)
    least = min(SequenceMatcher(None, *pair).ratio() for pair in parts)
    return least, SequenceMatcher(None, first, second).ratio()


def explain(message: str, flags: Iterable[str], bases: Mapping[str, type]) -> str:
    """A message of jsonargparse's in one line.

    Args:
        message: The message.
        flags: All flags there are, such as ``--trainer.max_epochs``.
        bases: What the classes that a key takes are subclasses of.
    """
    for pattern, line in SAYINGS.items():
        if found := re.search(pattern, message):
            return line.format(*found.groups())
    keys = re.findall(r'Parser key "([^"]+)"', message)
    path = ".".join(key for key, _ in groupby(keys))
    if found := re.search(r"unrecognized arguments: ([^\s=]+)", message):
        if path:
            return explain_option(path, found[1].lstrip("-"), message, bases.get(path))
        flag = found[1].startswith("-")
        hint = nearest_path(found[1], flags) if flag else "; a file goes after --config"
        return f"{found[1]}: no such argument{hint}"
    if found := re.search(r"does not accept option '([^']+)'|Key \"(.+?)\" is not exp", message):
        key = found[1] or found[2]
        return f"{key}: no such key{nearest_path(key, [flag.lstrip('-') for flag in flags])}"
    if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
        return f"{found[1]}: no such command; {choose(found[1], [*words(found[2]), *COMMANDS])}"
    if found := re.search(r"\{(.*)\}, but it was not provided", message):
        return f"no command; choose one of {', '.join([*words(found[1]), *COMMANDS])}"
    if found := re.search(r"^--(\S+)\.help: ", message):
        return explain_value(f"{found[1]}.help", message, bases.get(found[1]))
    if path:
        return explain_value(path, message, bases.get(path))
    if found := re.search(r"arguments are required: (.*)", message):
        missing = re.sub(r"\b\w+\.(?=data|model)", "", found[1])
        return f"{missing}: missing; a config has them, such as --config configs/xor.yaml"
    return reason(message)


def explain_value(path: str, message: str, base: type | None) -> str:
    """What is wrong with the value at a path such as ``model.net.activation``."""
    given = value(message)
    if base and imported(given) is base:
        return is_base(path, base)
    if found := re.search(r"arguments are required: ([\w, ]+)", message):
        return f"{', '.join(f'{path}.{name}' for name in words(found[1]))}: missing"
    if found := re.search(r"Option '([^']+)' is not accepted", message):
        return explain_option(path, found[1], message, base)
    found = re.search(r"NestedArg\(key='([^']+)'", message)
    if found and not path.endswith(found[1]):
        return f"{path}.{found[1]}: no such argument"
    start = f"{path}={shown(given)}"
    if found := re.search(r"avoid ambiguity: (.*)\.", message):
        return f"{start}: several classes have this name; choose one of {found[1]}"
    kinds = re.findall(r"Expected (?:a )?<class '(?:[\w.]+\.)?(?!NoneType)(\w+)'>", message)
    if literals := re.findall(r"Expected (?:a )?typing.Literal\[([^\]]+)\]", message):
        choices = [word for literal in literals for word in words(literal)]
        choices += ["true", "false"] if "bool" in kinds else []
        more = ", or a class by its full name" if base else ""
        return f"{start}: {choose(given, list(dict.fromkeys(choices)), more)}"
    if base:
        what = "is abstract" if "is abstract" in message else "no such class"
        return f"{start}: {what}; {choose_class(path, given, base)}"
    if kinds:
        expected = dict.fromkeys(KINDS.get(kind, kind) for kind in kinds)
        return f"{start}: expected {' or '.join(expected)}"
    return f"{start}: {reason(message.partition(':')[2])}"


def explain_option(path: str, option: str, message: str, base: type | None) -> str:
    """What is wrong with an argument of the class at a path."""
    before, _, after = message.partition(f"Option '{option}'")
    pattern = r"class_path(?:=| )'([\w.]+)'"
    classes = re.findall(pattern, before)[-1:] or re.findall(pattern, after)[:1]
    class_ = imported(classes[0]) if classes else None
    if base and class_ in (None, base):
        return f"{path}: no class is given; {choose_class(path, '', base)}"
    names = parameters(classes[0]) if classes else {}
    choices = [name for name in names if name not in ALREADY_GIVEN.get(path, ())]
    allowed = f"choose one of {', '.join(choices)}" if choices else "it takes none"
    near = nearest(f"{path}.{option}", [f"{path}.{name}" for name in choices])
    return f"{path}.{option}: no such argument; {allowed}{near}"


def is_base(path: str, base: type) -> str:
    """That the class at a path is the base of those that it can be."""
    return f"{path}={base.__name__!r}: is abstract; {choose_class(path, '', base)}"


def choose_class(path: str, given: str, base: type) -> str:
    """The classes to choose from, by their names."""
    names = sorted({class_.__name__ for class_ in classes(path, base)})
    more = ", or another by its full name"
    return choose(given.strip("[]'").rpartition(".")[2], names, more)


def classes(path: str, base: type) -> list[type]:
    """The classes at a path: the package's own, and the library's where they are few."""
    library = base.__module__.rpartition(".")[0]
    few = library != "torch.nn.modules"
    return [
        class_
        for class_ in below(base)
        if class_.__module__.startswith((PACKAGE, library) if few else PACKAGE)
        and not (inspect.isabstract(class_) or class_.__name__.startswith("_"))
        and (not path.startswith("model.net") or is_network(class_))
        and (not path.startswith("model.loss") or is_loss(class_))
    ]


def is_network(class_: type) -> bool:
    """Whether a class is told how many inputs there are, and needs to know no more but outputs."""
    given = parameters(f"{class_.__module__}.{class_.__qualname__}")
    needed = {name for name, each in given.items() if each.default is each.empty}
    return "inputs" in given and needed <= {"inputs", "outputs"}


def is_loss(class_: Any) -> bool:
    """Whether a class takes logits and targets, and needs to be told nothing before."""
    given = parameters(f"{class_.__module__}.{class_.__qualname__}").values()
    free = all(each.default is not each.empty for each in given)
    return free and len(inspect.signature(class_.forward).parameters) == 3


def reason(message: str) -> str:
    """What a message comes down to, where it lists all that was tried."""
    message = re.sub(r"Problem with given class_path .*:\s*", "", message)
    tried = re.findall(r"^ *- (.*)$", message.partition("Errors:")[2], re.M)
    tried = [each for each in tried if not re.search("NoneType|^Does not validate", each)]
    tried.sort(key=lambda each: each.startswith("Expected a <class"))  # says less than others
    return re.sub(r"^Not of type \w+: ", "", next(iter(tried), message))


def value(message: str) -> str:
    """The value that a message is about: the innermost, where it is nested."""
    starts = r"(?:Got value: |Given value: |path string: |spec, but got |a path but |with name )"
    ends = r"(?:\. Got value.*|\. Give the full.*| either not accessible.*)?$"
    found = re.search(rf"{starts}(.+?){ends}", message, re.M)
    given = found[1] if found else ""
    classes = re.match(r"Namespace\(class_path='([^']*)'|\{'class_path': '([^']*)'", given)
    if classes:
        return classes[1] or classes[2]
    unknown = re.search(r"given class_path '([^']*)'", message)
    return given if found or not unknown else unknown[1]


def shown(given: str) -> str:
    """A value as it was given: text between quotes, and all else as it is."""
    if given in ("None", "null"):
        return "null"
    try:
        ast.literal_eval(given)
    except (ValueError, SyntaxError):
        return repr(given)
    return given


def words(text: str) -> list[str]:
    return re.findall(r"[-\w]+", text)


def imported(class_path: str) -> type | None:
    """A class by its full name, ``None`` where there is none."""
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None
    return found if isinstance(found, type) else None


def parameters(class_path: str) -> dict[str, inspect.Parameter]:
    """Parameters of a class, and of the classes that it passes others on to."""
    found: dict[str, inspect.Parameter] = {}
    for class_ in inspect.getmro(imported(class_path) or object):
        if "__init__" not in vars(class_):
            continue
        _, *own = inspect.signature(vars(class_)["__init__"]).parameters.values()
        kinds = {parameter.kind for parameter in own}
        named = {
            each.name: each
            for each in own
            if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        }
        found = named | found
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return found


def below(base: type) -> list[type]:
    """The subclasses of a class, as far as they are imported."""
    direct: list[Any] = base.__subclasses__()
    return direct + [each for class_ in direct for each in below(class_)]
