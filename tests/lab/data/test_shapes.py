"""Moons and circles against scikit-learn, the spiral against the Playground's own loop."""

import math
from typing import Any

import pytest
import torch
from sklearn.datasets import make_circles, make_moons
from torch import Tensor, nn

from perceptrons.lab.data.samples import Circles, Moons, Spiral, TwoShapes

SHAPES = [Moons, Circles, Spiral]


def table(data: TwoShapes, name: str = "all") -> tuple[Tensor, Tensor]:
    x, y = data.split[name]
    return x, y


def playground(samples: int, turns: float) -> list[tuple[float, float, int]]:
    """Points and labels as ``classifySpiralData`` of TensorFlow Playground makes them, less noise.

    Its loop starts at 0, which gives both arms the same first point; here at 1.
    """
    points, n = [], samples // 2
    for label, delta in ((0, 0.0), (1, math.pi)):
        for i in range(1, n + 1):
            r = i / n * 5
            t = turns * i / n * 2 * math.pi + delta
            points.append((r * math.sin(t), r * math.cos(t), label))
    return points


def test_moons_are_those_of_scikit_learn() -> None:
    points, labels = make_moons(150, noise=0.2, random_state=3)
    x, y = table(Moons(n_samples=150, noise=0.2, random_state=3))
    assert torch.equal(x, torch.from_numpy(points).float())
    assert y[:, 0].tolist() == labels.tolist()


def test_circles_are_those_of_scikit_learn() -> None:
    points, labels = make_circles(150, noise=0.2, random_state=3, factor=0.3)
    x, y = table(Circles(n_samples=150, noise=0.2, random_state=3, factor=0.3))
    assert torch.equal(x, torch.from_numpy(points).float())
    assert y[:, 0].tolist() == labels.tolist()


@pytest.mark.parametrize("turns", [1.75, 3.0])
def test_the_spiral_is_that_of_the_playground(turns: float) -> None:
    x, y = table(Spiral(n_samples=100, turns=turns))
    made = sorted((*point, label) for point, (label,) in zip(x.tolist(), y.tolist(), strict=True))
    expected = sorted(playground(100, turns))
    torch.testing.assert_close(torch.tensor(made), torch.tensor(expected), atol=1e-5, rtol=0)


def test_the_spirals_noise_shifts_each_coordinate_evenly_up_to_its_width() -> None:
    exact, noisy = (table(Spiral(n_samples=2000, noise=noise))[0] for noise in (0.0, 0.5))
    shifts = (noisy - exact).flatten()
    assert shifts.abs().max() <= 0.5 + 1e-6
    assert shifts.abs().mean() == pytest.approx(0.25, abs=0.02)
    assert shifts.mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_split_alike_and_decided_by_its_seed(shape: type[TwoShapes]) -> None:
    settings: dict[str, Any] = {
        "n_samples": 100,
        "noise": 0.1,
        "val_fraction": 0.2,
        "test_fraction": 0.3,
    }
    one, same, other = (shape(**settings, random_state=seed) for seed in (1, 1, 2))
    assert [len(table(one, name)[0]) for name in ("train", "val", "test", "all")] == [
        *(50, 20, 30, 100)
    ]
    for name in ("train", "val", "test"):
        assert table(one, name)[1].mean() == 0.5
        assert torch.equal(table(one, name)[0], table(same, name)[0])
    assert not torch.equal(table(one)[0], table(other)[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_no_line_parts_a_shape_and_an_mlp_does(shape: type[TwoShapes]) -> None:
    layers = [nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)]
    assert learned(nn.Linear(2, 1), shape()) < 0.95
    assert learned(nn.Sequential(*layers), shape()) >= 0.99


def learned(net: nn.Module, data: TwoShapes) -> float:
    """Accuracy of a network after 600 updates."""
    torch.manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    x, y = table(data)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.binary_cross_entropy_with_logits(net(x), y))
        optimizer.step()
    return float(((net(x) > 0) == y.bool()).float().mean())


@pytest.mark.parametrize("shape", SHAPES)
def test_folds_are_made_of_the_same_points_and_each_is_held_out_once(
    shape: type[TwoShapes],
) -> None:
    data = shape(n_samples=50, noise=0.1)
    held_out = [data.fold(number, 5).split["val"][0] for number in range(5)]
    assert [len(x) for x in held_out] == [10] * 5
    assert sorted(torch.cat(held_out).tolist()) == sorted(table(data)[0].tolist())


def test_the_rows_to_test_on_are_in_no_fold() -> None:
    data = Moons(n_samples=50, noise=0.1, test_fraction=0.2)
    tested = {tuple(point) for point in data.split["test"][0].tolist()}
    assert len(tested) == 10
    for number in range(5):
        split = data.fold(number, 5).split
        others = torch.cat([split["train"][0], split["val"][0]]).tolist()
        assert len(others) == 40
        assert not tested & {tuple(point) for point in others}
        assert {tuple(point) for point in split["test"][0].tolist()} == tested


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"n_samples": 1}, "^n_samples=1: must be at least 2"),
        ({"noise": float("nan")}, "^noise=nan: must be at least 0"),
        ({"noise": 1e300}, r"^noise=1e\+300: must be at least 0 and below 1e30"),
    ],
)
def test_a_shape_that_cannot_be_drawn_is_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Moons(**settings)
