"""The command line: one LightningCLI, which knows every room, and ``main``."""

import os
import shutil
import sys
from functools import cached_property, partial
from pathlib import Path
from shlex import quote
from typing import Any, cast

# read when jsonargparse is imported: Lightning 2.6 calls it by names that it has since deprecated
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

import lightning as L
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from perceptrons import checkpoints, commands, processes, provenance, runs, study
from perceptrons.arguments import ARGUMENTS, EPILOG, SAVER_DEFAULTS, TRAINER_DEFAULTS
from perceptrons.board import Board
from perceptrons.callbacks import Report, RunLogger
from perceptrons.classifier import Classifier, NonFiniteLossError
from perceptrons.configs import as_flags
from perceptrons.failures import line_of
from perceptrons.figures import Figures
from perceptrons.fused import Stopped, fuse
from perceptrons.listing import settings_of
from perceptrons.mistakes import fail
from perceptrons.origins import Origins
from perceptrons.parser import Parser
from perceptrons.precision import check_precision
from perceptrons.preflight import (
    callbacks_of,
    check_fits,
    check_monitors,
    check_settings,
    import_files,
    quiet,
    renew_defaults,
    threads_for,
    told_by,
)
from perceptrons.raised import Maker
from perceptrons.results import show_answers, show_measures, write_predictions, write_study
from perceptrons.resume import FREE, check_end, start, stoppable
from perceptrons.trial import try_update


