"""``perceptrons completion``: has a shell complete commands, flags, classes and files.

It is a script that knows them all, written by shtab, so that no Python starts at a press of Tab.
"""

import argparse
import importlib
import shlex
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from perceptrons.commands import COMMANDS
from perceptrons.mistakes import ALREADY_GIVEN, classes, fail, parameters
from perceptrons.verbs import Parser

# what a shell does before, in a file that other shells may read too
ONLY_IN = {
    "bash": '[ -z "${BASH_VERSION-}" ] || ',
    "zsh": '[ -z "${ZSH_VERSION-}" ] || whence compdef > /dev/null ||'
    " { autoload -Uz compinit && compinit; }\n"
    '[ -z "${ZSH_VERSION-}" ] || ',
}
EPILOG = (
    "perceptrons completion bash >> .venv/bin/activate has it work from the next"
    " activation of the environment on; a class written since is known once that is done again."
)
FILES, DIRECTORIES = ("config", "space", "data.path", "data.points"), ("resume", "run", "diff")


def main(words: list[str]) -> None:
    """Print the script.

    Raises:
        SystemExit: With status 2 if the command is mistaken, or shtab is not installed.
    """
    shell = parser().parse_args(words).shell
    if find_spec("shtab") is None:
        fail("completion: shtab is not installed; pip install -e '.[completion]' does it")
    import shtab

    script = shtab.complete(whole(), shell)
    print(f"{ONLY_IN[shell]}eval {shlex.quote(script)}")


def parser() -> argparse.ArgumentParser:
    said = COMMANDS["completion"][1]
    made = Parser(
        "perceptrons completion",
        description=said,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    made.add_argument("shell", choices=[*ONLY_IN], help="the shell that it is for")
    return made


def whole() -> argparse.ArgumentParser:
    """The whole command line as plain argparse has it, which shtab reads."""
    made = argparse.ArgumentParser("perceptrons", allow_abbrev=False)
    made.add_argument("--version", action="store_true", help="print the version")
    verbs, every = made.add_subparsers(), trainers()
    for name, of_verb in every.items():
        add_flags(verbs.add_parser(name, help=name), of_verb)
    for name, (file, said) in COMMANDS.items():
        own = importlib.import_module(f"{__package__}.{file}").parser()
        verb = verbs.add_parser(name, help=said, parents=[own], add_help=False)
        for action in verb._actions:
            complete_paths(action, action.type)
        if name == "sweep":
            add_flags(verb, every["fit"])
    return made


def trainers() -> dict[str, Any]:
    """The parsers of Lightning's verbs."""
    from perceptrons.cli import CLI

    class MadeError(Exception):
        pass

    class Parsers(CLI):
        def parse_arguments(self, parser: Any, args: Any) -> NoReturn:
            raise MadeError(self._subcommand_parsers)

    try:
        Parsers([])
    except MadeError as made:
        found: dict[str, Any] = made.args[0]
    return found


def add_flags(verb: argparse.ArgumentParser, of_verb: Any) -> None:
    """Give a plain parser the flags of one of Lightning's, and those of the classes it takes."""
    from perceptrons.parser import BASES

    named = known_values()
    for action in of_verb._actions:
        kind = getattr(action, "_typehint", None)
        choices = [*named.get(action.dest.removesuffix(".help"), ()), *literals(kind)]
        alone = action.nargs == 0 or action.dest == "print_config"
        add(verb, action.option_strings, kind, choices, action.help, alone)
    for path, base in BASES.items():
        for class_ in classes(path, base):
            for name, each in parameters(f"{class_.__module__}.{class_.__qualname__}").items():
                if name not in ALREADY_GIVEN.get(path, ()):
                    choices = named.get(f"{path}.{name}") or literals(each.annotation)
                    add(verb, [f"--{path}.{name}"], each.annotation, choices)


def add(
    verb: argparse.ArgumentParser,
    flags: list[str],
    kind: Any,
    choices: list[str],
    said: str | None = None,
    alone: bool = False,
) -> None:
    """Give a plain parser a flag, unless it has it already.

    Args:
        verb: The parser.
        flags: The flag, and others for the same; what a link has is none.
        kind: Type of its value.
        choices: What values it may have; none: any.
        said: Its help.
        alone: Whether it has no value.
    """
    known = verb._option_string_actions
    new = [flag for flag in flags if flag.startswith("-") and flag not in known]
    if not new or said == argparse.SUPPRESS:
        return
    text = said.replace("%", "%%") if said else None
    if alone:
        verb.add_argument(*new, action="store_true", help=text)
    else:
        complete_paths(verb.add_argument(*new, choices=choices or None, help=text), kind)


def complete_paths(action: argparse.Action, kind: Any) -> None:
    """Have a value be completed by what files or directories there are, if it is one."""
    import shtab

    name = action.dest
    if name in DIRECTORIES or name.endswith(("dir", "dirpath")):
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif name in FILES or Path in (kind, *get_args(kind)):
        action.complete = shtab.FILE  # type: ignore[attr-defined]


def literals(kind: Any) -> list[str]:
    """The values that a type lists."""
    if kind is bool:
        return ["true", "false"]
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind) if not isinstance(value, bool)]
    inner = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return [value for each in inner for value in literals(each)]


def known_values() -> dict[str, list[str]]:
    """Values, by flag, that no type lists."""
    from lightning.pytorch.accelerators import AcceleratorRegistry
    from lightning.pytorch.strategies import StrategyRegistry

    from perceptrons.data import GATES
    from perceptrons.parser import BASES

    found = {
        path: sorted({class_.__name__ for class_ in classes(path, base)})
        for path, base in BASES.items()
    }
    devices = sorted(AcceleratorRegistry.available_accelerators())
    return found | {
        "trainer.accelerator": ["auto", "gpu", *devices],
        "trainer.strategy": ["auto", *StrategyRegistry.available_strategies()],
        "data.gate": [*GATES, "all"],
    }
