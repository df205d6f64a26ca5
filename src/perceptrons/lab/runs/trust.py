"""What settings that come from a stranger may name: looked at before anything is imported or made.

A checkpoint, and the ``config.yaml`` of a run that is resumed, are data. The parser would import
whatever module they name, and call whatever stands where a function goes; so each class that they
name is looked up here first, among what is imported already, and has to be of a kind that its
place takes. What comes out is all that the parser gets to see, with every class by its full name.
"""

import dataclasses
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast

import yaml

from .kinds import (
    UNSURE,
    Kinds,
    bases,
    below_by_name,
    brief,
    full_name,
    is_inside,
    is_plain,
    kinds,
    parameter_kinds,
)

PACKAGE = __name__.partition(".")[0]
# whose classes anyone's settings may name
PREFIXES = (PACKAGE, "torch.nn", "torch.optim", "lightning.pytorch")
# examples of Lightning's, which fetch data from elsewhere and write it down; and what is the lab's
LEFT_OUT = ("lightning.pytorch.demos", f"{PACKAGE}.lab")
LET_IN = (f"{PACKAGE}.lab.data", f"{PACKAGE}.lab.training.loggers")
# what is a function by its very nature
OF_FUNCTIONS = {
    "torch.optim.lr_scheduler.LambdaLR",
    "torch.optim.lr_scheduler.MultiplicativeLR",
    "lightning.pytorch.callbacks.lambda_function.LambdaCallback",
}
# what a checkpoint supplies
SUPPLIED = ("seed_everything", "data", "model", "trainer", "seeds", "grid", "folds")
# a setting by whose name something is written
PLACE = re.compile(r"(^|_)(dir|root|path|folder|directory)$|dirpath$")
# text where a class could stand, which names nothing
WORD = re.compile(r"[\w+-]*")
SPEC = {"class_path", "init_args", "dict_kwargs"}
# more values than a config has; aliases in a YAML file can stand for billions
MOST = 1_000_000


class TrustError(ValueError):
    """Settings of a stranger's that name what nobody has said to trust."""


def supplied(settings: Any, takes: Mapping[str, type], trusted: Iterable[str] = ()) -> Any:
    """What a checkpoint's settings supply: seed, data, model and precision.

    Args:
        settings: Its settings, which may be anything.
        takes: For each section the class that it holds the arguments of; for ``data``, whose
            subclass it names.
        trusted: Packages and classes that a person has said to trust.

    Raises:
        TrustError: If they hold anything else, or name a class that is not to be trusted.
    """
    sections = mapping_of(settings, "settings")
    precise = mapping_of(sections.get("trainer"), "trainer")
    extra = [f"{key}" for key in sections if key not in SUPPLIED]
    extra += [f"trainer.{key}" for key in precise if key != "precision"]
    if extra:
        raise TrustError(
            f"{brief(extra[0])}: a checkpoint supplies seed, data, model and precision"
        )
    return Guard(trusted).sections(sections, takes)


def resumed(
    settings: Any, takes: Mapping[str, type], run: Path, trusted: Iterable[str] = ()
) -> Any:
    """The settings of a run that is gone on with, with which nothing is written outside of it.

    Args:
        settings: What its ``config.yaml`` holds.
        takes: As for ``supplied``.
        run: The run's directory.
        trusted: Packages, classes and directories that a person has said to trust.

    Raises:
        TrustError: If they name a class or a place that is not to be trusted.
    """
    trusted = [*trusted]
    kept = Guard(trusted).sections(mapping_of(settings, "settings"), takes)
    kept.pop("trust", None)
    kept.get("trainer", {}).pop("default_root_dir", None)  # it goes on where it is
    within = [run.resolve(), *(Path(each).resolve() for each in trusted)]
    for section in ("trainer", *(name for name in takes if name not in ("data", "model"))):
        check_places(kept.get(section), section, within)
    return kept


