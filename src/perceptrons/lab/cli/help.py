"""The help of a command: the settings of this project, and those of the trainer that people use."""

import argparse
import inspect
import re
import textwrap
from typing import Any

import lightning as L
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..runs.kinds import imported_class
from .errors import PACKAGE
from .settings import TOLD

WIDTH, COLUMN = 80, 31
# what the help of each command shows, in order
OF_ALL = ("config", "ckpt_path", "trust", "name", "threads")
OF_DEVICES = ("trainer.accelerator", "trainer.devices", "trainer.precision")
OF_FIT = (
    *("config", "seed_everything", "name", "resume", "ckpt_path", "trust"),
    *("seeds", "grid", "folds", "compile", "threads", "figures"),
    *("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.callbacks"),
    *("trainer.logger", "trainer.gradient_clip_val", *OF_DEVICES),
    *("trainer.enable_progress_bar", "best.monitor", "best.mode"),
)
SHOWN = {
    "fit": OF_FIT,
    "validate": (*OF_ALL, *OF_DEVICES),
    "test": (*OF_ALL, "member", *OF_DEVICES),
    "predict": (*OF_ALL, "member", *OF_DEVICES),
}
# in this project's words
WORDS = {
    "config": "A YAML file of settings; of several the later ones win.",
    "ckpt_path": "A checkpoint: a run's directory or name (its last), last, best, or a file.",
    "trainer.logger": "true (TensorBoard), false, CSVLogger, or another of Lightning's.",
    "trainer.accelerator": "cpu, gpu, or auto, which takes a GPU where there is one.",
    "trainer.precision": "As Lightning has it: 32, 64, 16-mixed, bf16-mixed and so on.",
    "trainer.enable_progress_bar": "Whether there is a bar. null: in a terminal.",
    "best.monitor": "The metric by which best.ckpt is chosen.",
    "best.mode": "Whether the best is its min or its max.",
}
POINTS = "--data.points '[[0, 1]]'    inputs of your own; by default the data's"


def short_help(parser: Any, verb: str) -> str:
    """The help of a command, whose parser is given."""
    command = f"{PACKAGE} {verb}"
    by_name = {action.dest: action for action in parser._actions}
    shown = [by_name[each] for each in SHOWN[verb] if each in by_name]
    usage = "--config FILE" if verb == "fit" else "--ckpt_path RUN"
    parts = [
        f"usage: {command} {usage} [--SETTING VALUE ...]\n\n{parser.description}",
        section("settings", shown, verb),
    ]
    if verb == "fit":
        parts += fit_sections(parser)
    parts.append(
        f"{POINTS}\n"
        * (verb == "predict")
        + f"{command} --data.help CLASS  settings of a class; so --model.net.help\n"
        f"{command} --print_config     all settings as YAML\n"
        f"{command} --help all         all settings"
    )
    return "\n\n".join(parts)


def fit_sections(parser: Any) -> list[str]:
    """The settings of the module that is trained by default, and classes to choose from."""
    data, nets = own_classes(L.LightningDataModule), own_classes(nn.Module)
    nets = [each for each in nets if {"inputs", "outputs"} <= {*names_of(each)}]
    others = [each.__name__ for each in own_classes(L.LightningModule) if not is_lab(each)]
    model = imported_class((parser.get_default("model") or {}).get("class_path"))
    sections = [
        "\n".join(["data: a class, and its settings", *describe(data)]),
        "\n".join(["networks: a class, and its settings", *describe(nets)]),
    ]
    if model is None:
        return sections
    known = ", ".join(each for each in others if each != model.__name__)
    title = f"model: {model.__name__}, or by --model another class ({known}, or your own)"
    kept = [each for each in actions_of(model) if each.dest.removeprefix("x.") not in TOLD]
    return [section(title, kept, "fit", "model."), *sections]


def class_help(parser: Any, class_type: type, flag: str) -> str:
    """The settings of a class, whose parser is given, by the flags that a command takes."""
    actions = [each for each in parser._actions if not each.dest.endswith(".help")]
    for action in actions:
        action.dest = f"x.{action.dest.rpartition('.')[2]}"
        choices = action.metavar if str(action.metavar).startswith("{") else ""
        told = issubclass(class_type, nn.Module) and action.dest.removeprefix("x.") in TOLD
        action.help = f"{action.help or ''} {'By default as the data has it.' if told else choices}"
    said = re.split(r"Args:|Example|\.\. ", class_type.__doc__ or "")[0]
    lines = textwrap.wrap(f"{class_type.__name__}: {plain(said)}", WIDTH)
    return section("\n".join(lines), actions, "", f"{flag.strip('-')}.", whole=True)


def section(title: str, actions: list[Any], verb: str, start: str = "", whole: bool = False) -> str:
    """Settings with what they are for, in the whole or the first sentence of their docstring."""
    lines = [title]
    for action in actions:
        name = f"  --{start}{action.dest.removeprefix('x.')} "
        said = WORDS.get(action.dest) or (plain if whole else first_sentence)(action.help)
        if said.startswith(f"{verb}: "):
            said = said[len(verb) + 2 :].capitalize()
        default = action.default
        if isinstance(default, dict):
            rate = (default.get("init_args") or {}).get("lr")
            default = default["class_path"].rpartition(".")[2] + (f", lr {rate}" if rate else "")
        if default not in (None, (), argparse.SUPPRESS):
            said += f" ({str(default).lower() if isinstance(default, bool) else default})"
        name = name.ljust(COLUMN)
        lines += textwrap.wrap(said, WIDTH, initial_indent=name, subsequent_indent=" " * COLUMN)
    return "\n".join(lines)


def describe(classes: list[type]) -> list[str]:
    """Lines for some classes: what each is, and what its settings are called."""
    lines = []
    for each in classes:
        asked = TOLD if issubclass(each, nn.Module) else ()
        names = ", ".join(name for name in names_of(each) if name not in asked)
        said = f"{each.__name__}: {first_sentence(each.__doc__)}"
        for text, indent in ((said, "  "), (names, "      ")):
            lines += textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent="      ")
    return lines


def first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\.)\s", plain(text))[0]


def plain(text: str | None) -> str:
    return " ".join((text or "").replace("``", "").split())


def names_of(class_type: type) -> list[str]:
    """Names of a class's settings: not an optimizer's weights, nor a schedule's optimizer."""
    found = dict.fromkeys(each.dest.split(".")[1] for each in actions_of(class_type))
    return [*found][issubclass(class_type, (Optimizer, LRScheduler)) :]


def actions_of(class_type: type) -> list[Any]:
    """The settings of a class, as the parser finds them."""
    parser = LightningArgumentParser(add_help=False)
    parser.add_class_arguments(class_type, "x", fail_untyped=False)
    own = [each for each in parser._actions if each.dest.startswith("x.")]
    return [each for each in own if not each.dest.endswith(".help")]


def own_classes(base: Any) -> list[type]:
    """The package's classes below one, but those of which nothing can be made."""
    found = {each.__name__: each for each in below(base) if not inspect.isabstract(each)}
    own = [each for each in found.values() if each.__module__.split(".")[0] == PACKAGE]
    return sorted(own, key=lambda each: each.__name__)


def is_lab(class_type: type) -> bool:
    """Whether a class is the lab's, not the user's."""
    return class_type.__module__.startswith(f"{PACKAGE}.lab.")


def below(base: Any) -> list[type]:
    """All classes below one, as far as they are imported."""
    direct: list[Any] = base.__subclasses__()
    return direct + [each for class_ in direct for each in below(class_)]
