"""Fused runs against Lightning's own, update by update: nothing but the time may differ."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from conftest import quiet_trainer
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    Timer,
)
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from perceptrons.classifier import Classifier
from perceptrons.data import Blobs, Gates
from perceptrons.fused import fuse, fusible
from perceptrons.network import MLP, Perceptron

Make = Callable[[], Any]


class Watched(Classifier):
    """A classifier that counts the updates that come through Lightning."""

    looks = 0

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.looks += 1
        super().on_train_batch_end(*args, **kwargs)


@dataclass
class Case:
    """A run: its network, its data, and the settings of the classifier and of the trainer."""

    module: type[Watched] = Watched
    net: Make = lambda: MLP(2, hidden=[3])
    data: Make = lambda: Gates("xor", passes=20)
    model: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    callbacks: list[Make] = field(default_factory=list)


def run(case: Case, directory: Path, how: str) -> L.Trainer:
    """Train: ``fused``, ``stock`` for Lightning as it is, ``looked at`` for a look at each update.

    Two seeds, so that nothing hangs on the one from which the weights were drawn.
    """
    torch.manual_seed(6)
    model = case.module(case.net(), **case.model)
    torch.manual_seed(7)
    settings: dict[str, Any] = {
        "max_epochs": 3,
        "log_every_n_steps": 1000,
        "logger": TensorBoardLogger(directory, name="", version="", default_hp_metric=False),
        "callbacks": [made() for made in case.callbacks],
        "enable_checkpointing": True,
        "default_root_dir": directory,
    }
    settings |= case.trainer
    if how == "looked at":
        settings["log_every_n_steps"] = 1
    trainer = quiet_trainer(**settings)
    for saver in trainer.checkpoint_callbacks:
        assert isinstance(saver, ModelCheckpoint)
        saver.dirpath = str(directory / "checkpoints")
    if how != "stock":
        fuse(trainer)
    trainer.fit(model, datamodule=case.data())
    return trainer


def looks(trainer: L.Trainer) -> int:
    model = trainer.lightning_module
    assert isinstance(model, Watched)
    return model.looks


def scalars(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: for each name, the x axis and the values."""
    events = EventAccumulator(str(directory)).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def checkpoints(directory: Path) -> dict[str, dict[str, Any]]:
    """Every checkpoint of a run by its name, without what names the directory."""
    found = {}
    for path in (directory / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=False)
        content.pop("callbacks")
        found[path.name] = content
    return found


