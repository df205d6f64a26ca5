"""fit, validate, test and predict: one LightningCLI, which knows every room."""

import os
import re
import secrets
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any, cast

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger

from ..data import samples, table  # noqa: F401  their classes go by short names
from ..data.tables import TableData
from ..figures.board import ADDRESS, Board
from ..figures.page.recording import show_fit
from ..figures.snapshots import Snapshots
from ..runs import checkpoints, directories, record
from ..runs.files import Loader, write_csv, write_json
from ..runs.kinds import imported_class
from ..runs.record import Report, measured, predicted_columns
from ..runs.resume import ExactResume, Stopped, log_at, make_resumable, stoppable
from ..runs.text import aligned, say
from ..studies.study import StudyModule
from ..training import callbacks
from ..training.compiled import check_single
from ..training.loggers import Later, lead_into, log_settings
from ..training.spans import use_spans
from .errors import PACKAGE, fail, line_of, relative_path, with_suggestion
from .main import TRAINER
from .parser import ModuleMaker, SettingsParser, import_files, import_model
from .settings import (
    ARGUMENTS,
    CHECKPOINT_DEFAULTS,
    TRAINER_DEFAULTS,
    check_settings,
    link_to_data,
    listed,
    quiet,
    say_tested,
    threads_for,
    with_linked,
)
from .start import FREE, flags_of, sections, start
from .study import Recipes, plan_of, say_members, study_of, with_setting, write_members


