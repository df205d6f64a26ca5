"""The command line: one LightningCLI, which knows every room, and ``main``."""

import logging
import os
import secrets
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

# read when jsonargparse is imported: Lightning 2.6 calls it by names that jsonargparse has since deprecated
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from perceptrons import runs
from perceptrons.callbacks import Report
from perceptrons.classifier import Classifier, NonFiniteLoss, Prediction, columns
from perceptrons.data import TableData
from perceptrons.fused import fuse
from perceptrons.mistakes import Parser, fail

TRAINER_DEFAULTS = {
    "max_epochs": 10,
    "log_every_n_steps": 1000,
    "num_sanity_val_steps": -1,  # all of it: the report before any update
    "enable_model_summary": False,
    "enable_progress_bar": None,
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
    """Lightning's command line with run directories, links from data to network, and results at the end."""

    directory: Path | None = None

    def __init__(self, args: list[str] | None = None) -> None:
        words = sys.argv[1:] if args is None else args
        self.verb = next((word for word in words if word in self.subcommands()), None)
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

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        # each takes a tenth of a second, so only the one that is asked for is made
        if self.verb in (None, subcommand):
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        return self.init_parser(**kwargs)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything",
            type=int | bool,
            default=0,
            help="Seed of the initial weights and of the rows' order; true draws one, which config.yaml then holds.",
        )
        parser.add_argument(
            "--name",
            type=str | None,
            default=None,
            help="The run goes to lightning_logs/<name>/version_<n>; without a name, to the config file's.",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(CHECKPOINT_DEFAULTS)
        for source, target in (("inputs", "net.init_args.inputs"), ("outputs", "net.init_args.outputs")):
            parser.link_arguments(f"data.{source}", f"model.{target}", apply_on="instantiate")
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")

    def _set_seed(self) -> None:
        settings = self.config[self.subcommand]
        seed = settings.seed_everything
        seed = secrets.randbelow(2**32) if seed is True else seed
        if seed is False or not 0 <= seed < 2**32:
            fail(f"seed_everything={seed}: must be a whole number from 0 to {2**32 - 1}, or true")
        settings.seed_everything = L.seed_everything(seed, workers=True, verbose=False)

    def before_instantiate_classes(self) -> None:
        trainer = self.config[self.subcommand].trainer
        if trainer.enable_progress_bar is None:
            trainer.enable_progress_bar = sys.stdout.isatty()

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, MisconfigurationException) as mistake:
            fail(self.located(str(mistake)), mistake)
        fuse(self.trainer)

    def _run_subcommand(self, subcommand: str) -> None:
        if not self.trainer.fast_dev_run:
            self.open_run()
        try:
            super()._run_subcommand(subcommand)
        except NonFiniteLoss as failure:
            fail(str(failure), failure, status=1)
        except (ValueError, MisconfigurationException) as mistake:
            if self.trainer.global_step:
                raise
            self.drop_run()
            fail(self.located(str(mistake)), mistake)

    def located(self, message: str) -> str:
        """A message that starts with ``name=``, with the path of that setting put before the name."""
        name = message.partition("=")[0]
        paths = (key.replace("init_args.", "") for key in self.config[self.subcommand].keys())  # noqa: SIM118
        path = next((path for path in paths if path.rpartition(".")[2] == name), name)
        return path.removesuffix(name) + message

    def open_run(self) -> None:
        """Make the run's directory and lead everything that is written there."""
        settings = self.config[self.subcommand]
        settings.name = self.run_name()
        self.directory = runs.new_run(Path(self.trainer.default_root_dir, runs.ROOT), settings.name)
        self._parser(self.subcommand).save(settings, self.directory / "config.yaml")
        if settings.trainer.logger in (None, True):
            self.trainer.loggers = [runs.RunLogger(self.directory)]
        for saver in self.trainer.checkpoint_callbacks:
            if isinstance(saver, ModelCheckpoint) and saver.dirpath is None:
                saver.dirpath = str(self.directory / "checkpoints")

    def drop_run(self) -> None:
        """Take back the directory of a run that never started."""
        if self.directory:
            shutil.rmtree(self.directory)

    def run_name(self) -> str:
        settings = self.config[self.subcommand]
        configs = [Path(str(path)).stem for path in settings.config or []]
        name = settings.name or (configs[-1] if configs else "run")
        if name in (".", "..") or set(name) & set("/\\"):
            fail(f"name={name!r}: is the name of a directory, without slashes")
        return name

    def after_fit(self) -> None:
        if self.directory is None:
            return
        measured = {"updates": self.trainer.global_step, **self.model.measured}
        runs.write_json(self.directory / "metrics.json", measured)
        if isinstance(self.datamodule, TableData):
            x, y = (numbers[: runs.SHOWN_ROWS] for numbers in self.datamodule.split["all"])
            with torch.inference_mode():
                table = columns(self.model.predict_step((x,)), target=self.model.answers(y))
            print(f"\n{runs.text(table)}")
        print(f"\nrun:  {self.directory}\nlook: tensorboard --logdir {self.directory.parent} --host localhost")

    def predict(self, model: Classifier, datamodule: L.LightningDataModule, **options: Any) -> None:
        """Predict, print the first rows and write all of them to ``predictions.csv``."""
        batches = self.trainer.predict(model, datamodule=datamodule, **options)
        table = columns(Prediction(*map(torch.cat, zip(*batches, strict=True))))
        print(runs.text(table))
        if self.directory:
            runs.write_csv(self.directory / "predictions.csv", table)
            print(f"\nall rows: {self.directory / 'predictions.csv'}")


def main(args: list[str] | None = None) -> None:
    """Run a command, from ``args`` or else from the command line.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if the training failed.
    """
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)  # advertisements, and what Report says better
    for message in NO_NEWS:
        warnings.filterwarnings("ignore", message=message)
    CLI(args)