class Guard:
    """Looks at settings, value by value.

    Args:
        trusted: Packages and classes that a person has said to trust.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self.trusted = tuple(trusted)
        self.left = MOST

    def sections(self, settings: Mapping[Any, Any], takes: Mapping[str, type]) -> dict[str, Any]:
        """Settings with each section as the class takes it that it is for."""
        try:
            return {
                key: self.value(given, kinds(takes.get(key, str)), key)
                if key in ("data", "model") or key not in takes
                else self.arguments(given, takes[key], key)
                for key, given in settings.items()
                if checked_key(key, "")
            }
        except RecursionError as mistake:
            raise TrustError("settings: are nested too deep") from mistake

    def value(self, given: Any, wanted: Kinds, path: str) -> Any:
        """A value, if it may stand where some kinds are wanted."""
        self.left -= 1
        if self.left < 0:
            raise TrustError(f"settings: hold more than {MOST:,} values")
        if isinstance(given, str):
            return given if is_plain(wanted) else self.text(given, wanted, path)
        if given is None or isinstance(given, bool | int | float | date):
            return given
        if isinstance(given, list | tuple):
            return [self.value(each, wanted, path) for each in given]
        if isinstance(given, Mapping):
            return self.mapping(given, wanted, path)
        raise TrustError(f"{brief(path)}: holds a {type(given).__name__}, which is no setting")

    def text(self, given: str, wanted: Kinds, path: str) -> Any:
        """Text where more than text is wanted: what the parser would read in it."""
        with suppress(yaml.YAMLError):
            read = yaml.safe_load(given)
            if not isinstance(read, str):
                return self.value(read, wanted, path)
        classes, imports = bases(wanted), bool(bases(wanted)) or Callable in wanted
        of_class = any(below_by_name(base, given) for base in classes)
        if of_class or (imports and ("." in given or not wanted & {str, Any})):
            return {"class_path": self.name_of(self.class_(given, wanted, path), given)}
        # the parser would read a file, or an address, as more settings
        if imports and (os.path.isfile(given) or not WORD.fullmatch(given)):
            raise TrustError(
                f"{brief(path)}={brief(given)!r}: is no class, and no file is read here"
            )
        return given

    def mapping(self, given: Mapping[Any, Any], wanted: Kinds, path: str) -> dict[Any, Any]:
        """A class with its settings, or else a mapping of values."""
        if SPEC & given.keys():
            class_ = self.class_(given.get("class_path"), wanted, path)
            if extra := given.keys() - SPEC:
                raise TrustError(f"{brief(path)}.{brief(extra.pop())}: no such key of a class")
            made: dict[Any, Any] = {"class_path": self.name_of(class_, given["class_path"])}
            if "init_args" in given:
                made["init_args"] = self.arguments(given["init_args"], class_, path)
            if "dict_kwargs" in given:
                made["dict_kwargs"] = self.value(
                    mapping_of(given["dict_kwargs"], path), UNSURE, f"{path}.dict_kwargs"
                )
            return made
        for base in filter(dataclasses.is_dataclass, bases(wanted)):
            return self.arguments(given, cast(type, base), path)
        if bases(wanted) and Mapping not in wanted:
            raise TrustError(f"{brief(path)}: names no class; it takes a class_path")
        inner = wanted - {Mapping} if bases(wanted) else wanted
        return {
            key: self.value(each, inner, f"{path}.{key}")
            for key, each in given.items()
            if isinstance(key, int) or (isinstance(key, str) and checked_key(key, path, free=True))
        }

    def arguments(self, given: Any, class_: type, path: str) -> dict[str, Any]:
        """The arguments that a class is made with."""
        known, kept = parameter_kinds(class_), {}
        for name, each in mapping_of(given, path).items():
            wanted, default = known.get(checked_key(name, path), (UNSURE, None))
            if callable(default) and each == full_name(default):
                continue  # a function, but the one that it has anyway
            kept[name] = self.value(each, wanted, f"{path}.{name}")
        return kept

    def class_(self, given: Any, wanted: Kinds, path: str) -> type:
        """The class of a name, if one is wanted and it may be trusted."""
        start = f"{brief(path)}={brief(given)!r}"
        if not isinstance(given, str) or not all(map(str.isidentifier, given.split("."))):
            raise TrustError(f"{start}: is not the name of a class")
        if "." in given:
            found = self.found(given, start)
        else:
            named_so = [c for base in bases(wanted) for c in below_by_name(base, given)]
            own = [each for each in dict.fromkeys(named_so) if self.trusts(full_name(each))]
            if len(own) != 1:
                several = [full_name(each) for each in own or named_so]
                self.refuse(several[0], start) if several and not own else None
                what = f"is {' or '.join(several)}; name it in full" if own else "no such class"
                raise TrustError(f"{start}: {what}")
            (found,) = own
        if OF_FUNCTIONS & {full_name(each) for each in found.__mro__}:
            raise TrustError(
                f"{start}: takes functions, which are not named in a checkpoint or run"
            )
        if not bases(wanted):
            what = "function" if Callable in wanted else "class"
            raise TrustError(f"{start}: no {what} can be named here in a checkpoint or run")
        if not issubclass(found, tuple(bases(wanted))):
            names = sorted({base.__name__ for base in bases(wanted)})
            raise TrustError(f"{start}: is no {' or '.join(names)}")
        return found

    def found(self, name: str, start: str) -> type:
        """The class of a full name: a module's, or a class's in a class, and never a module's
        in a module."""
        if not self.trusts(name):
            self.refuse(name, start)
        first, *rest = name.split(".")
        at: Any = self.module(first)
        for part in rest:
            inner = vars(at).get(part) if at is not None else None
            if at is sys.modules[PACKAGE]:  # which imports its public names when they are asked for
                inner = getattr(at, part, None)
            if not isinstance(inner, type):
                inner = self.module(f"{at.__name__}.{part}") if isinstance(at, ModuleType) else None
            at = inner
        if not isinstance(at, type):
            raise TrustError(f"{start}: no such class")
        if name not in self.trusted and not self.trusts(full_name(at)):
            self.refuse(full_name(at), start)
        return at

    def module(self, name: str) -> ModuleType | None:
        """A module, which is imported only if it is the user's own or trusted by name."""
        if name in sys.modules:
            return sys.modules[name]
        near = [each for each in self.trusted if is_inside(each, name) or is_inside(name, each)]
        if not near and not is_inside(name, PACKAGE):
            return None
        try:
            return importlib.import_module(name)
        except ImportError:
            return None
        except Exception as failure:
            raise TrustError(f"{name}: cannot be imported: {failure}") from failure

    def trusts(self, name: str) -> bool:
        """Whether a full name is one that may be named."""
        left_out = is_inside(name, *LEFT_OUT) and not is_inside(name, *LET_IN)
        return (is_inside(name, *PREFIXES) and not left_out) or is_inside(name, *self.trusted)

    def name_of(self, class_: type, given: str) -> str:
        """A class's full name, as it was given where it was given in full."""
        return given if "." in given else full_name(class_)

    def refuse(self, name: str, start: str) -> NoReturn:
        top = name.partition(".")[0]
        asked = name if any(is_inside(each, top) for each in PREFIXES) else top
        raise TrustError(
            f"{start}: is of none of {', '.join(PREFIXES)}; if you trust it: --trust"
            f" {brief(asked)},"
            f' or trust = ["{brief(asked)}"] under [tool.{PACKAGE}] in pyproject.toml'
        )


