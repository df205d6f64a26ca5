"""Compiled updates give what torch's optimizers give, and are left out where they cannot be had."""

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptrons.lab.training import compiled
from perceptrons.lab.training.compiled import Block, Compiled, check_single
from perceptrons.lab.training.functional import KNOWN, check_compiles, states_of, step
from perceptrons.lab.training.gradients import single, with_clipping
from perceptrons.lab.training.graphs import describe, graph_of

SETTINGS: list[tuple[type[torch.optim.Optimizer], dict[str, Any]]] = [
    (torch.optim.SGD, {}),
    (torch.optim.SGD, {"weight_decay": 0.1, "maximize": True}),
    (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (torch.optim.Adam, {"betas": (0.8, 0.9)}),
    (torch.optim.Adam, {"weight_decay": 0.1, "eps": 1e-3, "amsgrad": True}),
    (torch.optim.AdamW, {"weight_decay": 0.1}),
    (torch.optim.RMSprop, {"alpha": 0.9}),
    (torch.optim.RMSprop, {"momentum": 0.5, "weight_decay": 0.1, "centered": True}),
    (torch.optim.Adagrad, {"lr_decay": 0.1}),
    (torch.optim.Adamax, {}),
    (torch.optim.Adadelta, {"rho": 0.8}),
    (torch.optim.RAdam, {}),
]


@pytest.mark.parametrize(("kind", "settings"), SETTINGS, ids=str)
def test_a_traced_step_is_that_of_torchs_optimizer(kind: Any, settings: Any) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(5, dtype=torch.float64))
    optimizer = kind([weight], lr=0.1, **settings)
    gradients = torch.randn(8, 5, dtype=torch.float64)
    weight.grad = gradients[0]
    optimizer.step()  # which makes its state
    state = states_of(optimizer, weight)

    def update(mine: Tensor, gradient: Tensor, *others: Tensor) -> Tensor:
        *kept, rates, number = others
        own = dict(zip(state, kept, strict=True))
        step(optimizer, [weight], [mine], [gradient], [own], rates, number)
        return mine

    rates = torch.tensor([0.1], dtype=torch.float64)
    given = [each.detach().clone() for each in (weight, gradients[0], *state.values(), rates)]
    traced = graph_of(update, [each.clone() for each in (*given, rates[0])])
    for number, gradient in enumerate(gradients[1:], 2):
        given[1], count = gradient, torch.tensor(float(number), dtype=torch.float64)
        traced(*given, count)
        weight.grad = gradient
        optimizer.step()
        torch.testing.assert_close(given[0], weight.detach(), rtol=1e-6, atol=1e-7)


def test_every_optimizer_that_can_be_traced_is_compared() -> None:
    assert {kind for kind, _ in SETTINGS} == set(KNOWN)


def test_an_optimizer_without_one_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(ValueError, match=r"compile=True: not with LBFGS; .* SGD, Adam, AdamW"):
        check_compiles(torch.optim.LBFGS([nn.Parameter(torch.zeros(1))]))


class Printing(nn.Linear):
    """Does what cannot be compiled: what it does next depends on a number."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2.0 if x.sum().item() > 0 else 1.0)


class Module:
    def __init__(self, net: nn.Module, loss: Any = F.binary_cross_entropy_with_logits) -> None:
        self.net, self.loss = net, loss


def trained(
    net: nn.Module, updates: int, at_once: bool, clip: Any = None, **given: Any
) -> tuple[Any, int]:
    """A network's weights after some updates, and how many of them were made at once."""
    torch.manual_seed(1)
    rows = [(torch.randn(4, 2), torch.rand(4, 1).round()) for _ in range(3)]
    batches, made, left = itertools.cycle(rows), 0, updates
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    module = Module(net, **given)
    gradient = with_clipping(single(module), None, clip, "norm") if clip else single(module)
    weights = {name: weight.detach() for name, weight in net.named_parameters()}
    block = Block(None, weights, dict(net.named_buffers()))
    many = Compiled(optimizer, dict(net.named_parameters()), gradient, [block])
    while left:
        done, waiting = many.run(batches, left, scheduler.step) if at_once else (0, [])
        made, left = made + done, left - done
        for x, y in waiting or ([next(batches)] if left else []):
            optimizer.zero_grad()
            module.loss(net(x), y).backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()
            scheduler.step()
            left -= 1
    return net.state_dict(), made


