"""Laws 4 and 6: a member is the run that it stands for; a study resumed is one never stopped."""

import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
)
from torchmetrics.functional.classification import binary_calibration_error

from perceptrons.lab.data.split import SplitData, choose_fold, take
from perceptrons.lab.studies.plan import Plan, make_study
from perceptrons.lab.studies.record import Study
from perceptrons.lab.studies.study import StudyModule, ensemble
from perceptrons.lab.training import compiled

SEED = 5


class Noise(SplitData):
    """Random rows of two classes."""

    inputs, outputs, classes = 3, 1, 2
    held_out: Any = None  # numbers of rows that are other ones

    @property
    def labels(self) -> Any:
        return (torch.arange(self.rows) % 2).numpy()

    @property
    def rows(self) -> int:
        return 22

    def chosen(self, rows: Any) -> Any:
        x = torch.randn(22, 3, generator=torch.Generator().manual_seed(0))
        if self.held_out is not None:
            x[self.held_out] *= 3
        table = (x, torch.as_tensor(self.labels)[:, None].float())
        parts = take(table, rows)
        mean = parts["train"][0].mean(0)
        return {name: (x - mean, y) for name, (x, y) in parts.items()}


class Net(nn.Sequential):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        with torch.no_grad():
            for weight in self.parameters():
                weight.mul_(scale)


class Normed(nn.Module):
    def __init__(self, norm: Callable[[int], nn.Module] = nn.BatchNorm1d) -> None:
        super().__init__()
        self.up, self.norm, self.down = nn.Linear(3, 4), norm(4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.down(F.silu(self.norm(self.up(x))))
        return made


class Averaging(nn.Module):
    """Has buffers of several kinds, and puts new tensors in their place."""

    projection: Tensor
    mean: Tensor
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Linear(3, 1)
        self.register_buffer("projection", torch.randn(3, 3), persistent=False)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls = self.calls + 1
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        made: Tensor = self.down(torch.sin((x - self.mean) @ self.projection))
        return made


def changed(change: Callable[[Any], Any]) -> Callable[[], nn.Module]:
    """A network of linear layers, with a change."""

    def make() -> nn.Module:
        net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
        change(net)
        return net

    return make


def tied(net: Any) -> None:
    net[2].weight = net[0].weight


def frozen_norm() -> nn.Module:
    net = Normed()
    net.up.requires_grad_(False)
    nn.init.constant_(net.norm.running_mean, 0.3)  # type: ignore[arg-type]
    net.norm.eval()
    return net


def repeated() -> nn.Module:
    layer, act = nn.Linear(3, 3), nn.Tanh()
    return nn.Sequential(layer, act, layer, act, nn.Linear(3, 1))


class Scaled(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 1)
        self.scale = nn.Parameter(torch.rand(()))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.sin(x * self.scale))


UNUSUAL: dict[str, Callable[[], nn.Module]] = {
    "averaging": Averaging,
    "tied": changed(tied),
    "frozen": changed(lambda net: net[0].requires_grad_(False)),
    "named": changed(lambda net: net.add_module("last", nn.Linear(1, 1))),
    "unused weight": changed(lambda net: net.register_parameter("u", nn.Parameter(torch.ones(2)))),
    "buffer": changed(lambda net: net.register_buffer("b", torch.rand(2))),
    "old weight norm": changed(lambda net: nn.utils.weight_norm(net[0])),
    "frozen norm": frozen_norm,
    "a layer twice": repeated,
    "a single number": Scaled,
}


