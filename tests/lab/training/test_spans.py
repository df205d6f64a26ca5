"""Many updates in one Lightning step change nothing: the same bits, and counters count updates."""

import copy
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from conftest import quiet_trainer
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from lightning.pytorch.cli import ReduceLROnPlateau
from subject import MLP, Classifier
from torch import Tensor, nn

from perceptrons.lab.data.loader import Rows
from perceptrons.lab.data.tables import TableData
from perceptrons.lab.training.callbacks import (
    FiniteLoss,
    LastReport,
    NonFiniteLossError,
    PlateauStep,
)
from perceptrons.lab.training.spans import MOST, SpanLoader, use_spans


class Points(TableData):
    """Ten points of a plane, of two classes."""

    inputs, outputs, classes = 2, 1, 2

    def tables(self) -> dict[str, Rows]:
        x = torch.randn(10, 2, generator=torch.Generator().manual_seed(1))
        return dict.fromkeys(("train", "val", "test", "all"), (x, (x[:, :1] > 0).float()))


class Module(L.LightningModule):
    """A network, trained as anybody would with Lightning."""

    def __init__(
        self,
        optimizer: Any = None,
        scheduler: Any = None,
        dropout: float = 0.0,
        by_number: bool = False,
        skips: bool = False,
    ) -> None:
        super().__init__()
        self.by_number, self.skips = by_number, skips
        self.net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 1))
        self.make_optimizer = optimizer or (lambda weights: torch.optim.SGD(weights, lr=0.5))
        self.make_scheduler = scheduler

    def loss(self, batch: Rows) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(self.net(batch[0]), batch[1])

    def training_step(self, batch: Rows, batch_idx: int) -> Tensor | None:
        if self.skips and batch_idx % 3 == 1:
            return None
        loss = self.loss(batch)
        self.log("train/mean", loss, on_step=False, on_epoch=True)
        self.log("train/loss", loss)
        return loss * (batch_idx % 5) if self.by_number else loss

    def validation_step(self, batch: Rows, batch_idx: int) -> None:
        self.log("val/loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        if self.make_scheduler == "one cycle":  # over all updates, as Lightning's docs have it
            total = int(self.trainer.estimated_stepping_batches)
            scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=total)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
            }
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer)}


def fit(spans: bool, module: dict[str, Any], data: dict[str, Any], **trainer: Any) -> L.Trainer:
    L.seed_everything(3, verbose=False)
    made, points = Module(**module), Points(**data)
    callbacks = [*copy.deepcopy(trainer.pop("callbacks", [])), LastReport(), PlateauStep()]
    runs = quiet_trainer(callbacks=callbacks, **{"max_epochs": 3, **trainer})
    if spans:
        assert use_spans(runs, made, points)
    runs.fit(made, datamodule=points)
    return runs


def state(trainer: L.Trainer) -> list[Any]:
    """All that a training leaves: weights, optimizer, learning rate, counters, metrics."""
    (optimizer,) = trainer.optimizers
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    kept = [value for each in optimizer.state.values() for value in each.values()]
    return [
        *trainer.lightning_module.parameters(),
        *(value for value in kept if isinstance(value, Tensor)),
        torch.tensor([trainer.global_step, trainer.current_epoch]),
        torch.tensor([group["lr"] for group in optimizer.param_groups]),
        torch.tensor([metrics[name] for name in sorted(metrics)]),
    ]


def step_scheduler(optimizer: Any) -> Any:
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 7, 0.9)
    return {"scheduler": scheduler, "interval": "step"}


