"""The command line: one LightningCLI, which knows every room, and ``main``."""

import importlib
import logging
import os
import pkgutil
import re
import secrets
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

# read when jsonargparse is imported: Lightning 2.6 calls it by names that it has since deprecated
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import perceptrons
from perceptrons import runs
from perceptrons.callbacks import Report
from perceptrons.classifier import Classifier, NonFiniteLossError, Prediction, columns
from perceptrons.data import TableData
from perceptrons.fused import fuse
from perceptrons.mistakes import Origins, Parser, fail, said_by_class

TRAINER_DEFAULTS = {
    "max_epochs": 10,
    "log_every_n_steps": 1000,
    "num_sanity_val_steps": -1,  # all of it: the report before any update
    "enable_model_summary": False,
}
CHECKPOINT_DEFAULTS = {
    "checkpoint.filename": "best",
    "checkpoint.monitor": "val/loss",
    "checkpoint.save_last": True,
    "checkpoint.enable_version_counter": False,
}
# warnings of Lightning's that a user of this program can do nothing about
NO_NEWS = (
    r".*LeafSpec",  # Lightning 2.6 asks torch 2.13 in a way that torch has deprecated
    r".*smaller than the logging interval",  # reports go by epochs here
    r"The dirpath has changed",  # a checkpoint of one run is used in another, as asked
)