def mapping_of(given: Any, path: str) -> Mapping[Any, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise TrustError(f"{brief(path)}={brief(given)!r}: expected settings, a line for each")
    return given or {}


def checked_key(key: Any, path: str, free: bool = False) -> str:
    """A key, if it is one: with a dot, or a plus, the parser would read more in it."""
    is_name = isinstance(key, str) and (free or key.isidentifier()) and not key.startswith("__")
    if not is_name:
        raise TrustError(f"{brief(path)}.{brief(key)}".lstrip(".") + ": no such key")
    return str(key)


def check_places(settings: Any, path: str, within: list[Path]) -> None:
    """Find a place to write to that is outside of some directories."""
    if isinstance(settings, Mapping):
        for key, each in settings.items():
            if key != "class_path":
                check_places(each, f"{path}.{key}" if key != "init_args" else path, within)
    elif isinstance(settings, list):
        for each in settings:
            check_places(each, path, within)
    elif isinstance(settings, str):
        place = Path(settings)
        leaves = place.is_absolute() or ".." in place.parts or settings.startswith("~")
        if not (leaves or "://" in settings or PLACE.search(path.rpartition(".")[2])):
            return
        if "://" in settings or not any(place.resolve().is_relative_to(each) for each in within):
            shown = brief(settings)
            raise TrustError(
                f"{brief(path)}={shown!r}: is outside of the run; if you trust it: --trust {shown}"
            )
