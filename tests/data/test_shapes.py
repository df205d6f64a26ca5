"""Moons and circles against scikit-learn, the spiral against the Playground's own loop."""

import math
from typing import Any

import pytest
import torch
from conftest import quiet_trainer
from sklearn.datasets import make_circles, make_moons
from torch import Tensor

from perceptrons.classifier import Classifier
from perceptrons.fused import fuse
from perceptrons.network import MLP, Perceptron
from perceptrons.shapes import Circles, Moons, Spiral, TwoShapes

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
    accuracies = []
    torch.manual_seed(0)
    for net in (Perceptron(2), MLP(2, hidden=[16, 16], activation="tanh")):
        model = Classifier(net, optimizer=lambda params: torch.optim.Adam(params, lr=0.01))
        trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
        fuse(trainer)
        trainer.fit(model, datamodule=shape(passes=400))
        accuracies.append(model.measured["train/accuracy"])
    assert accuracies[0] < 0.95
    assert accuracies[1] >= 0.99