def plateau(optimizer: Any, monitor: str = "val/loss", **options: Any) -> Any:
    scheduler = ReduceLROnPlateau(optimizer, monitor=monitor, patience=0, threshold=0.5)
    return {"scheduler": scheduler, "monitor": monitor, **options}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "many passes": ({}, {"passes": 300}, {}),
    "batches, the last shorter": ({}, {"batch_size": 3, "passes": 50}, {}),
    "shuffled": ({}, {"batch_size": 4, "shuffle": True, "passes": 90}, {}),
    "one batch an epoch": ({}, {"passes": 1}, {}),
    "adam": ({"optimizer": lambda w: torch.optim.Adam(w, lr=0.01)}, {"passes": 150}, {}),
    "lbfgs": ({"optimizer": lambda w: torch.optim.LBFGS(w, lr=0.1)}, {"passes": 5}, {}),
    "dropout": ({"dropout": 0.3}, {"passes": 150}, {}),
    "scheduler at each update": ({"scheduler": step_scheduler}, {"passes": 150}, {}),
    "scheduler at each epoch": (
        {"scheduler": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5)},
        {"passes": 20},
        {"max_epochs": 5},
    ),
    "plateau": ({"scheduler": plateau}, {"passes": 20}, {"max_epochs": 6}),
    "clipping by norm": ({}, {"passes": 150}, {"gradient_clip_val": 0.01}),
    "clipping by value": (
        {},
        {"passes": 150},
        {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    ),
    "max_steps inside a span": ({}, {"passes": 300}, {"max_epochs": -1, "max_steps": 437}),
    "early stopping": (
        {},
        {"passes": 50},
        {"callbacks": [EarlyStopping("val/loss", min_delta=0.5)], "max_epochs": 9},
    ),
    "steps that go by the batch's number": (
        {"by_number": True},
        {"batch_size": 3, "passes": 90},
        {},
    ),
    "steps that skip a batch": ({"skips": True}, {"batch_size": 3, "passes": 30}, {}),
    "plateau, every second epoch": (
        {"scheduler": lambda o: plateau(o, interval="epoch", frequency=2)},
        {"passes": 20},
        {"max_epochs": 6},
    ),
    "plateau, at each update": (
        {"scheduler": lambda o: plateau(o, "train/loss", interval="step")},
        {"passes": 20},
        {},
    ),
    "scheduler at every third batch": (
        {"scheduler": lambda o: {**step_scheduler(o), "frequency": 3}},
        {"batch_size": 3, "passes": 20},
        {},
    ),
    "scheduler over all updates": ({"scheduler": "one cycle"}, {"passes": 150}, {}),
    "scheduler over all updates, by steps": (
        {"scheduler": "one cycle"},
        {"passes": 150},
        {"max_epochs": -1, "max_steps": 301},
    ),
    "validation every second epoch": ({}, {"passes": 20}, {"check_val_every_n_epoch": 2}),
}


@pytest.mark.parametrize("batches", [1, 2])
def test_as_many_batches_are_taken_as_the_trainer_is_limited_to(batches: int) -> None:
    points = Points(batch_size=2, passes=10)
    trainer = quiet_trainer(limit_train_batches=batches, max_epochs=1)
    module = Module()
    use_spans(trainer, module, points)
    trainer.fit(module, datamodule=points)
    assert trainer.global_step == batches


def test_a_schedule_that_is_too_short_is_found_before_the_first_update() -> None:
    def short(optimizer: Any) -> Any:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=59)
        return {"scheduler": scheduler, "interval": "step"}

    with pytest.raises(ValueError, match=r"^total_steps=59: the schedule is to last for 60"):
        fit(True, {"scheduler": short}, {"passes": 20}, callbacks=[FiniteLoss()])


@pytest.mark.filterwarnings("ignore:.*returned `None`")
@pytest.mark.parametrize("case", CASES)
def test_spans_change_nothing(case: str) -> None:
    module, data, trainer = CASES[case]
    with_spans = state(fit(True, module, data, **trainer))
    without = state(fit(False, module, data, **trainer))
    assert len(with_spans) == len(without)
    assert all(map(torch.equal, with_spans, without))


OPTIMIZERS: dict[str, Any] = {
    "descent": lambda w: torch.optim.SGD(w, lr=1.0),
    "of two groups": lambda w: torch.optim.SGD([{"params": [e], "lr": len(e)} for e in w]),
    "momentum": lambda w: torch.optim.SGD(w, lr=0.5, momentum=0.9, nesterov=True),
    "weight decay": lambda w: torch.optim.SGD(w, lr=0.5, weight_decay=0.01),
    "adam": lambda w: torch.optim.Adam(w, lr=0.01),
    "lbfgs": lambda w: torch.optim.LBFGS(w, lr=0.1),
}


