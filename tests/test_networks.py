"""Networks that are no MLPs: fused as Lightning trains them and a plain loop does, to the bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import quiet_trainer
from test_fused import Case, assert_same, assert_same_end, checkpoints, looks, run, scalars, sgd
from torch import Tensor, nn

from perceptrons.classifier import Classifier
from perceptrons.data import Blobs, Gates
from perceptrons.fused import fuse
from perceptrons.loader import TableLoader
from perceptrons.network import MLP
from perceptrons.preflight import threads_for


class Residual(nn.Module):
    """Adds to its inputs what a layer makes of them; a scalar parameter scales the sum."""

    def __init__(self, inputs: int, outputs: int = 1) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, inputs), nn.GELU())
        self.last = nn.Linear(inputs, outputs)
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.scale * (x + self.block(x)))
        return logits


class Convolution(nn.Module):
    """A row of inputs as a signal."""

    def __init__(self, inputs: int, outputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, inputs)),
            nn.Conv1d(1, 4, kernel_size=3, padding=1),
            nn.BatchNorm1d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * inputs, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


class Recurrent(nn.Module):
    """A row of inputs read one by one."""

    def __init__(self, inputs: int, outputs: int = 1) -> None:
        super().__init__()
        self.cell, self.last = nn.GRU(1, 5, batch_first=True), nn.Linear(5, outputs)

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.cell(x[:, :, None])
        logits: Tensor = self.last(state[0])
        return logits


class Frozen(nn.Module):
    """Random features that are not trained, under a layer that is."""

    def __init__(self, inputs: int, outputs: int = 1) -> None:
        super().__init__()
        self.features = nn.Linear(inputs, 20).requires_grad_(False)
        self.last = nn.Linear(20, outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.relu(self.features(x)))
        return logits


class Skipping(MLP):
    """An MLP but for its forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True) + super().forward(x)


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "residual": Residual,
    "convolution": Convolution,
    "recurrent": Recurrent,
    "frozen": Frozen,
    "dropout": lambda inputs: nn.Sequential(nn.Linear(inputs, 8), nn.Dropout(), nn.Linear(8, 1)),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def points() -> Blobs:
    return Blobs(90, n_features=6, passes=5, batch_size=20, shuffle=True, val_fraction=0.2)


@every_network
def test_a_network_of_any_kind_is_fused_to_the_bit(name: str, tmp_path: Path) -> None:
    case = Case(net=lambda: NETWORKS[name](6), data=points, model=sgd(0.05, momentum=0.9))
    fused, stock = (run(case, tmp_path / how, how) for how in ("fused", "stock"))
    assert looks(fused) == 3
    assert looks(stock) == 3 * 5 * 4
    assert_same_end(fused, stock)
    assert_same(scalars(tmp_path / "fused"), scalars(tmp_path / "stock"))
    assert_same(checkpoints(tmp_path / "fused"), checkpoints(tmp_path / "stock"))


@every_network
def test_a_network_of_any_kind_trains_as_in_a_plain_loop(name: str) -> None:
    data = points()
    networks = []
    for _ in range(2):
        torch.manual_seed(4)
        networks.append(NETWORKS[name](6))
    torch.manual_seed(5)
    model = Classifier(
        networks[0], optimizer=lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9)
    )
    trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
    fuse(trainer)
    trainer.fit(model, datamodule=data)
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(networks[1].parameters(), lr=0.05, momentum=0.9)
    for x, y in TableLoader(data.split["train"], 20, passes=5, shuffle=True, seed=5):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(networks[1](x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert_same(dict(networks[0].state_dict()), dict(networks[1].state_dict()))


@pytest.mark.parametrize("name", ["residual", "convolution", "recurrent"])
def test_a_network_of_any_kind_learns(name: str) -> None:
    torch.manual_seed(0)
    model = Classifier(
        NETWORKS[name](6), optimizer=lambda params: torch.optim.Adam(params, lr=0.03)
    )
    trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
    fuse(trainer)
    trainer.fit(model, datamodule=Blobs(90, n_features=6, passes=300))
    assert model.measured["val/accuracy"] == 1.0


def test_threads_are_chosen_for_a_network_with_a_parameter_that_is_one_number() -> None:
    assert threads_for(Gates("xor"), Classifier(Residual(2))) == 1


def test_an_mlp_with_a_forward_pass_of_its_own_has_no_gradients_by_hand() -> None:
    with pytest.raises(ValueError, match=r"^gradients='by_hand': not written out for Skipping"):
        Classifier(Skipping(2), gradients="by_hand")
