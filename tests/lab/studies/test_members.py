"""Law 4: each member of a study is the network that its seed makes alone, and has its gradients."""

from collections.abc import Callable
from typing import Any, cast

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptrons.lab.studies import gradients
from perceptrons.lab.studies.gradients import Blocks, by_autograd, by_hand
from perceptrons.lab.studies.members import FastMembers, MappedMembers, Members, slices, stack
from perceptrons.lab.training.gradients import Loss

SEEDS = [7, 8, 4294967295, 3]


class Residual(nn.Module):
    """Skips a layer, and has a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.across = nn.Linear(3, 8), nn.Linear(8, 8)
        self.norm, self.down = nn.LayerNorm(8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = self.up(x)
        out: Tensor = self.down(self.norm(z + torch.tanh(self.across(z))))
        return out


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, 4, 2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x[:, None])
        return out


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(1, 4), nn.Linear(4, 2)
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.up(x[..., None])
        out: Tensor = self.down(self.heads(tokens, tokens, tokens, need_weights=False)[0].mean(1))
        return out


class Tied(nn.Module):
    """Uses one weight twice, and one that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.two.weight = self.one.weight
        self.out.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.sin(self.two(torch.sin(self.one(x)))))
        return out


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5, bias=False), nn.GELU(), nn.Linear(5, 2)
    )


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SELU(), nn.Linear(4, 2))


def weight_norm() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2))


NETS: dict[str, Callable[[], nn.Module]] = {
    "dense": dense,
    "residual": Residual,
    "conv": Conv,
    "attention": Attention,
    "tied": Tied,
    "batch norm": batch_norm,
    "weight norm": weight_norm,
    "dropout of nothing": lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.0)),
}


def squared(logits: Tensor, y: Tensor) -> Tensor:
    return ((torch.sigmoid(logits) - y) ** 2).mean()


def skewed(logits: Tensor, y: Tensor) -> Tensor:
    """A loss of a user's, in which the greatest error counts."""
    return (logits - y).abs().amax(0).mean()


def penalty(logits: Tensor, y: Tensor) -> Tensor:
    """A loss of which targets of 0 show one part alone."""
    own: Tensor = F.binary_cross_entropy_with_logits(logits, y) + (F.relu(1 - logits) * y).sum()
    return own


LOSSES: dict[str, Loss] = {
    "bce": F.binary_cross_entropy_with_logits,
    "cross entropy": F.cross_entropy,
    "squared": squared,
    "skewed": skewed,
    "penalty": penalty,
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
    "weighted classes": nn.CrossEntropyLoss(torch.tensor([0.5, 2.0])),
    "weighted": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([0.5, 2.0])),
}