class Module(L.LightningModule):
    """What the protocol asks for, and nothing more."""

    def __init__(
        self,
        net: Callable[[], nn.Module] = Net,
        optimizer: Any = lambda p: torch.optim.SGD(p, lr=0.5),
        scheduler: Any = None,
        loss: Any = F.binary_cross_entropy_with_logits,
    ) -> None:
        super().__init__()
        self.net, self.loss = net(), loss
        self.optimizer, self.scheduler = optimizer, scheduler

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        made: Tensor = self.loss(self.net(x), y)
        return made

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        pass

    def correct(self, logits: Tensor, y: Tensor) -> Tensor:
        return (logits > 0) == (y > 0)

    def predictions(self, logits: Tensor) -> dict[str, Tensor]:
        return {"logit": logits, "probability": logits.sigmoid(), "class": (logits > 0).int()}

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if not self.scheduler:
            return optimizer
        how = {"scheduler": self.scheduler(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": how}


def trainer(epochs: int = 2, **settings: Any) -> L.Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(max_epochs=epochs, **{**quiet, **settings})


def fitted(
    build: Callable[[dict[str, Any]], L.LightningModule],
    data: L.LightningDataModule,
    plan: Plan,
    clip: Any = (None, None),
    ckpt_path: Any = None,
    **settings: Any,
) -> StudyModule:
    study, by = make_study(plan, data, build, clip=clip), trainer(**settings)
    study.hand_out_by(by, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by.fit(study, datamodule=data, ckpt_path=ckpt_path)
    return study


def lone(
    build: Callable[[], L.LightningModule], data: L.LightningDataModule, seed: int, **settings: Any
) -> Any:
    L.seed_everything(seed, verbose=False)
    module = build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer(**settings).fit(module, datamodule=data)
    return module


def scheduled(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}, {}),
    "batches": ({}, {"batch_size": 5}, {}),
    "shuffled": ({}, {"batch_size": 5, "shuffle": True}, {}),
    "norm shuffled": ({"net": Normed}, {"batch_size": 8, "shuffle": True}, {}),
    "adam scheduled": (
        {"optimizer": lambda p: torch.optim.Adam(p, lr=0.01), "scheduler": scheduled},
        {"batch_size": 10},
        {},
    ),
    "momentum": ({"optimizer": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)}, {}, {}),
    "clipped by value": ({}, {}, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}),
    "clipped by norm": ({}, {}, {"gradient_clip_val": 0.05, "gradient_clip_algorithm": "norm"}),
    "norm clipped by norm": ({"net": Normed}, {}, {"gradient_clip_val": 0.05}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_member_is_the_run_with_its_seed(way: str) -> None:
    model, table, settings = WAYS[way]
    clip = (settings.get("gradient_clip_val"), settings.get("gradient_clip_algorithm"))
    study = fitted(lambda _: Module(**model), Noise(passes=3, **table), Plan(SEED, 3), clip)
    for number in range(3):
        alone = lone(lambda: Module(**model), Noise(passes=3, **table), SEED + number, **settings)
        for name, value in alone.net.state_dict().items():
            mine = study.members[number].state_dict()[name]
            torch.testing.assert_close(mine, value, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("name", UNUSUAL)
def test_a_member_of_an_unusual_network_is_the_run_with_its_seed(name: str) -> None:
    def build(_: Any = None) -> Module:
        return Module(
            UNUSUAL[name], lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1, fused=True)
        )

    clip = {"gradient_clip_val": 0.05}
    data = partial(Noise, passes=3, batch_size=5, shuffle=True)
    study = fitted(build, data(), Plan(SEED, 3), (0.05, "norm"))
    assert not study.random
    for number in range(3):
        alone = lone(build, data(), SEED + number, **clip).net
        mine = study.members[number]
        pairs = [*zip(mine.parameters(), alone.parameters(), strict=True)]
        for one, other in [*pairs, *zip(mine.buffers(), alone.buffers(), strict=True)]:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        assert [each.training for each in mine.modules()] == [
            each.training for each in alone.modules()
        ]


def test_a_grid_and_folds_give_each_member_its_setting_and_rows() -> None:
    def build(setting: dict[str, Any]) -> Module:
        rate, scale = setting.get("lr", 0.5), setting.get("scale", 1.0)
        return Module(lambda: Net(scale), lambda p: torch.optim.SGD(p, lr=rate))

    data = Noise(passes=3, batch_size=4)
    plan = Plan(SEED, 2, {"lr": [0.1, 1.0], "scale": [1.0, 3.0]}, 3)
    study = fitted(build, data, plan)
    assert len(study.members) == len(plan.members) == 2 * 2 * 3 * 2
    for number in (0, 7, 14, 23):
        seed, setting, fold = plan.members[number]
        assert fold is not None
        alone = lone(partial(build, setting), Noise(passes=3, batch_size=4).fold(fold, 3), seed)
        for mine, its in zip(
            study.members[number].parameters(), alone.net.parameters(), strict=True
        ):
            torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5)
        x, y = data.fold(fold, 3).split["val"]
        wanted = ((alone.net(x) > 0) == (y > 0)).float().mean()
        assert study.of_each["val/accuracy"][number] == wanted


