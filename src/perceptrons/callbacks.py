"""What to watch while it trains."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

FORMATS = {"loss": ".6f", "accuracy": "7.2%", "solved": "7.2%"}


class RunLogger(TensorBoardLogger):
    """TensorBoard's events right inside a run's directory.

    Args:
        directory: The directory.
        purge: Update from which on earlier events are void: those of a run that is taken up again.
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
    """Prints a line at each report, the first before any update: passes made, loss and accuracy."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn == "fit":
            pl_module.print(f"Epoch: {progress(trainer)} {summary(pl_module.measured)}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not trainer.enable_validation:
            pl_module.report()
            self.on_validation_end(trainer, pl_module)


def progress(trainer: Any) -> str:
    """Passes made and passes to make, such as `` 100/1000``."""
    passes = getattr(trainer.datamodule, "passes", 1)
    if trainer.sanity_checking:  # before the first update
        done = passes * trainer.fit_loop.epoch_progress.current.processed
    else:
        batches = trainer.fit_loop.epoch_loop.batch_progress.total.processed
        an_epoch = sized_len(trainer.train_dataloader)
        done = passes * batches // an_epoch if an_epoch else trainer.current_epoch
    if trainer.max_epochs is None or trainer.max_epochs < 0:
        return str(done)
    total = passes * trainer.max_epochs
    return f"{done:>{len(str(total))}}/{total}"


def summary(measured: dict[str, float]) -> str:
    """Loss and accuracy of the training rows, then of the validation rows where they are others."""
    train, val = (
        {name: measured[f"{stage}/{name}"] for name in FORMATS if f"{stage}/{name}" in measured}
        for stage in ("train", "val")
    )
    said = [f"{name.capitalize()}: {value:{FORMATS[name]}}" for name, value in train.items()]
    if val != train:
        said += [f"Val {name}: {value:{FORMATS[name]}}" for name, value in val.items()]
    return " ".join(said)
