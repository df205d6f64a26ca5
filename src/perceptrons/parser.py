"""The parser of the command line: Lightning's, where a mistake costs one line.

What jsonargparse's message comes down to, ``mistakes.py`` finds out.
"""

import json
import re
from enum import Enum
from typing import Any, NoReturn

import lightning as L
import yaml
from jsonargparse._util import argument_error
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from perceptrons.mistakes import PACKAGE, explain, fail, parameters
from perceptrons.origins import Origins

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

# the class whose arguments the settings of the model are
OF_MODEL = f"{PACKAGE}classifier.Classifier"

# or else a default of this kind, such as that of Lightning's Timer, could not be written down
yaml.SafeDumper.add_multi_representer(
    Enum, lambda dumper, member: dumper.represent_data(member.value)
)


class Parser(LightningArgumentParser):
    """Lightning's parser, where a mistake costs one line and a flag is written out in full.

    Args:
        args: What Lightning's takes.
        origins: Where the settings come from.
        kwargs: What Lightning's takes by name.
    """

    def __init__(self, *args: Any, origins: Origins | None = None, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        self.origins = origins

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        settings = super().parse_args(*args, **kwargs)
        if self.origins and self.exit_on_error and not self._subcommands_action:
            check_nulls(settings, self.origins)
        return settings

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside a parser: the outer one reports
            raise argument_error(message) from ex
        below = (
            self._subcommands_action._name_parser_map.values() if self._subcommands_action else []
        )
        flags = [flag for parser in (self, *below) for flag in parser._option_string_actions]
        line = explain(message, flags, BASES)
        if self.origins:
            self.origins.refuse(line, ex)
        fail(line, ex)


def check_nulls(settings: Any, origins: Origins) -> None:
    """Find what is given as ``null`` and may not be: jsonargparse lets it pass in a class."""
    for path, value in origins.every().items():
        parent, _, name = path.rpartition(".")
        class_ = settings.get(f"{parent}.class_path", OF_MODEL) if parent else None
        if class_ is OF_MODEL and parent != "model":
            continue
        parameter = parameters(class_).get(name) if class_ and value is None else None
        if parameter is None or parameter.default in (None, parameter.empty):
            continue
        if not re.search("None|Optional", str(parameter.annotation)):
            known = not callable(parameter.default)
            default = json.dumps(parameter.default) if known else "one of the optimizers"
            origins.refuse(f"{path}=null: must have a value; left out, it is {default}")