@pytest.mark.parametrize("way", ["shuffled", "norm shuffled", "adam scheduled"])
def test_a_study_resumed_ends_with_the_bits_of_one_never_stopped(way: str, tmp_path: Path) -> None:
    model, table, _ = WAYS[way]

    def run(epochs: int, ckpt_path: Any = None) -> tuple[StudyModule, Path]:
        data, file = Noise(passes=4, **table), tmp_path / f"{epochs}{bool(ckpt_path)}.ckpt"
        plan = Plan(SEED, 3)
        study = fitted(lambda _: Module(**model), data, plan, ckpt_path=ckpt_path, epochs=epochs)
        study.trainer.save_checkpoint(file)
        return study, file

    whole, file = run(4)
    _, half = run(2)
    _, resumed = run(4, half)
    one, other = (torch.load(f, weights_only=True) for f in (file, resumed))
    assert one["global_step"] == other["global_step"] == 4 * whole.updates
    for name in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert str(one[name]) == str(other[name])
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name])


def test_updates_are_counted_and_max_steps_ends_inside_an_epoch() -> None:
    data = Noise(passes=300, batch_size=11)
    study = fitted(lambda _: Module(), data, Plan(SEED, 2), max_steps=333)
    assert study.trainer.global_step == 333
    alone = lone(Module, Noise(passes=300, batch_size=11), SEED, max_steps=333)
    for mine, its in zip(study.members[0].parameters(), alone.net.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)


def test_metrics_are_means_over_the_members() -> None:
    data = Noise(passes=20)
    study = fitted(lambda _: Module(), data, Plan(SEED, 5))
    x, y = data.split["train"]
    losses = [F.binary_cross_entropy_with_logits(net(x), y).item() for net in study.members]
    right = [((net(x) > 0) == (y > 0)).float().mean().item() for net in study.members]
    found = study.trainer.callback_metrics
    assert found["train/loss"].item() == pytest.approx(sum(losses) / 5, rel=1e-5)
    assert found["train/accuracy"].item() == pytest.approx(sum(right) / 5)
    assert found["train/solved"].item() == pytest.approx(sum(r == 1 for r in right) / 5)


class Leaky(Noise):
    """Standardises by all rows, those held out too: the leak that everyone plants once."""

    def chosen(self, rows: Any) -> Any:
        parts = super().chosen(rows)
        off = parts["all"][0].mean(0)
        return {name: (x - off, y) for name, (x, y) in parts.items()}


def leaks(kind: type[Noise], fold: int) -> bool:
    """Whether members of a fold train otherwise where rows held out from them are others."""

    def trained(other: Tensor | None = None) -> list[Tensor]:
        data = kind(passes=3, batch_size=5, shuffle=True)
        if other is not None:
            data.held_out = other
        study: Any = fitted(lambda _: Module(), data, Plan(SEED, 2, folds=3))
        return [*study.groups[fold].net.parameters()]

    held_out = torch.as_tensor(
        choose_fold({"train": slice(None)}, 22, Noise().labels, fold, 3, 0)["val"]
    )
    return not all(map(torch.equal, trained(), trained(held_out)))


@pytest.mark.parametrize("fold", range(3))
def test_nothing_of_a_fold_leaks_into_its_training_and_a_planted_leak_is_caught(fold: int) -> None:
    assert not leaks(Noise, fold)
    assert leaks(Leaky, fold)


class Pictures(Dataset[Any]):
    """Small pictures, and the number of the class of each."""

    def __init__(self, rows: int, noise: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(rows)
        self.x = torch.randn(rows, 1, 4, 4, generator=generator)
        self.y = torch.randint(3, (rows,), generator=generator)
        self.noise = noise

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, number: int) -> Any:
        return self.x[number] + self.noise * torch.rand(()), int(self.y[number])


