"""The kinds of value that an argument takes, as its type says."""

import collections.abc
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import Enum
from pathlib import PurePath
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .text import escaped, shortened

# a function that makes one of these stands for the class, and its settings
FACTORIES = {"torch.optim.optimizer.Optimizer", "torch.optim.lr_scheduler.LRScheduler"}
PLAIN = (str, int, float, complex, NoneType, bytes, PurePath, timedelta, Enum)

LONGEST = 120  # letters of a name that are shown

Kinds = frozenset[Any]
# of what could not be found out: text there must not be the name of anything
UNSURE: Kinds = frozenset({Callable, Any})


def full_name(found: Any) -> str:
    return f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"


def parameters(class_type: Any) -> dict[str, inspect.Parameter]:
    """Parameters of a class, and of the classes that it passes others on to."""
    return {name: parameter for name, (_, parameter) in constructors(class_type).items()}


def parameter_kinds(class_: type) -> dict[str, tuple[Kinds, Any]]:
    """Kinds and default of each parameter of a class."""
    every = constructors(class_).items()
    return {name: (kinds_of(each, made), each.default) for name, (made, each) in every}


def imported_class(class_path: Any) -> Any:
    """A class that settings name, which the parser has imported."""
    module, _, name = str(class_path).rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def constructors(class_type: Any) -> dict[str, tuple[Any, inspect.Parameter]]:
    """The function that has it, and the parameter, by its name."""
    found: dict[str, tuple[Any, inspect.Parameter]] = {}
    for each in inspect.getmro(class_type) if isinstance(class_type, type) else ():
        made = inspect.unwrap(vars(each).get("__init__") or object.__init__)
        if not inspect.isfunction(made):
            continue
        _, *own = inspect.signature(made).parameters.values()
        named_so = [p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        found = {p.name: (made, p) for p in named_so} | found
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    return found


def kinds_of(parameter: inspect.Parameter, made: Any) -> Kinds:
    """The kinds of a parameter: what its type is made of."""
    hint = parameter.annotation
    if hint is parameter.empty:  # the parser goes by the default's type
        known = parameter.default is parameter.empty or isinstance(
            parameter.default, (*PLAIN, list, tuple, dict)
        )
        return frozenset({Any}) if known else UNSURE
    if isinstance(hint, str):
        try:  # the annotation is code of a class that is imported and trusted
            hint = eval(hint, made.__globals__)
        except Exception:  # a name that is imported for type checkers only
            return UNSURE
    return kinds(hint)


def kinds(hint: Any) -> Kinds:
    """What a type is made of, whatever holds it: classes, plain types, and functions."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return frozenset({str})
    if origin is Annotated:
        return kinds(inner[0])
    if hint in (collections.abc.Callable, Callable, type) or origin is type:
        return frozenset({Callable})
    if origin is collections.abc.Callable:
        made = kinds(inner[-1]) if inner else frozenset()
        return made if made and all(map(by_factory, made)) else frozenset({Callable})
    if origin in (Union, UnionType):
        return frozenset().union(*map(kinds, inner))
    if isinstance(origin, type) and issubclass(origin, Iterable):
        held = [kinds(each) for each in inner if each is not Ellipsis] or [UNSURE]
        holds = {Mapping} if issubclass(origin, Mapping) else set()
        return frozenset(holds).union(*held)
    if hint is None or hint is NoneType:
        return frozenset({NoneType})
    if hint in (Any, object):
        return frozenset({Any})
    known = isinstance(hint, type) and not (
        issubclass(hint, list | tuple | set | Mapping | ModuleType)
        or getattr(hint, "_is_protocol", False)
    )
    return frozenset({hint}) if known else UNSURE


def by_factory(kind: Any) -> bool:
    mro = kind.__mro__ if isinstance(kind, type) else ()
    return bool(FACTORIES & {full_name(each) for each in mro})


def is_plain(wanted: Kinds) -> bool:
    """Whether text stays text."""
    return all(
        each is Mapping or (isinstance(each, type) and issubclass(each, PLAIN)) for each in wanted
    )


def bases(wanted: Kinds) -> list[Any]:
    """The classes among some kinds, which an object can be of."""
    markers = (Mapping, Callable, Any)
    return [
        each
        for each in wanted
        if each not in markers and isinstance(each, type) and not issubclass(each, PLAIN)
    ]


def brief(given: Any) -> str:
    """What is shown of a name from a file."""
    return shortened(escaped(str(given)), LONGEST)


def is_inside(name: str, *prefixes: str) -> bool:
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)


def below_by_name(base: type, name: str) -> list[type]:
    """The classes of a name that are a class or below it, as far as they are imported."""
    direct: list[type] = type.__subclasses__(base)
    # a class that a function has made, as of spans, is found by no name
    own = [base] if base.__name__ == name and "<" not in base.__qualname__ else []
    return own + [found for each in direct for found in below_by_name(each, name)]
