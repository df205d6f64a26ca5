"""What to watch while it trains."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback


class Report(Callback):
    """Prints a line at each report, the first before any update: passes so far, loss and accuracy.

    Where the data keeps validation rows apart, their loss and accuracy follow.
    """

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            measured: dict[str, float] = pl_module.measured
            pl_module.print(f"Epoch: {progress(trainer)} {line(measured)}")


def progress(trainer: L.Trainer) -> str:
    """Passes made and passes to make, such as `` 100/1000``."""
    data: Any = trainer.datamodule
    passes = getattr(data, "passes", 1)
    done = passes * trainer.global_step // trainer.num_training_batches if trainer.global_step else 0
    if trainer.max_epochs is None or trainer.max_epochs < 0:
        return str(done)
    total = passes * trainer.max_epochs
    return f"{done:>{len(str(total))}}/{total}"


def line(measured: dict[str, float]) -> str:
    """Loss and accuracy of the training rows, then of the validation rows where they are others."""
    train, val = ([measured.get(f"{stage}/{name}") for name in ("loss", "accuracy")] for stage in ("train", "val"))
    if None in train:
        return "Val loss: {:.6f} Val accuracy: {:7.2%}".format(*val)
    shown = "Loss: {:.6f} Accuracy: {:7.2%}".format(*train)
    return shown if train == val else shown + " Val loss: {:.6f} Val accuracy: {:7.2%}".format(*val)