class CLI(LightningCLI):
    """Lightning's command line, with run directories, and results at the end.

    Args:
        args: The words of the command; without them, those of the command line.
    """

    exact: checkpoints.ExactResume
    figures: Figures | None = None

    def __init__(self, args: list[str] | None = None) -> None:
        self.words = words = list(sys.argv[1:] if args is None else args)
        self.verb = next((word for word in words if word in self.subcommands()), None)
        self.origins = Origins(words)
        import_files()
        started = start(self.origins)
        self.directory, self.resumed = started.directory, started.resumed
        super().__init__(
            Classifier,
            L.LightningDataModule,
            save_config_callback=None,
            trainer_defaults={**TRAINER_DEFAULTS, "callbacks": [Report()]},
            parser_class=Parser,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            parser_kwargs={"epilog": EPILOG},
            args=started.words,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        # weights_only: checkpoints are always read without running code
        return {verb: skip | {"weights_only"} for verb, skip in LightningCLI.subcommands().items()}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        return super().init_parser(origins=self.origins, **kwargs)

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        # one takes a twentieth of a second, so only the one that is asked for is made
        if self.verb in (None, subcommand):
            return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        return self.init_parser(**kwargs)

    def _parse_ckpt_path(self) -> None:
        """What Lightning does here, ``start`` has done: it lets flags win over the checkpoint."""

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for name, (kind, default, text) in ARGUMENTS.items():
            parser.add_argument(f"--{name}", type=kind, default=default, help=text)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(ModelCheckpoint, "best")
        parser.add_lightning_class_args(ModelCheckpoint, "last")
        parser.set_defaults(SAVER_DEFAULTS)
        for source, target in (
            ("inputs", "net.init_args.inputs"),
            ("outputs", "net.init_args.outputs"),
            ("classes", "classes"),
        ):
            told = partial(told_by, name=source)
            told.__name__ = f"{source} of "  # type: ignore[attr-defined]  # for the help
            parser.link_arguments("data", f"model.{target}", told, apply_on="instantiate")

    @property
    def settings(self) -> Any:
        """All settings of the command."""
        return self.config[self.subcommand]

    def _set_seed(self) -> None:
        try:
            seed = processes.seed_of(self.settings.seed_everything)
        except ValueError as mistake:
            self.origins.refuse(str(mistake), mistake)
        self.settings.seed_everything = L.seed_everything(seed, workers=True, verbose=False)

    def before_instantiate_classes(self) -> None:
        renew_defaults(self.settings, self.origins)
        check_settings(self.settings, self.origins)
        if "init_args" not in self.settings.model.net:  # Lightning notes there what comes linked
            self.settings.model.net.init_args = type(self.settings)()
        ends = self.origins.give("trainer.max_steps") or self.origins.give("trainer.max_time")
        if ends and not self.origins.give("trainer.max_epochs"):
            self.settings.trainer.max_epochs = -1
        if self.subcommand != "fit" and not self.settings.ckpt_path:
            print("no --ckpt_path: these are the initial weights, as the seed draws them")

    def instantiate_classes(self) -> None:
        maker = Maker()
        try:
            self.parser.add_instantiator(maker, object)
            super().instantiate_classes()
            self.check_processes()
            check_monitors(self.trainer, self.model)
            check_fits(self.settings.get("ckpt_path"), self.model)
            if self.subcommand == "fit":
                try_update(self.model, self.datamodule, self.trainer)
            threads = self.settings.threads or threads_for(self.datamodule, self.model)
            self.study = study.follow(
                self.trainer, self.model, self.datamodule, self.settings.seed_everything
            )
        except Exception as failure:  # a class of the user's or a library's may raise anything
            failure = maker.refused(failure)
            fail(line_of(failure, self.settings, self.origins), failure)
        fuse(self.trainer)
        if threads:
            processes.use_threads(threads, self.trainer)

    def check_processes(self) -> None:
        """Find what the number of processes or their precision does not go with."""
        typed = self.words == sys.argv[1:]
        processes.check(self.trainer, self.model, self.subcommand, typed)
        path = self.settings.get("ckpt_path")
        processes.check_left(Path(self.trainer.default_root_dir), path)
        check_precision(self.trainer, self.model, self.settings.trainer.precision)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        plugins = self.settings.trainer.plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        kwargs["plugins"] = [*plugins, checkpoints.WholeCheckpointIO()]
        if self.settings.trainer.enable_progress_bar is None:
            kwargs["enable_progress_bar"] = sys.stdout.isatty()
        if self.settings.trainer.enable_checkpointing is False:
            self._parser(self.subcommand).callback_keys.clear()
        return super().instantiate_trainer(**kwargs)

    def _run_subcommand(self, subcommand: str) -> None:
        there_before = self.directory is not None
        try:
            if not self.settings.trainer.fast_dev_run:
                self.open_run()
            with processes.together(self.trainer), stoppable(self.trainer):
                super()._run_subcommand(subcommand)
        except Stopped:
            print(f"\nstopped after update {self.trainer.global_step}; to go on:")
            print(f"perceptrons fit --resume {quote(str(self.directory))}")
            raise
        except NonFiniteLossError as failure:
            fail(str(failure), failure, status=1)
        except BrokenPipeError:  # who reads what is printed has read enough
            raise
        except OSError as failure:
            fail(f"{failure.strerror or failure}: {failure.filename or self.directory}", failure, 1)
        except Exception as failure:
            running = self.trainer.fit_loop.epoch_loop.running
            if self.directory and not (there_before or running):  # the run never started
                shutil.rmtree(self.directory)
            line = line_of(failure, self.settings, self.origins)
            fail(processes.by(self.trainer) + line, failure, status=1 if running else 2)

    def open_run(self) -> None:
        """Lead what is written to the run's directory, which is made where it is not there yet."""
        file = self.settings.ckpt_path
        checkpoint = checkpoints.read(Path(file)) if file else {}
        self.done = checkpoint.get("global_step", 0)
        if checkpoint and self.subcommand == "fit":
            check_end(self.settings.trainer, checkpoint)
        if self.trainer.is_global_zero:
            directory = self.directory = self.directory or self.new_run()
        else:
            directory, self.directory = Path(os.devnull), None
        if self.resumed and self.directory:
            provenance.extend(directory, self.origins.all_words, self.origins.given(FREE))
        if self.settings.trainer.logger in (None, True):
            purge = self.done + bool(file) if self.resumed else None
            self.trainer.loggers = [RunLogger(directory, purge)]
        for saver in self.trainer.checkpoint_callbacks:
            if isinstance(saver, ModelCheckpoint) and saver.dirpath is None:
                saver.dirpath = str(directory / "checkpoints")
        if self.subcommand == "fit":
            if self.directory:
                self.add_figures(directory)
            self.save_exactly(directory)
        else:
            # where to log it
            self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.done

    def new_run(self) -> Path:
        """Make a directory for the run, and write down there what it is."""
        self.settings.name = self.origins.name() or "run"
        root = Path(self.trainer.default_root_dir, runs.ROOT)
        directory = runs.new_run(root, runs.checked(self.settings.name))
        given = self._parser(self.subcommand).dump(self.settings, skip_default=True)
        flags = [str(self.subcommand), *as_flags(yaml.safe_load(given))]
        provenance.begin(directory, self.origins.all_words, self.dumped, flags, self.trainer)
        return directory

    @cached_property
    def dumped(self) -> str:
        """All settings as YAML, once the run has its name; that takes a twentieth of a second."""
        return cast(str, self._parser(self.subcommand).dump(self.settings))

    def save_exactly(self, directory: Path) -> None:
        """Let checkpoints hold all that a run needs to go on as if it had never stopped."""
        flags, optimizer = self.origins.flags, "model.optimizer"
        given = self.origins.give(optimizer) or any(f.startswith(optimizer) for f in flags)
        self.exact = checkpoints.ExactResume(
            directory, self.sections(), rates_given=given and not self.resumed
        )
        callbacks_of(self.trainer).insert(0, self.exact)
        if self.resumed and self.settings.ckpt_path:
            self.trainer.num_sanity_val_steps = 0  # that report is there already

    def add_figures(self, directory: Path) -> None:
        """Have written to TensorBoard, and noted for the figures, what there is to see."""
        begun = self.resumed and bool(self.settings.ckpt_path)
        board = Board(settings_of(directory), (directory / "config.yaml").read_text(), begun)
        callbacks_of(self.trainer).insert(0, board)
        if self.settings.figures:
            self.figures = Figures(begun)
            callbacks_of(self.trainer).insert(0, self.figures)

    def sections(self) -> dict[str, Any]:
        """The settings that a checkpoint needs to be taken up."""
        settings = yaml.safe_load(self.dumped)
        sections = {key: settings[key] for key in ("seed_everything", "data", "model")}
        if precision := self.settings.trainer.precision:
            sections["trainer"] = {"precision": precision}
        return sections

    def after_fit(self) -> None:
        """Write the results, and show what was learned and where it is."""
        if self.directory is None:
            return
        updates, seconds = self.trainer.global_step, round(self.exact.seconds, 3)
        if updates == self.done:
            print("nothing was left to do: more by --trainer.max_epochs or --trainer.max_steps")
        results = {"updates": updates, "seconds": seconds, **self.model.measured}
        if self.study:
            rows = self.study.results(self.model, self.settings.seed_everything)
            write_study(self.directory, results, rows)
        else:
            show_answers(self.model, self.datamodule)
        runs.write_json(self.directory / "metrics.json", results)
        provenance.end(self.directory)
        print(f"\nrun:  {self.directory}")
        print(f"look: tensorboard --logdir {quote(str(self.directory.parent))} --host localhost")
        if self.figures and any(isinstance(logger, RunLogger) for logger in self.trainer.loggers):
            self.figures.draw(self.trainer, self.directory)

    def validate(self, verbose: bool = True, **options: Any) -> None:
        self.trainer.validate(verbose=False, **options)
        if verbose:
            show_measures(self.trainer)

    def test(self, verbose: bool = True, **options: Any) -> None:
        self.trainer.test(verbose=False, **options)
        if verbose:
            show_measures(self.trainer)

    def predict(self, model: Classifier, datamodule: L.LightningDataModule, **options: Any) -> None:
        """Predict, print the first rows and write them all to ``predictions.csv``."""
        batches = self.trainer.predict(model, datamodule=datamodule, **options) or []
        write_predictions(batches, datamodule, self.directory)


def main(args: list[str] | None = None) -> None:
    """Run a command, from ``args`` or else from the command line.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if the training failed, 130 or 143
            if it was stopped by Ctrl-C or SIGTERM.
    """
    words = sys.argv[1:] if args is None else args
    if not commands.run(words):
        quiet()
        processes.hush()
        CLI(words)