def lone(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return make()


def rows(own: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (6, 3, len(SEEDS)) if own else (6, 3)
    x = torch.randn(shape, generator=generator)
    y = torch.zeros(6, 2, *shape[2:])
    y[:, 0] = torch.rand(6, *shape[2:], generator=generator).round()
    y[:, 1] = 1 - y[:, 0]
    return x, y


def blocks_of(members: Members, loss: Loss, size: int = 10**6) -> Blocks:
    return Blocks(members, by_autograd(members, loss), size)


@pytest.mark.parametrize("net", NETS)
def test_a_member_has_the_very_weights_of_its_seed(net: str) -> None:
    members = stack(NETS[net], SEEDS)
    for number, seed in enumerate(SEEDS):
        mine, its = members.member(number).state_dict(), lone(NETS[net], seed).state_dict()
        assert mine.keys() == its.keys()
        assert all(torch.equal(mine[name], its[name]) for name in its)


def test_making_members_leaves_the_random_numbers_of_others_as_they_were() -> None:
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    stack(dense, SEEDS)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("net", NETS)
def test_a_member_has_the_gradient_that_it_has_alone(net: str, loss: str, own: bool) -> None:
    members, (x, y) = stack(NETS[net], SEEDS), rows(own)
    found = blocks_of(members, LOSSES[loss]).gradients(x, y)
    names = dict(members.net.named_parameters())
    for number, seed in enumerate(SEEDS):
        alone = lone(NETS[net], seed)
        own_x, own_y = (t[..., number] if own else t for t in (x, y))
        LOSSES[loss](alone(own_x), own_y).backward()  # type: ignore[no-untyped-call]
        its = dict(alone.named_parameters())
        assert its.keys() == names.keys()
        for name, mine in zip(names, found, strict=True):
            if its[name].requires_grad:
                torch.testing.assert_close(members.alone(mine, number), its[name].grad)
        for name, buffer in alone.named_buffers():  # such as the means of a batch norm
            torch.testing.assert_close(members.buffers[name][number], buffer)


@pytest.mark.parametrize("size", [1, 4_000, 10**9])
@pytest.mark.parametrize("net", ["dense", "batch norm"])
def test_blocks_of_any_size_have_the_same_gradients(
    net: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "EAGER", 10**9)
    monkeypatch.setattr(gradients, "MAPPED", 10**9)
    one, many = stack(NETS[net], range(30)), stack(NETS[net], range(30))
    x, y = rows()
    blocks = blocks_of(many, squared, 10**9 // max(1, min(30, 10**9 // max(size, 1))))
    for mine, its in zip(
        blocks.gradients(x, y), blocks_of(one, squared, 1).gradients(x, y), strict=True
    ):
        torch.testing.assert_close(mine, its)
    torch.testing.assert_close(
        torch.cat([z for _, z in blocks.logits(x)], -1),
        next(iter(blocks_of(one, squared, 1).logits(x)))[1],
    )


@pytest.mark.parametrize(("count", "size"), [(10, 3), (10, 2), (7, 3), (6, 9), (1, 1), (11, 0)])
def test_blocks_have_each_member_once(count: int, size: int) -> None:
    numbers = [n for part in slices(count, size) for n in range(part.start, part.stop)]
    assert numbers == [*range(count)]
    assert all(part.stop - part.start <= max(size, 1) for part in slices(count, size))


class Halves(L.LightningModule):
    """Gradients by hand that are not those of its loss."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.loss = net, squared

    @torch.no_grad()
    def hand_gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        layer = cast(Any, self.net)
        return layer(x), [(layer(x) - y).mT @ x / 2, layer.bias + y.sum(0)]


def test_gradients_by_hand_are_the_users_for_each_member() -> None:
    def make() -> nn.Module:
        return nn.Linear(3, 2)

    members, (x, y) = stack(make, SEEDS, fast=False), rows()
    found = Blocks(members, by_hand(Halves(make()), members), 1).gradients(x, y)
    for number, seed in enumerate(SEEDS):
        for mine, its in zip(found, Halves(lone(make, seed)).hand_gradients(x, y)[1], strict=True):
            torch.testing.assert_close(mine[number], its)


class Shaped(nn.Module):
    """Makes something of its numbers between two layers."""

    def __init__(self, make: Callable[[Tensor], Tensor], width: int = 4) -> None:
        super().__init__()
        self.make, self.up, self.down = make, nn.Linear(3, 4), nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(self.make(self.up(x)))
        return out


MIXING: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "softmax": (lambda z: z.softmax(-1), 4),
    "mean": (lambda z: z - z.mean(-1, keepdim=True), 4),
    "rows": (lambda z: z - z.mean(0), 4),
    "joined": (lambda z: torch.cat([z, z.abs()], -1), 8),
    "flipped": (lambda z: z.flip(-1), 4),
    "product": (lambda z: z @ torch.eye(4), 4),
    "by its shape": (lambda z: z / z.shape[-1], 4),
    "a constant": (lambda z: z * torch.arange(4), 4),
}


@pytest.mark.parametrize("how", MIXING)
def test_what_mixes_numbers_has_the_gradients_it_has_alone(how: str) -> None:
    members, (x, y) = stack(lambda: Shaped(*MIXING[how]), SEEDS), rows()
    assert isinstance(members, MappedMembers)
    found = blocks_of(members, squared).gradients(x, y)
    for number, seed in enumerate(SEEDS):
        alone = lone(lambda: Shaped(*MIXING[how]), seed)
        squared(alone(x), y).backward()  # type: ignore[no-untyped-call]
        for mine, weight in zip(found, alone.parameters(), strict=True):
            torch.testing.assert_close(members.alone(mine, number), weight.grad)


def test_networks_of_layers_norms_and_elementwise_functions_have_members_last() -> None:
    for net in ("dense", "residual", "dropout of nothing"):
        assert isinstance(stack(NETS[net], SEEDS), FastMembers)
    for net in ("tied", "conv", "attention", "batch norm", "weight norm"):
        assert isinstance(stack(NETS[net], SEEDS), MappedMembers)
    assert isinstance(stack(dense, SEEDS, ndim=3), MappedMembers)
    assert isinstance(stack(lambda: Shaped(lambda z: z * 2 + z.sin()), SEEDS), FastMembers)


class Counting(nn.Linear):
    """Does something else at each call."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * self.calls


class Distances(nn.Linear):
    """Has an operation that vmap makes member by member."""

    def __init__(self) -> None:
        super().__init__(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return z + F.pdist(z).mean()


REPLAYED = {
    **NETS,
    "dropout": lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)),
    "mapped dropout": lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2)),
}


@pytest.mark.parametrize("net", REPLAYED)
def test_a_graph_that_is_replayed_has_the_bits_of_the_calls_that_it_stands_for(
    net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, (x, y) = [], rows()
    for often in (2, 10**9):
        monkeypatch.setattr(gradients, "OFTEN", often)
        members = stack(REPLAYED[net], SEEDS)
        blocks = blocks_of(members, squared)
        torch.manual_seed(3)
        made = [each.clone() for _ in range(4) for each in blocks.gradients(x, y)]
        # a weight norm is made member by member
        assert bool(blocks.graphs) == (often == 2 and net != "weight norm")
        found.append([*made, *members.buffers.values()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("net", [Counting, Distances])
def test_what_is_another_graph_at_each_call_or_a_long_one_is_not_replayed(
    net: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "OFTEN", 2)
    blocks, (x, y) = blocks_of(stack(net, SEEDS, fast=False), squared), rows()
    made = [blocks.gradients(x, y)[0] for _ in range(4)]
    assert torch.equal(made[2], made[3]) == (net is Distances)
    assert not blocks.graphs