def assert_same(left: Any, right: Any) -> None:
    """Equal to the bit, tensors and what holds tensors too."""
    assert type(left) is type(right)
    if isinstance(left, Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert left == right


def assert_same_end(left: L.Trainer, right: L.Trainer) -> None:
    assert left.global_step == right.global_step
    assert_same(left.lightning_module.state_dict(), right.lightning_module.state_dict())
    assert_same(left.optimizers[0].state_dict(), right.optimizers[0].state_dict())
    for one, other in zip(left.lr_scheduler_configs, right.lr_scheduler_configs, strict=True):
        assert_same(one.scheduler.state_dict(), other.scheduler.state_dict())


def sgd(lr: float = 1.0, **settings: Any) -> dict[str, Any]:
    return {"optimizer": lambda params: torch.optim.SGD(params, lr=lr, **settings)}


def minibatches(passes: int = 5) -> Blobs:
    """Six batches of 16 and one of 4 in each pass."""
    return Blobs(100, passes=passes, batch_size=16, shuffle=True)


CASES = {
    "full batch": Case(),
    "in order": Case(
        data=lambda: Gates("xor", inputs=3, passes=6, batch_size=3), net=lambda: MLP(3)
    ),
    "shuffled, with a remainder": Case(data=minibatches),
    "momentum": Case(model=sgd(0.3, momentum=0.9, nesterov=True), data=minibatches),
    "adam": Case(model={"optimizer": lambda params: torch.optim.AdamW(params, lr=0.05)}),
    "biases at their own rate": Case(model={"bias_lr_factor": 0.25}),
    "by hand": Case(model={"gradients": "by_hand", "loss": "mse"}, data=minibatches),
    "softmax": Case(
        net=lambda: Perceptron(2, 3),
        data=lambda: Blobs(90, centers=3, val_fraction=0.2, passes=7, batch_size=20, shuffle=True),
        model={"classes": 3, "loss": "cross_entropy"},
    ),
    "dropout": Case(
        net=lambda: nn.Sequential(nn.Linear(2, 9), nn.Dropout(), nn.ReLU(), nn.Linear(9, 1)),
        model=sgd(0.1),
    ),
    "a scheduler": Case(model={"scheduler": lambda optimizer: StepLR(optimizer, 7, 0.8)}),
    "a scheduler that moves the momentum": Case(
        model=sgd(0.1, momentum=0.9)
        | {"scheduler": lambda optimizer: OneCycleLR(optimizer, 1.0, total_steps=60)}
    ),
    "reduce on plateau": Case(
        model={"scheduler": lambda optimizer: ReduceLROnPlateau(optimizer, "val/loss", patience=0)},
    ),
    "a report every other epoch": Case(
        trainer={"check_val_every_n_epoch": 2, "max_epochs": 4},
        callbacks=[lambda: ModelCheckpoint(monitor="val/loss")],
    ),
    "a part of each epoch": Case(trainer={"limit_train_batches": 9}, data=minibatches),
    "checkpoints every 7 updates": Case(
        callbacks=[lambda: ModelCheckpoint(every_n_train_steps=7, save_top_k=-1)]
    ),
    "checkpoints every 7 and every 10 updates": Case(
        callbacks=[
            lambda: ModelCheckpoint(every_n_train_steps=7, save_top_k=-1),
            lambda: ModelCheckpoint(filename="ten-{step}", every_n_train_steps=10, save_top_k=-1),
        ]
    ),
    "the best and the last": Case(
        callbacks=[lambda: ModelCheckpoint(monitor="val/loss", filename="best", save_last=True)]
    ),
    "max_steps at the end of an epoch": Case(trainer={"max_steps": 40}),
    "as many epochs as max_steps takes": Case(trainer={"max_epochs": -1, "max_steps": 60}),
    "learning rates logged every 9 updates": Case(
        callbacks=[lambda: LearningRateMonitor("step")],
        trainer={"log_every_n_steps": 9},
        model={"scheduler": lambda optimizer: StepLR(optimizer, 7, 0.8)},
    ),
}
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_a_fused_run_is_lightnings_own_to_the_bit(name: str, tmp_path: Path) -> None:
    fused, stock = (run(CASES[name], tmp_path / how, how) for how in ("fused", "stock"))
    assert looks(fused) < looks(stock)
    assert_same_end(fused, stock)
    assert_same(scalars(tmp_path / "fused"), scalars(tmp_path / "stock"))
    assert_same(checkpoints(tmp_path / "fused"), checkpoints(tmp_path / "stock"))
    assert checkpoints(tmp_path / "fused")


def test_early_stopping_stops_at_the_same_report(tmp_path: Path) -> None:
    case = Case(
        callbacks=[lambda: EarlyStopping("val/loss", min_delta=0.01, patience=2)],
        trainer={"max_epochs": 40},
    )
    fused, stock = (run(case, tmp_path / how, how) for how in ("fused", "stock"))
    assert fused.global_step < 40 * 20
    assert_same_end(fused, stock)
    assert_same(scalars(tmp_path / "fused"), scalars(tmp_path / "stock"))


LBFGS = Case(model={"optimizer": lambda params: torch.optim.LBFGS(params, lr=0.1, max_iter=3)})


def test_an_optimizer_that_takes_the_loss_several_times_ends_the_same(tmp_path: Path) -> None:
    fused, stock = (run(LBFGS, tmp_path / how, how) for how in ("fused", "stock"))
    assert looks(fused) == 3
    assert_same_end(fused, stock)
    assert_same(scalars(tmp_path / "fused"), scalars(tmp_path / "stock"))


def test_an_optimizer_that_takes_the_loss_several_times_counts_the_same(tmp_path: Path) -> None:
    for how in ("fused", "stock"):
        run(LBFGS, tmp_path / how, how)
    assert_same(checkpoints(tmp_path / "fused"), checkpoints(tmp_path / "stock"))


@pytest.mark.parametrize(
    ("trainer", "updates"),
    [
        *(({"max_steps": updates}, updates) for updates in (1, 7, 23, 41)),
        ({"val_check_interval": 8}, 105),
        ({"val_check_interval": 0.33}, 105),
        ({"val_check_interval": 13, "check_val_every_n_epoch": None}, 105),
        ({"check_val_every_n_epoch": 2}, 105),
    ],
)
def test_a_run_ends_with_a_report_wherever_it_ends(
    trainer: dict[str, Any], updates: int, tmp_path: Path
) -> None:
    case = Case(trainer=trainer, data=minibatches)
    fused, stock, seen = (run(case, tmp_path / how, how) for how in ("fused", "stock", "looked at"))
    assert fused.global_step == updates
    assert_same_end(fused, stock)
    assert_same_end(fused, seen)
    assert looks(seen) == updates
    assert_same(scalars(tmp_path / "fused"), scalars(tmp_path / "looked at"))
    assert scalars(tmp_path / "fused")["val/loss"][-1][0] == updates
    assert_same(checkpoints(tmp_path / "fused"), checkpoints(tmp_path / "looked at"))


@pytest.mark.parametrize("every", [1, 6, 20, 50])
def test_looking_more_often_changes_nothing(every: int, tmp_path: Path) -> None:
    case, more = Case(data=minibatches), Case(data=minibatches)
    more.trainer = {"log_every_n_steps": every}
    seldom, often = run(case, tmp_path / "seldom", "fused"), run(more, tmp_path / "often", "fused")
    assert looks(seldom) < looks(often)
    assert_same_end(seldom, often)
    assert_same(scalars(tmp_path / "seldom"), scalars(tmp_path / "often"))


def test_lightning_sees_one_update_for_each_report(tmp_path: Path) -> None:
    trainer = run(Case(data=lambda: Gates("xor", passes=100)), tmp_path, "fused")
    assert trainer.global_step == 300
    assert looks(trainer) == 3


def test_lightning_sees_the_updates_it_logs_saves_or_reports_at(tmp_path: Path) -> None:
    case = Case(
        data=lambda: Gates("xor", passes=100),
        trainer={"log_every_n_steps": 40, "val_check_interval": 30, "max_epochs": 1},
        callbacks=[lambda: ModelCheckpoint(every_n_train_steps=70)],
    )
    trainer = run(case, tmp_path, "fused")
    assert looks(trainer) == len({40, 80} | {30, 60, 90} | {70} | {100})


def test_a_timer_does_not_slow_a_run_down(tmp_path: Path) -> None:
    trainer = run(Case(callbacks=[lambda: Timer("00:01:00:00")]), tmp_path, "fused")
    assert looks(trainer) == 3


def test_the_x_axis_and_the_checkpoints_count_updates(tmp_path: Path) -> None:
    case = Case(
        data=lambda: Gates("xor", passes=50),
        callbacks=[lambda: ModelCheckpoint(monitor="val/loss", filename="best", save_last=True)],
    )
    run(case, tmp_path, "fused")
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        assert [step for step, _ in scalars(tmp_path)[name]][-3:] == [50, 100, 150]
    assert checkpoints(tmp_path)["last.ckpt"]["global_step"] == 150
    assert checkpoints(tmp_path)["best.ckpt"]["global_step"] in (50, 100, 150)


class Seeing(Callback):
    """A callback that must see each update."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        self.seen.append(trainer.global_step)


class SeeingMonitor(LearningRateMonitor):
    """One of Lightning's callbacks that needs only the looks, made to need each update."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.seen.append(trainer.global_step)


class Moving(Gates):
    """A data module with a say in where each batch goes."""

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch


class Strict(Watched):
    """A module with a hook of its own for each update."""

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        pass


class Numbered(Watched):
    """A module that notes the numbers of its batches."""

    once_per_look = Watched.once_per_look

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.numbers = [*getattr(self, "numbers", []), batch_idx]
        return super().training_step(batch, batch_idx)


class Plain(L.LightningModule):
    """A module that does not say whether it may be fused."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], *numbers: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


UNFUSED = {
    "a callback for each update": Case(callbacks=[Seeing]),
    "a hook of the module's": Case(module=Strict),
    "a hook of the data module's": Case(data=lambda: Moving("xor", passes=20)),
    "clipped gradients": Case(trainer={"gradient_clip_val": 0.01}),
    "accumulated gradients": Case(trainer={"accumulate_grad_batches": 3}),
    "double precision": Case(trainer={"precision": "64-true"}),
    "a profiler": Case(trainer={"profiler": "simple"}),
}


@pytest.mark.parametrize("name", UNFUSED)
def test_what_could_tell_the_difference_goes_unfused(name: str, tmp_path: Path) -> None:
    fused, stock = (run(UNFUSED[name], tmp_path / how, how) for how in ("fused", "stock"))
    assert not fusible(fused)
    assert looks(fused) == 60
    assert_same_end(fused, stock)


def test_a_module_is_told_the_number_of_each_batch(tmp_path: Path) -> None:
    trainer = run(Case(module=Numbered, data=minibatches), tmp_path, "fused")
    assert looks(trainer) == 3
    model = trainer.lightning_module
    assert isinstance(model, Numbered)
    assert model.numbers == [*range(35)] * 3


def test_a_module_that_does_not_say_so_goes_unfused() -> None:
    for module, allowed in ((Plain(Perceptron(2)), False), (Classifier(Perceptron(2)), True)):
        trainer = quiet_trainer(max_epochs=1)
        fuse(trainer)
        trainer.fit(module, datamodule=Gates("and"))
        assert fusible(trainer) == allowed


def test_a_callback_for_each_update_sees_each(tmp_path: Path) -> None:
    seeing = Seeing()
    run(Case(callbacks=[lambda: seeing]), tmp_path, "fused")
    assert seeing.seen == list(range(60))


def test_a_callback_that_needs_only_the_looks_lets_a_run_fuse(tmp_path: Path) -> None:
    seeing = Seeing()
    seeing.once_per_look = ("on_train_batch_start",)  # type: ignore[attr-defined]
    trainer = run(Case(callbacks=[lambda: seeing]), tmp_path, "fused")
    assert fusible(trainer)
    assert seeing.seen == [19, 39, 59]


def test_a_callback_made_from_one_of_lightnings_sees_each_update(tmp_path: Path) -> None:
    seeing = SeeingMonitor()
    run(Case(callbacks=[lambda: seeing]), tmp_path, "fused")
    assert seeing.seen == list(range(1, 61))


class Loading(Gates):
    """Batches from torch's own loader, shuffled by torch's own random numbers."""

    def train_dataloader(self) -> Any:
        dataset = torch.utils.data.TensorDataset(*self.split["train"])
        return torch.utils.data.DataLoader(dataset, batch_size=3, shuffle=True)


class Streaming(Gates):
    """Batches from a source that does not know how many it has."""

    def train_dataloader(self) -> Any:
        return Stream(super().train_dataloader())


class Stream:
    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_batches_from_torchs_loader_come_in_the_same_order(tmp_path: Path) -> None:
    case = Case(data=lambda: Loading("xor", inputs=4), net=lambda: Perceptron(4))
    fused, stock = (run(case, tmp_path / how, how) for how in ("fused", "stock"))
    assert (looks(fused), looks(stock)) == (3, 18)
    assert_same_end(fused, stock)


def test_batches_of_an_unknown_number_come_in_the_same_order(tmp_path: Path) -> None:
    case = Case(data=lambda: Streaming("xor", passes=5, batch_size=1))
    fused, stock = (run(case, tmp_path / how, how) for how in ("fused", "stock"))
    assert_same_end(fused, stock)
