"""What to watch while it trains."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger


class RunLogger(TensorBoardLogger):
    """TensorBoard's events right inside a run's directory.

    Args:
        directory: The directory.
        purge: Update from which on earlier events are void: those of a run that is taken up again.
    """

    def __init__(self, directory: Path, purge: int | None = None) -> None:
        super().__init__(directory, "", "", default_hp_metric=False, purge_step=purge)

    def save(self) -> None:
        # without Lightning's hparams.yaml: config.yaml has it all
        self.experiment.flush()


class Report(Callback):
    """Prints a line at each report, the first before any update: passes made, loss and accuracy."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn == "fit":
            pl_module.print(f"Epoch: {progress(trainer)} {summary(pl_module.measured)}")


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
        [measured[name] for name in (f"{stage}/loss", f"{stage}/accuracy") if name in measured]
        for stage in ("train", "val")
    )
    shown = "Loss: {:.6f} Accuracy: {:7.2%}".format(*train) if train else ""
    if val and val != train:
        shown += " Val loss: {:.6f} Val accuracy: {:7.2%}".format(*val)
    return shown.strip()
