"""Train on a table of a million rows by 30 columns: seconds, and memory, which no epoch adds to.

The table is written to a CSV file first, read from it as anyone's is, and its batches are views of
what was read. Ends with status 1 if the last epoch left more memory in use than the first. Memory
is looked up as Linux has it.
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback

from perceptrons import MLP, Classifier
from perceptrons.lab.cli.settings import quiet
from perceptrons.lab.data.table import Table
from perceptrons.lab.training.spans import use_spans

ROWS, COLUMNS, EPOCHS = 1_000_000, 30, 6


class Memory(Callback):
    """Notes, and prints, the time and the memory in use after each epoch."""

    def __init__(self) -> None:
        self.start, self.used = time.perf_counter(), [0]

    def line(self, what: str) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.used.append(pages * os.sysconf("SC_PAGE_SIZE") // 2**20)
        seconds = time.perf_counter() - self.start
        print(f"{what:<24}{seconds:>8.1f} s{self.used[-1]:>8} MiB")
        self.start = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.line(f"pass and report {trainer.current_epoch + 1}")


def write(path: Path) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(ROWS, COLUMNS)).round(4)
    frame = pd.DataFrame(x, columns=[f"x{number}" for number in range(COLUMNS)])
    frame["kind"] = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    frame.to_csv(path, index=False)


def main() -> None:
    quiet()
    memory = Memory()
    with TemporaryDirectory() as directory:
        path = Path(directory, "million.csv")
        write(path)
        memory.line("written")
        data = Table(str(path), "kind", batch_size=8192)
        memory.line("read")
    data.setup("fit")
    memory.line("standardised")
    torch.manual_seed(0)
    model = Classifier(
        MLP(COLUMNS, hidden=[32], activation="relu"),
        optimizer=lambda params: torch.optim.Adam(params, lr=0.01),
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[memory],
    )
    use_spans(trainer, model, data)
    trainer.fit(model, datamodule=data)
    print(f"accuracy {trainer.callback_metrics['train/accuracy']:.4f}")
    sys.exit(memory.used[-1] > memory.used[-EPOCHS] + 10)


if __name__ == "__main__":
    main()
