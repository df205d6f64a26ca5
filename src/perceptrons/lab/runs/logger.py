"""What is watched while a run trains: TensorBoard's points, and a line for each report."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from .text import say


class RunLogger(TensorBoardLogger):
    """TensorBoard's events right inside a run's directory.

    Args:
        directory: The directory.
        purge: Update from which on earlier events are void: those of a run that is resumed.
    """

    def __init__(self, directory: Path, purge: int | None = None) -> None:
        super().__init__(directory, "", "", default_hp_metric=False, purge_step=purge)
        # TensorBoard reads the files of events by name, in which there are whole seconds
        if any(directory.glob(f"events.out.tfevents.{int(time.time())}.*")):
            time.sleep(1 - time.time() % 1)

    def save(self) -> None:
        # without Lightning's hparams.yaml: config.yaml has it all
        self.experiment.flush()


class Report(Callback):
    """Prints a line at each report, the first before any update.

    Lightning throws away what its check before the training measures, and logs by its own count of
    batches, which lags behind where one batch is many updates. So that check is an ordinary report
    here, but for callbacks that come later, and each report logs ``step``, by which loggers go.
    """

    takes_spans = True

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.validating, self.first = True, True

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            pl_module.log("step", float(trainer.global_step))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            if getattr(self, "first", False):
                trainer.sanity_checking, self.first = True, False
            self.report(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("step", float(trainer.global_step))
        if not trainer.enable_validation:
            self.report(trainer)

    def report(self, trainer: L.Trainer) -> None:
        if not trainer.is_global_zero:
            return
        shown = dict(measured(trainer))
        said = " ".join(f"{name} {value:{form(name)}}" for name, value in few(shown).items())
        say(f"Epoch {progress(trainer)}  {said}")


def measured(trainer: L.Trainer) -> dict[str, float]:
    """All that was measured last, by its name."""
    found = trainer.callback_metrics
    return {name: float(value) for name, value in found.items() if name != "step"}


def few(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics but for those of validation that are the same as of training: the same rows."""
    twins = {name: f"train/{name[4:]}" for name in metrics if name.startswith("val/")}
    return {
        name: value
        for name, value in metrics.items()
        if name not in twins or metrics.get(twins[name]) != value
    }


def form(name: str) -> str:
    return "7.2%" if name.endswith(("accuracy", "solved")) else ".6f"


def progress(trainer: Any) -> str:
    """Epochs and updates made, such as `` 3/10  update 3000``."""
    done = trainer.current_epoch + (not trainer.sanity_checking)
    if trainer.sanity_checking:  # before the first update
        done = trainer.fit_loop.epoch_progress.current.processed
    if trainer.max_epochs is None or trainer.max_epochs < 0:
        return f"{done}  update {trainer.global_step}"
    total = str(trainer.max_epochs)
    return f"{done:>{len(total)}}/{total}  update {trainer.global_step}"
