"""What a user's class keeps beside its weights is the same for a member and a run alone."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from conftest import Command
from subject import Blobs, Classifier
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import DataLoader, TensorDataset

from perceptrons.lab.cli.load import load_run
from perceptrons.lab.runs import trust

RUN = Path("lightning_logs", "r", "version_0")
FIT = (
    "fit --config configs/moons.yaml --name r --data.passes 10 --data.batch_size 40"
    " --data.shuffle true --trainer.max_epochs 2 --figures false"
)


class Weighted(nn.Module):
    """A loss that holds a tensor, as a buffer or as a plain one."""

    def __init__(self, pos: float = 1.0, plain: bool = False) -> None:
        super().__init__()
        weight = torch.tensor(pos)
        if plain:
            self.pos = weight
        else:
            self.register_buffer("pos", weight)

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits
        return loss(logits, y, pos_weight=self.pos)


class Scaled(nn.Module):
    """A network that holds a tensor which is no buffer."""

    def __init__(self, inputs: int, outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))
        self.scale = torch.tensor(scale)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x * self.scale)
        return out


class Periodic(Classifier):
    """Its schedule steps every 7th batch of an epoch."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.net.parameters(), lr=0.5)
        how = {"scheduler": ExponentialLR(optimizer, 0.9), "interval": "step", "frequency": 7}
        return {"optimizer": optimizer, "lr_scheduler": how}


class Hooked(Classifier):
    """Keeps its weights small after each update."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.net.parameters(), lr=0.5)

        @torch.no_grad()
        def project(*_: Any) -> None:
            for weight in self.net.parameters():
                weight.clamp_(-0.3, 0.3)

        optimizer.register_step_post_hook(project)
        return optimizer


class Annealed(Scaled):
    """Counts its calls."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(x * (1 - 1e-5 * self.calls))


class Noisy(Scaled):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, 0.3, self.training))


class Counting(Weighted):
    calls = 0

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(logits, y) / (1 + self.calls % 3)


class Masked(Scaled):
    """A layer of which some weights stay as they are."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        first: Any = self.layers[0]
        self.mask = (torch.arange(8) % 2).float()[:, None]
        first.weight.register_hook(lambda gradient: gradient * self.mask)


class Picked(Blobs):
    """Trains on one class alone."""

    def train_dataloader(self) -> Any:
        x, y = self.split["train"]
        rows = y[:, 0] > 0
        return DataLoader(TensorDataset(x[rows], y[rows]), batch_size=10)


class Checked(Blobs):
    def val_dataloader(self) -> Any:
        x, y = self.split["train"]
        return DataLoader(TensorDataset(x[:9], y[:9]), batch_size=9)


class Moved(Blobs):
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        x, y = batch
        return x / 2, y


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "PREFIXES", (*trust.PREFIXES, __name__))


def trained(command: Command, words: str) -> L.LightningModule:
    finished = command(f"{FIT} {words}")
    assert finished.status == 0, finished.err
    return load_run(max(RUN.parent.iterdir()))[0]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (f"--model.loss {__name__}.Weighted", "model.loss.pos"),
        (f"--model.loss {__name__}.Weighted --model.loss.plain true", "model.loss.pos"),
        (f"--model.net {__name__}.Scaled", "model.net.scale"),
    ],
)
def test_each_setting_of_a_grid_is_trained_with_its_own_tensors(
    words: str, name: str, command: Command
) -> None:
    study: Any = trained(command, f'{words} --seeds 2 --grid {{"{name}":[1.0,7.0]}}')
    lone: Any = trained(command, f"{words} --{name} 7.0")
    for key, weight in lone.net.named_parameters():
        mine = study.members[2].get_parameter(key)
        torch.testing.assert_close(mine, weight, rtol=1e-3, atol=1e-4)


def test_a_schedule_counts_the_batches_of_an_epoch_as_it_does_alone(command: Command) -> None:
    words = f"--model {__name__}.Periodic"
    study: Any = trained(command, f"{words} --seeds 2")
    lone: Any = trained(command, words)
    for key, weight in lone.net.named_parameters():
        mine = study.members[0].get_parameter(key)
        torch.testing.assert_close(mine, weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        f"--model {__name__}.Hooked",
        f"--model.net {__name__}.Masked",
        f"--model.net {__name__}.Annealed",
        f"--model.net {__name__}.Noisy",
        f"--model.loss {__name__}.Counting",
    ],
)
def test_what_must_see_each_update_is_not_compiled(words: str, command: Command) -> None:
    finished = command(f"{FIT} {words} --compile true")
    assert finished.status == 0, finished.err
    assert "going on without" in finished.out
    compiled, _ = load_run(RUN)
    lone = trained(command, words)
    for mine, weight in zip(compiled.parameters(), lone.parameters(), strict=True):
        assert torch.allclose(
            mine, weight, 1e-2, 1e-3
        )  # it was called to be tried, and counts that


REFUSED = {
    f"--model {__name__}.Hooked": "a study does not call the hooks of an optimizer",
    f"--data {__name__}.Picked": "not by train_dataloader of Picked",
    f"--data {__name__}.Checked": "not by val_dataloader of Checked",
    f"--data {__name__}.Moved": "not by on_after_batch_transfer of Moved",
    "--trainer.reload_dataloaders_every_n_epochs 1": "a study reads its rows once",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_a_study_would_leave_out_is_one_line(words: str, command: Command) -> None:
    finished = command(f"{FIT} {words} --seeds 3".replace("--data.shuffle true", ""))
    assert (finished.status, finished.err.count("\n")) == (2, 1), finished
    assert REFUSED[words] in finished.err
    assert not Path("lightning_logs").exists()


def test_a_table_that_changes_its_batches_is_trained_on_them(command: Command) -> None:
    finished = command(f"{FIT} --data {__name__}.Moved")
    assert (finished.status, finished.err) == (0, "")
    halved = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert command(f"{FIT} --data Blobs").status == 0
    file = RUN.with_name("version_1") / "checkpoints" / "last.ckpt"
    whole = torch.load(file, weights_only=True)["state_dict"]
    assert any(not torch.equal(value, whole[name]) for name, value in halved.items())


def test_a_member_that_diverges_leaves_the_others_their_study(command: Command) -> None:
    rates = "--model.optimizer torch.optim.SGD --model.net.activation relu"
    grid = '--grid {"model.optimizer.lr":[0.05,1000000.0]}'
    finished = command(f"{FIT} {rates} --seeds 6 {grid}")
    assert (finished.status, finished.err) == (0, "")
    assert "diverged" in finished.out
