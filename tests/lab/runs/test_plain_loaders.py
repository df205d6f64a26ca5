"""Ordinary DataLoaders: a run that is stopped in an epoch ends as one that was never stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import subject  # noqa: F401
import torch
from conftest import Command
from run_outcome import differences, outcome
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, WeightedRandomSampler

RUN = Path("lightning_logs", "r", "version_0")
END = "--trainer.max_epochs 4 --best.monitor val/error --figures false"
FIT = f"fit --model Dropping --trainer.callbacks {__name__}.StopOnce {END}"


class Dropping(L.LightningModule):
    """An autoencoder with dropout, which draws random numbers at each batch, and in a hook."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 4), nn.Dropout(), nn.Linear(4, inputs))

    def on_train_epoch_start(self) -> None:
        self.scale = torch.rand(())

    def on_train_start(self) -> None:
        torch.rand(1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if isinstance(batch, dict):
            batch = torch.cat([batch["a"], batch["b"]])
        error: Tensor = (self.layers(batch) - batch).square().mean()
        self.log("train/error", error, on_step=False, on_epoch=True, batch_size=len(batch))
        return error

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/error", (self.layers(batch) - batch).abs().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.05)


class Noisy(Dataset[Tensor]):
    """Rows that are others each time they are read."""

    def __init__(self, rows: int = 22, noise: float = 0.1) -> None:
        self.noise = noise
        self.rows = torch.arange(3.0 * rows).reshape(rows, 3) / 50

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> Tensor:
        return self.rows[at] + self.noise * torch.rand(3)


class Stream(IterableDataset[Tensor]):
    """Rows without a number of them, drawn from what is drawn where it begins."""

    def __iter__(self) -> Iterator[Tensor]:
        yield from torch.randn(22, 3)


def global_order() -> Any:
    return DataLoader(Noisy(), 4, shuffle=True)


def own_generator() -> Any:
    return DataLoader(Noisy(), 4, shuffle=True, generator=torch.Generator().manual_seed(3))


def own_sampler() -> Any:
    generator = torch.Generator().manual_seed(4)
    sampler = WeightedRandomSampler(torch.arange(1, 23).tolist(), 22, generator=generator)
    return DataLoader(Noisy(), batch_size=4, sampler=sampler)


def workers() -> Any:
    return DataLoader(Noisy(), 4, shuffle=True, num_workers=2)


def persistent_workers() -> Any:
    return DataLoader(Noisy(noise=0), 4, shuffle=True, num_workers=1, persistent_workers=True)


def stream() -> Any:
    return DataLoader(Stream(), batch_size=4)


def several() -> Any:
    return {"a": global_order(), "b": DataLoader(Noisy(9), 2, shuffle=True)}


def subset() -> Any:
    """Rows that are chosen where the loader is made."""
    chosen = torch.utils.data.Subset(Noisy(), torch.randperm(22)[:18].tolist())
    return DataLoader(chosen, 4, shuffle=True)


LOADERS = {
    each.__name__: each
    for each in (
        global_order,
        own_generator,
        own_sampler,
        workers,
        persistent_workers,
        stream,
        several,
        subset,
    )
}


class Ordinary(L.LightningDataModule):
    """A loader of each kind.

    Args:
        kind: Its name.
    """

    inputs = 3

    def __init__(self, kind: str = "global_order") -> None:
        super().__init__()
        self.kind = kind

    def train_dataloader(self) -> Any:
        return LOADERS[self.kind]()

    def val_dataloader(self) -> Any:
        return DataLoader(Noisy(6), 3)


class StopOnce(L.Callback):
    """Ends the process after some update, once."""

    after, by = 0, signal.SIGTERM

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == StopOnce.after:
            StopOnce.after = 0
            os.kill(os.getpid(), StopOnce.by)


def unlike(one: Path, other: Path) -> list[str]:
    """Where two runs differ, but for their names."""
    first, second = outcome(one), outcome(other)
    for each in (first, second):
        for kept in ("best", "last"):
            del each[kept]["settings"]
    return differences(first, second)


@pytest.mark.parametrize(
    "after", [3, 6, 9], ids=["inside the first epoch", "between epochs", "later"]
)
@pytest.mark.parametrize("kind", LOADERS)
def test_a_run_on_a_plain_loader_is_resumed_to_the_bit(
    command: Command, kind: str, after: int
) -> None:
    if kind == "subset":
        after = 5 if after == 6 else after
    fit = f"{FIT} --data Ordinary --data.kind {kind}"
    whole = command(f"{fit} --name whole")
    assert whole.status == 0, whole.err
    StopOnce.after = after
    assert command(f"{fit} --name r").status == 143
    resumed = command(f"fit --resume {RUN} --trust {__name__}")
    assert (resumed.status, resumed.err) == (0, "")
    assert not unlike(Path("lightning_logs/whole/version_0"), RUN)


CHILD = f"import sys; sys.path[:0] = {sys.path}; import {__name__} as here; here.child()"


def child() -> None:
    """A process of its own, which may be killed."""
    from perceptrons.__main__ import main

    StopOnce.after, StopOnce.by = int(sys.argv.pop()), signal.SIGKILL
    main()


@pytest.mark.parametrize("after", [6, 9])
def test_so_is_one_whose_loaders_are_made_anew_for_each_epoch(command: Command, after: int) -> None:
    fit = f"{FIT} --data Ordinary --trainer.reload_dataloaders_every_n_epochs 1"
    assert command(f"{fit} --name whole").status == 0
    StopOnce.after = after
    assert command(f"{fit} --name r").status == 143
    assert command(f"fit --resume {RUN} --trust {__name__}").status == 0
    assert not unlike(Path("lightning_logs/whole/version_0"), RUN)


@pytest.mark.slow
def test_a_run_on_a_plain_loader_that_is_killed_inside_an_epoch_is_resumed_to_the_bit(
    in_tmp: Path,
) -> None:
    kept = "--last.every_n_train_steps 2 --last.save_on_train_epoch_end false"
    fit = f"{FIT} --data Ordinary {kept}"

    def run(words: str, after: int) -> int:
        return subprocess.run([sys.executable, "-c", CHILD, *words.split(), str(after)]).returncode

    assert run(f"{fit} --name whole", 0) == 0
    assert run(f"{fit} --name r", 9) == -signal.SIGKILL
    assert run(f"fit --resume {RUN} --trust {__name__}", 0) == 0
    assert not unlike(Path("lightning_logs/whole/version_0"), RUN)