class Plain(L.LightningDataModule):
    """A datamodule as everybody writes it."""

    def __init__(self, rows: Any = None, **loader: Any) -> None:
        super().__init__()
        self.rows, self.loader = rows or Pictures(22), {"batch_size": 8, **loader}

    def train_dataloader(self) -> Any:
        return DataLoader(self.rows, **self.loader)

    def val_dataloader(self) -> Any:
        return DataLoader(Pictures(10), batch_size=4)


def convolved() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(27, 3))


class Picture(Module):
    correct: Any = None


def test_a_member_is_the_run_with_its_seed_on_a_datamodule_of_the_users() -> None:
    def build(_: Any = None) -> Module:
        return Picture(convolved, loss=F.cross_entropy)

    study = fitted(build, Plain(), Plan(SEED, 3), epochs=4)
    for number in range(3):
        alone = lone(build, Plain(), SEED + number, epochs=4)
        pairs = zip(study.members[number].parameters(), alone.net.parameters(), strict=True)
        for mine, its in pairs:
            torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5)
        x, y = Pictures(10).x, Pictures(10).y
        wanted = F.cross_entropy(alone.net(x), y)
        torch.testing.assert_close(study.of_each["val/loss"][number], wanted)


class Flipped(Pictures):
    """Of which one row in ten is turned round each time that it is read."""

    def __getitem__(self, number: int) -> Any:
        x, y = super().__getitem__(number)
        return (x.flip(-1) if torch.rand(()) < 0.1 else x), y


def centred(rows: list[Any]) -> Any:
    x, y = default_collate(rows)
    return x - x.mean(), y