class Command(LightningCLI):
    """Lightning's command line, with run directories, and results at the end.

    Args:
        model: The LightningModule that is trained where the settings name no other.
        words: The words of the command.
        runs: Whether the command is run, not only made ready.
    """

    exact: ExactResume | None = None

    def __init__(self, model: type[L.LightningModule] | None, words: list[str], runs: bool = True):
        self.given, self.default_model, self.runs = words, model, runs
        try:
            self.words, self.directory, self.resumed, self.learned = start(words)
        except ValueError as mistake:
            fail(with_suggestion(str(mistake)), mistake)
        self.recipes = Recipes()
        self.measured_before: dict[str, float] = {}  # by the run that is resumed
        super().__init__(
            L.LightningModule,
            L.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_class=SettingsParser,
            parser_kwargs={verb: {"description": text} for verb, text in TRAINER.items()},
            auto_configure_optimizers=False,
            args=self.words[:2] if words[2:3] == ["all"] else self.words,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        # weights_only: checkpoints are always read without running code
        return {verb: skip | {"weights_only"} for verb, skip in LightningCLI.subcommands().items()}

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        # one takes a twentieth of a second, so only the one that is asked for is made
        if subcommand in self.words[:1]:
            made: Any = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
            made.verb = "" if self.words[2:3] == ["all"] else subcommand
            return cast(LightningArgumentParser, made)
        return self.init_parser(**kwargs)

    def _parse_ckpt_path(self) -> None:
        """Lightning lets a checkpoint's settings win over flags here: they come first instead."""

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for name, (kind, default, text) in ARGUMENTS.items():
            parser.add_argument(f"--{name}", type=kind, default=default, help=text)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(callbacks.BestCheckpoint, "best")
        parser.add_lightning_class_args(ModelCheckpoint, "last")
        parser.set_defaults(CHECKPOINT_DEFAULTS)
        if self.default_model:
            place = f"{self.default_model.__module__}.{self.default_model.__qualname__}"
            parser.set_defaults({"model": {"class_path": place}})
        link_to_data(parser, lambda: (self.settings, self.chosen))

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config, self.chosen = cast(SettingsParser, parser).parse_and_complete(args)

    @property
    def settings(self) -> Any:
        """All settings of the command."""
        return self.config[self.subcommand]

    def _set_seed(self) -> None:
        seed = self.settings.seed_everything
        if seed is None or seed is False or (seed is not True and not 0 <= seed < 2**32):
            fail(f"seed_everything: must be from 0 to {2**32 - 1}, or true; given {seed}")
        if seed is True:  # which Lightning takes for 0
            self.settings.seed_everything = secrets.randbelow(2**32)
        super()._set_seed()

    def before_instantiate_classes(self) -> None:
        check_settings(self.settings)
        trainer = self.settings.trainer
        ends = trainer.max_steps != -1 or trainer.max_time
        if ends and "trainer.max_epochs" not in self.chosen:
            trainer.max_epochs = -1
        # what Lightning would dump, after it had checked once more what has just been parsed
        how = {"skip_validation": True, "skip_link_targets": False}
        text = self.parser.dump(self.config, "yaml", False, **how)
        self.config_dump = yaml.load(text, Loader)[self.subcommand]
        if self.subcommand != "fit" and not self.settings.ckpt_path:
            say("no --ckpt_path: these are the initial weights, as the seed draws them")

    def instantiate_classes(self) -> None:
        try:
            self.config_init = self.instantiated(self.config)
            made = self.config_init[self.subcommand]
            data, self.model = made.data, made.model
            self.datamodule = data
            self.trainer = self.instantiate_trainer()
            plan = plan_of(self.settings, str(self.subcommand))
            if self.subcommand == "fit" and isinstance(data, TableData):
                data.setup("fit")
                data.train_loader(0, self.trainer.world_size)
                if self.settings.compile and not plan:
                    rows = data.split["train"][:2]
                    self.settings.compile = check_single(self.model, *rows)
            if plan:
                self.model = study_of(self, plan, self.model, data)
            torch.set_num_threads(self.settings.threads or threads_for(self.model, data))
        except Exception as failure:  # a class of the user's or a library's may raise anything
            owner, cause = self.recipes.failed or (None, failure)
            fail(line_of(cause, owner.__name__ if owner else "", {L.Trainer}), cause)

    def instantiated(self, config: Any) -> Any:
        """The objects of the settings, and a note how each is made."""
        makers = [
            (ModuleMaker(self, "model", self.recipes), L.LightningModule, True),
            (ModuleMaker(self, "data", self.recipes), L.LightningDataModule, True),
            (Later, Logger, True),
            (self.recipes, object, True),
        ]
        return self.parser.instantiate(config, instantiators=makers)

    def module_with(self, setting: dict[str, Any]) -> L.LightningModule:
        """The module as the settings have it, but for some of them."""
        config = with_setting(self.config, str(self.subcommand), setting)
        self.parser.validate(config)
        return cast(L.LightningModule, self.instantiated(config)[self.subcommand].model)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        trainer = self.settings.trainer
        kwargs["plugins"] = [*listed(trainer.plugins), checkpoints.WholeCheckpointIO()]
        given = listed(self.config_init[self.subcommand].trainer.callbacks)
        asked = trainer.enable_progress_bar, self.subcommand == "fit", given
        self.bars, kwargs["enable_progress_bar"] = callbacks.progress_bars(*asked)
        if trainer.enable_checkpointing is False:
            self._parser(self.subcommand).callback_keys.clear()
        return super().instantiate_trainer(**kwargs)

    def _run_subcommand(self, subcommand: str) -> None:
        if not self.runs:
            return
        there_before = self.directory is not None
        make_resumable(self.trainer)
        try:
            with ExitStack() as stack:
                if not self.settings.trainer.fast_dev_run:
                    self.open_run(stack)
                stack.enter_context(stoppable(self.trainer))
                super()._run_subcommand(subcommand)
        except Stopped:
            say(f"\nstopped after update {self.trainer.global_step}; to resume:")
            say(f"{PACKAGE} fit --resume {quote(relative_path(Path(str(self.directory))))}")
            write_json(Path(str(self.directory)) / "metrics.json", self.results())
            raise
        except callbacks.NonFiniteLossError as failure:
            fail(str(failure), failure, status=1)
        except Exception as failure:
            # what fails before the first report is a mistake in what was asked for
            before = self.exact.epochs if self.exact else 0
            reported = self.trainer.fit_loop.epoch_progress.current.completed > before
            if self.directory and not (there_before or reported):
                directories.remove_run(self.directory)
            places = re.findall(r"class_path': '([^']+)", str(self.recorded))
            named = {imported_class(each) for each in places}
            fail(line_of(failure, classes=named), failure, status=1 if reported else 2)

    def open_run(self, stack: ExitStack) -> None:
        """Lead what is written to the run's directory, which is made where it is not there yet."""
        trainer: Any = self.trainer
        file = self.settings.ckpt_path
        trained = self.settings.trainer if self.subcommand == "fit" else None
        checkpoint = checkpoints.start_of(file, self.model, trained)
        self.done = checkpoint.get("global_step", 0)
        self.measured_before = checkpoint.get("metrics", {})
        root = Path(trainer.default_root_dir, directories.ROOT)
        if not trainer.is_global_zero:  # another process of this training writes what is kept
            self.directory, root = None, Path(stack.enter_context(TemporaryDirectory()))
        directory = self.directory = self.directory or self.new_run(root)
        if self.subcommand == "fit":
            stack.enter_context(directories.locked(directory))
        elif not os.access(directory, os.W_OK):
            say(f"{relative_path(directory)} cannot be written to: the results are not kept")
            self.directory, directory = None, Path(stack.enter_context(TemporaryDirectory()))
        if self.resumed:
            changed = {at: self.settings.get(at) for at in FREE if at in flags_of(self.given)}
            record.begin_again(directory, self.given, changed)
        if self.subcommand in ("validate", "predict"):  # fit has logged what these find
            trainer.loggers = []
        lead_into(directory, trainer, self.done + bool(file) if self.resumed else None)
        if self.subcommand == "fit":
            log_settings(trainer, self.recorded)
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(directory / "checkpoints")
        trainer.callbacks = [*self.callbacks(directory), *trainer.callbacks]
        if self.subcommand == "fit":
            compiles = self.settings.compile
            spans = use_spans(trainer, self.model, self.datamodule, compiles)
            if compiles and not spans and not isinstance(self.model, StudyModule):
                say("compile=True: not where something must see each update; going on without")
            if self.resumed and file:
                trainer.num_sanity_val_steps = 0  # that report is there already
        else:
            log_at(trainer, self.done)

    def callbacks(self, run: Path) -> list[L.Callback]:
        """What the lab does beside the training, in order; the user's come after that."""
        if self.subcommand != "fit":
            return [callbacks.FullPrecisionMetrics()]
        settings = self.recorded
        given = any(each.startswith("model.optimizer") for each in flags_of(self.given))
        self.exact = ExactResume(run, sections(settings), given and not self.resumed)
        every = [callbacks.FullPrecisionMetrics(), self.exact, callbacks.FiniteLoss()]
        every += [callbacks.LoggedMonitors(), callbacks.LastReport(), callbacks.PlateauStep()]
        every += [Report(relative_path(run)), *self.bars]
        board = Board(settings, self.resumed and bool(self.settings.ckpt_path))
        return [*every, Snapshots(self.resumed, self.settings.figures), board]

    def new_run(self, root: Path) -> Path:
        """Make a directory for the run, and write down there what it is."""
        configs = [str(each) for each in self.settings.config or [] if each is not None]
        name = self.settings.name
        self.settings.name = name = Path(["run", *configs][-1]).stem if name is None else name
        directory = directories.new_run(root, name)
        record.begin(directory, self.given, self.recorded, self.trainer)
        return directory

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """All settings as they are written down, once the run has its name."""
        settings = {**self.config_dump, "name": self.settings.name}
        return cast(dict[str, Any], record.recordable(with_linked(settings, self.chosen)))

    def results(self) -> dict[str, Any]:
        """Updates, seconds, and what was measured last, by this run or the one it resumes."""
        seconds = round(self.exact.seconds, 3) if self.exact else 0.0
        found = measured(self.trainer) or self.measured_before
        return {"updates": self.trainer.global_step, "seconds": seconds, **found}

    def after_fit(self) -> None:
        """Write the results, and show where they are."""
        if batches := int(self.settings.trainer.fast_dev_run):
            say(f"fast_dev_run={batches}: all ran, and nothing is kept")
        if self.directory is None or self.exact is None or not self.trainer.is_global_zero:
            return
        results = self.results()
        if why := callbacks.early_end(self.trainer, self.done, self.exact.ended):
            say(why)
        said = ""
        if isinstance(self.model, StudyModule):
            results["study"], said = write_members(self.directory, self.trainer, self.model)
        write_json(self.directory / "metrics.json", results)
        record.end(self.directory)
        say(f"{said}\nrun:  {relative_path(self.directory)}")
        if self.settings.figures:
            if board := self.settings.trainer.logger in (None, True):
                logs = quote(relative_path(self.directory.parent))
                say(f"look: tensorboard --logdir {logs} --host localhost\n      {ADDRESS}")
            settings, run = self.exact.settings, Path(relative_path(self.directory))
            say(show_fit(self.trainer, self.model, run, settings, board))

    def validate(self, verbose: bool = True, **options: Any) -> None:
        self.trainer.validate(verbose=False, **options)
        self.show_measures(verbose)

    def test(self, verbose: bool = True, **options: Any) -> None:
        if isinstance(self.datamodule, TableData):
            say_tested(self.datamodule, self.settings.folds, flags_of(self.given))
        self.trainer.test(verbose=False, **options)
        say_members(self.model)
        self.show_measures(verbose)

    def predict(self, model: Any, datamodule: Any, **options: Any) -> None:
        """Predict, show the first rows and write them all to ``predictions.csv``."""
        batches = self.trainer.predict(model, datamodule=datamodule, **options) or []
        columns = predicted_columns(cast(list[Any], batches), datamodule)
        say_members(model)
        say(aligned(columns, rows=16, keep=record.PREDICTED))
        if self.directory and columns:
            write_csv(self.directory / "predictions.csv", columns)
            say(f"\nall rows: {relative_path(self.directory / 'predictions.csv')}")

    def show_measures(self, verbose: bool) -> None:
        found = measured(self.trainer)
        if verbose and self.trainer.is_global_zero:
            say(aligned({"measure": [*found], "value": [*map(record.formatted, found.items())]}))


def run(words: list[str], model: type[L.LightningModule] | str | None) -> None:
    """Run fit, validate, test or predict."""
    quiet()
    import_files()
    with ExitStack() as stack:  # a later command of the process chooses its own threads
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        Command(import_model(model), words)