class CLI(LightningCLI):
    """Lightning's command line, with run directories, and results at the end.

    Args:
        args: The words of the command; without them, those of the command line.
    """

    directory: Path | None = None  # of the run

    def __init__(self, args: list[str] | None = None) -> None:
        words = sys.argv[1:] if args is None else args
        self.verb = next((word for word in words if word in self.subcommands()), None)
        Parser.origins = self.origins = Origins(words)
        import_files()
        super().__init__(
            Classifier,
            L.LightningDataModule,
            save_config_callback=None,
            trainer_defaults={**TRAINER_DEFAULTS, "callbacks": [Report()]},
            parser_class=Parser,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            args=args,
        )

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        # one takes a twentieth of a second, so only the one that is asked for is made
        if self.verb in (None, subcommand):
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        return self.init_parser(**kwargs)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything",
            type=int | bool,
            default=0,
            help="Seed of the initial weights and the order of the rows. true: one drawn at random,"
            " which config.yaml records.",
        )
        parser.add_argument(
            "--name",
            type=str | None,
            default=None,
            help="The run is lightning_logs/<name>/version_<n>. null: the config file's name.",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(CHECKPOINT_DEFAULTS)
        for source, target in (
            ("inputs", "net.init_args.inputs"),
            ("outputs", "net.init_args.outputs"),
            ("classes", "classes"),
        ):
            parser.link_arguments(f"data.{source}", f"model.{target}", apply_on="instantiate")

    @property
    def settings(self) -> Any:
        """All settings of the command."""
        return self.config[self.subcommand]

    def _set_seed(self) -> None:
        seed = self.settings.seed_everything
        seed = secrets.randbelow(2**32) if seed is True else seed
        if seed is False or not 0 <= seed < 2**32:
            fail(f"seed_everything={seed}: must be from 0 to {2**32 - 1}, or true")
        self.settings.seed_everything = L.seed_everything(seed, workers=True, verbose=False)

    def before_instantiate_classes(self) -> None:
        trainer = self.settings.trainer
        if trainer.enable_progress_bar is None:
            trainer.enable_progress_bar = sys.stdout.isatty()
        if trainer.accelerator == "gpu" and not (
            torch.cuda.is_available() or torch.backends.mps.is_available()
        ):
            fail("trainer.accelerator='gpu': there is no GPU here; choose cpu or auto")
        for name in ("inputs", "outputs"):
            if self.origins.give(f"model.net.{name}"):
                fail(f"model.net.{name}: comes from the data; leave it out")

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, MisconfigurationException) as mistake:
            fail(self.located(str(mistake)), mistake)
        fuse(self.trainer)

    def located(self, message: str) -> str:
        """A message that starts with a setting's name, with the path before it and its file."""
        said = said_by_class(message)
        name = re.split("[=:]", said, maxsplit=1)[0]
        paths = [path.replace("init_args.", "") for path in self.settings.keys(branches=True)]
        # jsonargparse wraps what a data class says, and only that
        paths.sort(key=lambda path: path.startswith("data.") != (said != message))
        path = next((path for path in paths if path.rpartition(".")[2] == name), name)
        line = path.removesuffix(name) + said
        return line + self.origins.of(line)

    def _run_subcommand(self, subcommand: str) -> None:
        if not self.settings.trainer.fast_dev_run:
            self.open_run()
        try:
            super()._run_subcommand(subcommand)
        except NonFiniteLossError as failure:
            fail(str(failure), failure, status=1)
        except (ValueError, MisconfigurationException) as mistake:
            if self.trainer.global_step:
                raise
            if self.directory:  # the run never started
                shutil.rmtree(self.directory)
            fail(self.located(str(mistake)), mistake)

    def open_run(self) -> None:
        """Make the run's directory, and lead there what is written."""
        self.settings.name = self.run_name()
        root = Path(self.trainer.default_root_dir, runs.ROOT)
        self.directory = runs.new_run(root, self.settings.name)
        self._parser(self.subcommand).save(self.settings, self.directory / "config.yaml")
        if self.settings.trainer.logger in (None, True):
            self.trainer.loggers = [runs.RunLogger(self.directory)]
        for saver in self.trainer.checkpoint_callbacks:
            if isinstance(saver, ModelCheckpoint) and saver.dirpath is None:
                saver.dirpath = str(self.directory / "checkpoints")

    def run_name(self) -> str:
        configs = [Path(str(path)).stem for path in self.settings.config or []]
        name: str = self.settings.name or (configs[-1] if configs else "run")
        if name in (".", "..") or set(name) & set("/\\"):
            fail(f"name={name!r}: must be the name of a directory, without slashes")
        return name

    def after_fit(self) -> None:
        """Show what was learned and where it is."""
        if self.directory is None:
            return
        measured = {"updates": self.trainer.global_step, **self.model.measured}
        runs.write_json(self.directory / "metrics.json", measured)
        if isinstance(self.datamodule, TableData):
            print(f"\n{self.answers(self.datamodule)}")
        print(f"\nrun:  {self.directory}")
        print(f"look: tensorboard --logdir {self.directory.parent} --host localhost")

    @torch.inference_mode()
    def answers(self, data: TableData) -> str:
        """What the network says of the first rows, beside what is right."""
        x, y = (column[: runs.SHOWN_ROWS] for column in data.split["all"])
        prediction = self.model.eval().predict_step((x.to(self.model.device),))
        return runs.text(columns(prediction, target=self.model.answers(y)))

    def predict(self, model: Classifier, datamodule: L.LightningDataModule, **options: Any) -> None:
        """Predict, print the first rows and write them all to ``predictions.csv``."""
        batches = self.trainer.predict(model, datamodule=datamodule, **options) or []
        prediction = Prediction(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
        table = columns(prediction)
        print(runs.text(table))
        if self.directory:
            runs.write_csv(self.directory / "predictions.csv", table)
            print(f"\nall rows: {self.directory / 'predictions.csv'}")


def import_files() -> None:
    """Import every file of the package, so that a class in a new one goes by its short name."""
    for module in pkgutil.iter_modules(perceptrons.__path__):
        if module.name not in ("__main__", "plots"):  # the one runs, the other is slow
            importlib.import_module(f"perceptrons.{module.name}")


def quiet() -> None:
    """Keep Lightning from saying what is no news here."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        # advertisements, and what the reports say better
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NO_NEWS:
        warnings.filterwarnings("ignore", message=message)


def main(args: list[str] | None = None) -> None:
    """Run a command, from ``args`` or else from the command line.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if the training failed.
    """
    quiet()
    CLI(args)
