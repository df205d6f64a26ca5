"""Compiled updates give what torch's optimizers give, and are left out where they cannot be had."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from outcome import differences, outcome
from torch import Tensor, nn

from perceptrons import compiled
from perceptrons.rules import RULES, rule_of

RUN = Path("lightning_logs", "r", "version_0")
EAGER = RUN.with_name("version_1")
FIT = "fit --config configs/xor.yaml --name r --data.passes 50 --trainer.max_epochs 3"
COMPILE = "--model.compile true"
SETTINGS: list[tuple[type[torch.optim.Optimizer], dict[str, Any]]] = [
    (torch.optim.SGD, {}),
    (torch.optim.SGD, {"weight_decay": 0.1}),
    (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (torch.optim.Adam, {"betas": (0.8, 0.9)}),
    (torch.optim.Adam, {"weight_decay": 0.1, "eps": 1e-3}),
    (torch.optim.AdamW, {"weight_decay": 0.1}),
    (torch.optim.RMSprop, {"alpha": 0.9}),
    (torch.optim.RMSprop, {"momentum": 0.5, "weight_decay": 0.1}),
]


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which take half as long to compile as four."""
    monkeypatch.setattr(compiled, "UPDATES", 2)


class Residual(nn.Module):
    """Not an MLP: a layer that adds to what it is given, and a norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up, self.across = nn.Linear(inputs, 8), nn.Linear(8, 8)
        self.norm, self.down = nn.LayerNorm(8), nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        z = self.up(x)
        out: Tensor = self.down(self.norm(z + torch.tanh(self.across(z))))
        return out


class Printing(nn.Linear):
    """Does what cannot be compiled: what it does next depends on a number."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2.0 if x.sum().item() > 0 else 1.0)


def weights(run: Path) -> dict[str, Tensor]:
    file = run / "checkpoints" / "last.ckpt"
    state: dict[str, Tensor] = torch.load(file, weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize(("kind", "settings"), SETTINGS, ids=str)
def test_a_rule_is_torchs_optimizer(
    kind: type[torch.optim.Optimizer], settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(5, dtype=torch.float64))
    optimizer = kind([weight], lr=0.1, **settings)  # type: ignore[call-arg]
    gradients = torch.randn(20, 5, dtype=torch.float64)
    weight.grad = gradients[0]
    optimizer.step()  # which makes its state
    mine, group = weight.detach().clone(), optimizer.param_groups[0]
    state = {
        name: value.clone() for name, value in optimizer.state[weight].items() if value is not None
    }
    rule, rate = rule_of(optimizer), torch.tensor(0.1, dtype=torch.float64)
    for number, gradient in enumerate(gradients[1:], 2):
        mine = rule(mine, gradient, state, rate, torch.tensor(number, dtype=torch.float64), group)
        weight.grad = gradient
        optimizer.step()
        torch.testing.assert_close(mine, weight.detach())


def test_every_rule_is_compared() -> None:
    assert {kind for kind, _ in SETTINGS} == set(RULES)


@pytest.mark.parametrize(
    "words",
    [
        "--model.net.replicas 3 --model.lr_grid [0.5,2]",
        "--model.net test_compiled.Residual --model.optimizer torch.optim.Adam"
        " --model.optimizer.lr 0.01 --model.scheduler torch.optim.lr_scheduler.ExponentialLR"
        " --model.scheduler.gamma 0.99",
        "--model.gradients by_hand --data.batch_size 3 --model.optimizer.momentum 0.5",
    ],
)
def test_a_compiled_run_ends_with_the_weights_of_an_eager_one(words: str, command: Command) -> None:
    fitted = command(f"{FIT} {COMPILE} {words}")
    assert fitted.status == 0, fitted
    assert "compiling the updates ... took" in fitted.out
    assert command(f"{FIT} {words}").status == 0
    mine, its = weights(RUN), weights(EAGER)
    for name, weight in its.items():
        torch.testing.assert_close(mine[name], weight, rtol=1e-3, atol=1e-4)


def test_a_compiled_run_resumed_is_the_longer_one_to_the_bit(command: Command) -> None:
    adam = "--model.gradients by_hand --model.optimizer torch.optim.Adam"
    adam += f" --model.optimizer.lr 0.01 {COMPILE}"
    fit = f"{FIT} {adam} --model.net.replicas 2"
    assert command(fit).status == 0
    assert command(f"{fit} --trainer.max_epochs 5").status == 0
    assert command(f"fit --resume {RUN} --trainer.max_epochs 5").status == 0
    assert not differences(outcome(EAGER), outcome(RUN))


def test_what_cannot_be_compiled_goes_on_without(command: Command) -> None:
    own = "--model.net test_compiled.Printing"
    fitted = command(f"{FIT} {COMPILE} {own}")
    assert fitted.status == 0
    (line,) = (line for line in fitted.out.splitlines() if "compiling" in line)
    assert "not possible, going on without: " in line
    assert command(f"{FIT} {own}").status == 0
    mine, its = (outcome(run) for run in (RUN, EAGER))
    for each in (mine, its):
        each["last"].pop("settings")
    assert not differences(mine["last"]["state_dict"], its["last"]["state_dict"])


def test_without_a_compiler_it_goes_on_without(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "nowhere"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    torch._dynamo.reset()
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "nowhere"),))
    fitted = command(f"{FIT} {COMPILE} --model.net.hidden [3]")
    assert fitted.status == 0, fitted
    assert "not possible, going on without: " in fitted.out