@pytest.mark.parametrize("gradients", ["autograd", "by_hand"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_spans_change_nothing_of_an_optimizers_updates(optimizer: str, gradients: Any) -> None:
    def fitted(spans: bool) -> L.Trainer:
        L.seed_everything(3, verbose=False)
        module = Classifier(MLP(2, 1, [3]), optimizer=OPTIMIZERS[optimizer], gradients=gradients)
        points, trainer = Points(passes=20, batch_size=4), quiet_trainer(max_epochs=2)
        assert not spans or use_spans(trainer, module, points)
        trainer.fit(module, datamodule=points)
        return trainer

    with_spans, without = (state(fitted(each)) for each in (True, False))
    assert len(with_spans) == len(without)
    assert all(map(torch.equal, with_spans, without))


def test_a_network_trained_by_hand_trains_on_by_autograd() -> None:
    module, points = Classifier(MLP(2), gradients="by_hand"), Points()
    trainer = quiet_trainer(max_epochs=2)
    assert use_spans(trainer, module, points)
    trainer.fit(module, datamodule=points)
    x, y = points.split["train"][:2]
    optimizer = torch.optim.Adam(module.net.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        loss = module.loss(module.net(x), y)
        loss.backward()
        optimizer.step()
    assert module.loss(module.net(x), y) < loss


def test_what_has_no_gradient_stays_as_it_is() -> None:
    module, points = Module(), Points(passes=5)
    frozen = module.net[0]
    frozen.requires_grad_(False)
    before = copy.deepcopy(frozen.state_dict())
    trainer = quiet_trainer(max_epochs=1)
    assert use_spans(trainer, module, points)
    trainer.fit(module, datamodule=points)
    assert all(map(torch.equal, frozen.state_dict().values(), before.values()))


class Sees(Callback):
    """Must see each batch."""

    def on_train_batch_start(self, *_: Any) -> None: ...


@pytest.mark.parametrize(
    "settings",
    [
        {"callbacks": [Sees()]},
        {"accumulate_grad_batches": 2},
        {"limit_train_batches": 3},
        {"val_check_interval": 5},
        {"overfit_batches": 1},
        {"fast_dev_run": True},
        {"profiler": "simple"},
        {"precision": "bf16-mixed"},
        {"callbacks": [ModelCheckpoint(every_n_train_steps=7)], "enable_checkpointing": True},
        {"callbacks": [StochasticWeightAveraging(swa_lrs=0.1)]},
        {"callbacks": [GradientAccumulationScheduler({1: 2})]},
    ],
)
def test_what_asks_to_see_each_update_is_trained_by_lightning_alone(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    module = Module()
    trainer = quiet_trainer(default_root_dir=tmp_path, **settings)
    assert not use_spans(trainer, module, Points())
    assert module.automatic_optimization
    assert type(module) is Module


def test_a_module_that_optimizes_by_itself_or_has_hooks_for_batches_is_left_alone() -> None:
    class Manual(Module):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

    class Hooked(Module):
        def on_before_optimizer_step(self, optimizer: Any) -> None: ...

    assert not use_spans(quiet_trainer(), Manual(), Points())
    assert not use_spans(quiet_trainer(), Hooked(), Points())


def test_a_loader_of_another_kind_is_left_alone() -> None:
    class Loaded(Points):
        def train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*self.split["train"]))

    assert not use_spans(quiet_trainer(), Module(), Loaded())


@pytest.mark.parametrize("made", [0, 1, 128, 200, 437])
def test_a_span_loader_goes_on_at_any_update(made: int) -> None:
    def loader() -> SpanLoader:
        table = Points(passes=500, batch_size=5, shuffle=True).train_dataloader()
        return SpanLoader(table, MOST, trainer)

    trainer: Any = type("Trainer", (), {"max_steps": made, "global_step": 0})()
    whole, rows = loader(), []
    if made:
        for span in whole:
            rows += span.batches
            trainer.global_step += len(span.batches)
            if trainer.global_step == made:
                break
    trainer.max_steps = -1
    resumed = loader()
    resumed.load_state_dict(whole.state_dict())
    rows += [batch for span in resumed for batch in span.batches]
    once = [batch for span in loader() for batch in span.batches]
    assert len(rows) == len(once) == 1000
    assert all(torch.equal(a[0], b[0]) for a, b in zip(rows, once, strict=True))


@pytest.mark.parametrize("spans", [True, False])
def test_the_update_whose_loss_is_not_finite_is_named(spans: bool) -> None:
    class Breaks(Module):
        def training_step(self, batch: Rows, batch_idx: int) -> Tensor:
            return self.loss(batch) * (torch.inf if self.trainer.global_step == 136 else 1.0)

    module, data = Breaks(), Points(passes=300)
    trainer = quiet_trainer(max_epochs=2, callbacks=[FiniteLoss()])
    if spans:
        assert use_spans(trainer, module, data)
    with pytest.raises(NonFiniteLossError, match=r"at update 137, learning rate 0\.5"):
        trainer.fit(module, datamodule=data)


@pytest.mark.parametrize("when", ["pre", "post"])
def test_hooks_of_an_optimizer_see_each_update(when: str) -> None:
    seen: list[Any] = []

    def hooked(weights: Any) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(weights, lr=0.5)
        getattr(optimizer, f"register_step_{when}_hook")(lambda *given: seen.append(given))
        return optimizer

    fit(True, {"optimizer": hooked}, {"passes": 20})
    assert len(seen) == 60