class Streamed(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(Pictures(3))


UNREAD: dict[str, tuple[Callable[[], Plain], str]] = {
    "others each time": (lambda: Plain(Pictures(22, 1.0)), "its rows are others each time"),
    "others now and then": (lambda: Plain(Flipped(200)), "its rows are others each time"),
    "of a batch": (lambda: Plain(collate_fn=centred), "its collate_fn makes a row's numbers"),
    "some rows": (
        lambda: Plain(sampler=RandomSampler(Pictures(22), num_samples=8)),
        "each once, in order or shuffled; train_dataloader of Plain gives something else",
    ),
    "rows again": (
        lambda: Plain(sampler=RandomSampler(Pictures(22), replacement=True)),
        "train_dataloader of Plain gives something else",
    ),
    "a stream": (lambda: Plain(Streamed()), "train_dataloader of Plain gives something else"),
    "a sampler": (
        lambda: Plain(sampler=SubsetRandomSampler([1, 2])),
        "train_dataloader of Plain gives something else",
    ),
    "rows left out": (lambda: Plain(drop_last=True), "a study leaves out no rows: drop_last"),
    "no targets": (lambda: Plain(TensorDataset(torch.ones(9, 3))), "needs rows x and y"),
    "three columns": (
        lambda: Plain(TensorDataset(*[torch.ones(9, 3)] * 3)),
        "needs rows of two tensors, x and y",
    ),
    "too many": (lambda: Plain(Endless()), "a study holds all rows in memory"),
}


class Endless(Pictures):
    def __init__(self) -> None:
        super().__init__(3)

    def __len__(self) -> int:
        return 10**12


@pytest.mark.parametrize("name", UNREAD)
def test_rows_that_a_study_cannot_read_are_one_line(name: str) -> None:
    data, said = UNREAD[name]
    with pytest.raises(ValueError, match=re.escape(said)):
        make_study(Plan(SEED, 2), data(), lambda _: Module(convolved, loss=F.cross_entropy))


class Own(Module):
    """Trains on something else than its loss."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        penalty: Tensor = self.net(batch[0]).pow(2).mean()
        return super().training_step(batch, batch_idx) + penalty


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.down = nn.LSTM(1, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.down(self.cell(x[..., None])[0][:, -1])
        return made


class Deciding(Net):
    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return made * 2 if made.sum() > 0 else made


def spectral() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Linear(4, 1))


class NoNet(L.LightningModule):
    pass


def doing(step: Callable[[Any, Any], None]) -> type[torch.optim.SGD]:
    """An optimizer with a rule of its own."""

    class Doing(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            with torch.no_grad():
                for group in self.param_groups:
                    for weight in group["params"]:
                        step(weight, weight.grad)

    return Doing


def normalised(weight: Any, gradient: Any) -> None:
    weight -= gradient / gradient.norm()


def slightly_coupled(weight: Any, gradient: Any) -> None:
    weight -= 1e-3 * (gradient + 0.01 * gradient.norm())


class Decayed(Module):
    """Decays its weights and not its biases, which it knows by their dimensions."""

    def configure_optimizers(self) -> Any:
        decayed = [each for each in self.net.parameters() if each.ndim > 1]
        others = [each for each in self.net.parameters() if each.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=0.001, weight_decay=0.01)


class Drawing(nn.Linear):
    """What its seed draws is neither a weight nor a buffer."""

    def __init__(self) -> None:
        super().__init__(3, 1)
        self.shift = torch.randn(())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.shift)


class Temperature(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits * self.factor, y)


REFUSED: dict[str, tuple[Callable[[], L.LightningModule], str]] = {
    "lstm": (lambda: Module(Recurrent), "LSTM cannot be trained from many seeds at once"),
    "decides": (lambda: Module(Deciding), "Deciding cannot be trained from many seeds at once"),
    "draws a number": (
        lambda: Module(Drawing),
        "members of Drawing do not train as it does alone",
    ),
    "loss with weights": (
        lambda: Module(loss=Temperature()),
        "loss.factor is trained and no part of net",
    ),
    "spectral": (lambda: Module(spectral), "seeds: "),
    "own step": (Own, "training_step of Own gives another loss than loss(net(x), y)"),
    "lbfgs": (
        lambda: Module(optimizer=lambda p: torch.optim.LBFGS(p)),
        "optimizer='LBFGS': couples",
    ),
    "muon": (
        lambda: Module(optimizer=lambda p: torch.optim.Muon([*p][::2])),
        "couples the members",
    ),
    "adafactor": (
        lambda: Module(optimizer=lambda p: torch.optim.Adafactor(p)),
        "couples the members",
    ),
    "user's": (lambda: Module(optimizer=lambda p: doing(normalised)(p)), "couples the members"),
    "slightly": (
        lambda: Module(optimizer=lambda p: doing(slightly_coupled)(p)),
        "couples the members",
    ),
    "decay by dimensions": (Decayed, "other settings for a weight of many members"),
    "plateau": (
        lambda: Module(scheduler=lambda o: ReduceLROnPlateau(o, monitor="val/loss")),
        "scheduler: ReduceLROnPlateau couples the members",
    ),
    "no net": (NoNet, "NoNet has no 'net'"),
    "loss deciding": (
        lambda: Module(loss=lambda z, y: (z - y).pow(2).mean() * (2 if z.sum() > 0 else 1)),
        "the loss cannot be trained from many seeds at once",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_study_is_said_before_it_begins(name: str) -> None:
    build, said = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        make_study(Plan(SEED, 3), Noise(), lambda _: build())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"seeds": 0}, "seeds=0: must be at least 1"),
        ({"seeds": -3}, "seeds=-3: must be at least 1"),
        ({"seed": 2**32 - 2, "seeds": 3}, "above 4294967295"),
        ({"folds": 1}, "folds=1: must be at least 2"),
        ({"grid": {"a": []}}, "a list of numbers"),
        ({"grid": {"a": ["x"]}}, "a list of numbers"),
        ({"grid": {"a": [True]}}, "a list of numbers"),
        ({"grid": {"a": "12"}}, "a list of numbers"),
        ({"grid": {"a": [1, 1.0]}}, "the same value is there twice"),
        ({"grid": {"a": [float("nan")]}}, "a list of numbers"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Plan(**{"seed": 0, **plan})


def test_a_grid_that_changes_a_shape_is_refused() -> None:
    def build(setting: dict[str, Any]) -> Module:
        return Module(
            lambda: nn.Sequential(nn.Linear(3, setting["width"]), nn.Linear(setting["width"], 1))
        )

    with pytest.raises(ValueError, match=r"width=3 changes a shape; perceptrons sweep"):
        make_study(Plan(SEED, 2, {"width": [2, 3]}), Noise(), build)


def test_dropout_draws_masks_of_its_own_for_each_member_and_says_so() -> None:
    def net() -> nn.Module:
        layer = nn.Linear(3, 1)
        nn.init.ones_(layer.weight)
        return nn.Sequential(nn.Dropout(0.5), layer)

    study = make_study(Plan(SEED, 40), Noise(), lambda _: Module(net))
    assert study.random
    group: Any = study.groups[0]
    group.configure()
    ((_, logits),) = group.blocks.logits(torch.ones(1, 3))
    assert len(logits.unique()) > 2
    assert not make_study(Plan(SEED, 2), Noise(), lambda _: Module()).random


COMPILED: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "plain": ({}, {}, (None, None)),
    "adam scheduled clipped": (
        {"optimizer": lambda p: torch.optim.Adam(p, lr=0.01), "scheduler": scheduled},
        {"batch_size": 11, "shuffle": True},
        (0.1, "norm"),
    ),
    "layer norm momentum": (
        {
            "net": lambda: Normed(nn.LayerNorm),
            "optimizer": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        },
        {"batch_size": 16},
        (None, None),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", COMPILED)
def test_compiled_updates_are_the_eager_ones(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST", 2)
    model, table, clip = COMPILED[way]
    ends = []
    for compile_ in (True, False):
        data, by = Noise(passes=11, **table), trainer()
        study = make_study(Plan(SEED, 3), data, lambda _: Module(**model), None, clip, compile_)
        study.hand_out_by(by, data)
        by.fit(study, datamodule=data)
        ends.append(study.state_dict())
        group: Any = study.groups[0]
        assert not compile_ or (group.compiled.call and not group.compiled.failed)
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-3, atol=1e-4)


def test_a_study_is_tested_and_predicts_as_an_ensemble() -> None:
    data = Noise(passes=30)
    study = fitted(lambda _: Module(), data, Plan(SEED, 7))
    x, y = data.split["test"]
    with torch.no_grad():
        chances = torch.stack([net(x).sigmoid() for net in study.members])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (tested,) = study.trainer.test(study, datamodule=data, verbose=False)
        predicted: Any = study.trainer.predict(study, datamodule=data)
    (predicted,), together = predicted, chances.mean(0)
    assert tested["test/accuracy"] == pytest.approx(((chances > 0.5) == (y > 0)).float().mean())
    wanted = ((together > 0.5) == (y > 0)).float().mean()
    assert tested["test/ensemble_accuracy"] == pytest.approx(wanted)
    wanted = binary_calibration_error(together.flatten(), y.flatten().int())
    assert tested["test/ensemble_calibration"] == pytest.approx(wanted)
    errors = [binary_calibration_error(c.flatten(), y.flatten().int()) for c in chances]
    assert tested["test/calibration"] == pytest.approx(sum(errors) / 7)
    torch.testing.assert_close(predicted["probability"], together)
    torch.testing.assert_close(predicted["standard deviation"], chances.std(0))
    assert torch.equal(predicted["class"], (together > 0.5).int())
    record, study.asked = Study(), "best"
    record.last = {"train/loss": torch.tensor([3.0, 2, 1, 0, 1, 2, 3])}
    study.trainer.callbacks.append(record)  # type: ignore[attr-defined]
    again: Any = study.trainer.predict(study, datamodule=data)
    torch.testing.assert_close(again[0]["probability"], chances[3])
    (tested,) = study.trainer.test(study, datamodule=data, verbose=False)
    assert tested["test/accuracy"] == ((chances[3] > 0.5) == (y > 0)).float().mean()
    record.since = torch.tensor([5, -1, -1, -1, -1, 5, -1])
    assert record.number("best", study) == 5  # the lowest loss of those that are solved
    for asked in ("7", "-1", "x", "1.5"):
        with pytest.raises(ValueError, match=r"best, or a number from 0 to 6"):
            record.number(asked, study)


def test_the_class_of_an_ensemble_is_that_of_its_mean_probability() -> None:
    logits = torch.tensor([[0.0, 4.0], [1.0, 0.0], [0.0, 0.0]])[None]  # (rows, classes, members)

    def said(logits: Tensor) -> dict[str, Tensor]:
        return {"probability": logits.softmax(1), "class": logits.argmax(1, keepdim=True)}

    assert ensemble([(said, logits)])["class"].tolist() == [[0]]
    assert set(ensemble([(lambda z: {"value": z}, logits)])) == {"value", "standard deviation"}