@pytest.mark.slow
@pytest.mark.parametrize("updates", [7, 24])
@pytest.mark.parametrize(
    ("layer", "clip"), [(nn.Tanh(), None), (nn.Tanh(), 0.1), (nn.BatchNorm1d(3), None)]
)
def test_updates_at_once_are_those_one_by_one(
    updates: int, layer: nn.Module, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "MOST", 4)
    ends = []
    for at_once in (True, False):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 3, bias=False), copy.deepcopy(layer), nn.Linear(3, 1))
        weights, made = trained(net, updates, at_once, clip)
        assert made == (updates - 1) // 4 * 4 * at_once
        ends.append(weights)
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-4, atol=1e-6)


def test_a_scheduler_that_changes_more_than_the_rate_is_refused() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    gradient = single(Module(net))
    many = Compiled(optimizer, dict(net.named_parameters()), gradient, [])
    plain = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    optimizer.step()
    assert len(many.coming(plain.step, torch.device("cpu"))) == 2
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=400)
    optimizer.step()
    with pytest.raises(ValueError, match="compile=True: the scheduler changes more"):
        many.coming(cycle.step, torch.device("cpu"))


class Averaging(nn.Linear):
    """Keeps a mean of its inputs in another tensor each time."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__(2, 1)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return super().forward(x - self.mean)


def test_a_buffer_that_is_replaced_is_refused() -> None:
    class Whole(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net, self.loss, self.scheduler = net, F.mse_loss, None
            self.optimizer = lambda given: torch.optim.SGD(given, 0.1)

        def training_step(self, batch: Any, _: int) -> Any:
            return self.loss(self.net(batch[0]), batch[1])

    rows = torch.randn(4, 2), torch.randn(4, 1)
    check_single(Whole(nn.Linear(2, 1)), *rows)
    with pytest.raises(ValueError, match="compile=True: forward replaces mean; change it in place"):
        check_single(Whole(Averaging()), *rows)


def test_what_cannot_be_compiled_goes_on_one_by_one_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    net, twin = Printing(2, 1), Printing(2, 1)
    twin.load_state_dict(net.state_dict())
    (mine, made), (its, _) = trained(net, 40, True), trained(twin, 40, False)
    assert made == 0
    assert all(torch.equal(mine[name], its[name]) for name in its)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "compiling the updates ... not possible, going on without: " in said


def test_updates_are_known_by_what_they_do_not_by_the_numbers_they_are_given() -> None:
    def update(factor: float = 2.0, shift: float = 1.0, power: int = 2, rows: int = 4) -> str:
        constant = torch.full((1,), shift)

        def loss(x: Tensor, weight: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = weight.detach().requires_grad_()
                made = torch.sigmoid((x * leaf) ** power * factor + constant).sum()
            return weight.sub_(*torch.autograd.grad(made, leaf))

        return describe(loss, [torch.rand(9, 3)[-rows:], torch.rand(3)])

    assert update() == update()
    changed = update(factor=3.0), update(shift=2.0), update(power=3), update(rows=3)
    assert len({update(), *changed}) == 5


@pytest.mark.slow
def test_machine_code_serves_the_updates_that_it_is_of_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "MOST", 1)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    for weight, files in ((2.0, 1), (2.0, 1), (3.0, 2)):
        for file in tmp_path.glob("updates/*.pt2"):  # a crash has cut it short
            file.write_bytes(file.read_bytes()[:3000])
        net, twin = nn.Linear(2, 1), nn.Linear(2, 1)
        twin.load_state_dict(net.state_dict())
        loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([weight]))
        (mine, made), (its, _) = (trained(n, 9, n is net, loss=loss) for n in (net, twin))
        assert made == 8
        assert len([*tmp_path.glob("updates/*.pt2")]) == files
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_any_number_of_runs_in_a_process_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST", 2)
    recompiled: int = torch._dynamo.config.recompile_limit
    assert all(trained(nn.Linear(2, 1), 3, True)[1] == 2 for _ in range(recompiled + 1))
