"""The networks against nn.Sequential, and what theory says they can and cannot represent."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from perceptrons.network import MLP, Activation, Init, Perceptron

ROWS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = torch.tensor([False, True, True, False])
HIDDEN = [[], [2], [10, 10, 10], [64, 32, 16]]


def sequential(
    widths: Sequence[int], activation: type[nn.Module] = nn.Sigmoid, bias: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, bias), activation()]
    return nn.Sequential(*layers[:-1])


def values(network: nn.Module) -> list[Tensor]:
    return [parameter.detach() for parameter in network.parameters()]


def assert_same_bits(left: nn.Module, right: nn.Module) -> None:
    for one, other in zip(values(left), values(right), strict=True):
        assert torch.equal(one, other)


def drawn(init: Init, init_scale: float) -> Tensor:
    """Weights and biases of a network large enough for statistics, in one row."""
    torch.manual_seed(0)
    network = MLP(3, 1000, hidden=[50], init=init, init_scale=init_scale)
    return torch.cat([parameter.flatten() for parameter in values(network)])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_initial_weights_are_those_of_nn_sequential(hidden: list[int], bias: bool) -> None:
    torch.manual_seed(777)
    network = MLP(2, 3, hidden, bias=bias)
    torch.manual_seed(777)
    assert_same_bits(network, sequential([2, *hidden, 3], bias=bias))


@pytest.mark.parametrize(
    ("activation", "module"),
    [
        ("sigmoid", nn.Sigmoid),
        ("tanh", nn.Tanh),
        ("relu", nn.ReLU),
        ("leaky_relu", nn.LeakyReLU),
        ("identity", nn.Identity),
    ],
)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_logits_are_those_of_nn_sequential(
    activation: Activation, module: type[nn.Module], hidden: list[int]
) -> None:
    torch.manual_seed(1)
    network = MLP(3, 2, hidden, activation)
    torch.manual_seed(1)
    oracle = sequential([3, *hidden, 2], module)
    x = torch.randn(17, 3)
    assert torch.equal(network(x), oracle(x))


@pytest.mark.parametrize("bias", [True, False])
def test_a_perceptron_is_an_mlp_without_hidden_layers(bias: bool) -> None:
    torch.manual_seed(3)
    perceptron = Perceptron(4, 2, bias=bias, init="uniform", init_scale=0.5)
    torch.manual_seed(3)
    mlp = MLP(4, 2, hidden=[], bias=bias, init="uniform", init_scale=0.5)
    x = torch.randn(9, 4)
    assert_same_bits(perceptron, mlp)
    assert torch.equal(perceptron(x), mlp(x))


def test_normal_weights_and_biases_are_normal_with_the_scale_as_deviation() -> None:
    weights = drawn("normal", 2.0) / 2.0
    assert weights.mean().abs() < 0.02
    for deviations, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert (weights.abs() < deviations).float().mean() == pytest.approx(share, abs=0.01)


def test_uniform_weights_and_biases_fill_the_scale_evenly() -> None:
    weights = drawn("uniform", 0.5) / 0.5
    counts = weights.histc(bins=10, min=-1.0, max=1.0)
    assert counts.sum() == len(weights)  # none is outside
    assert (counts / len(weights)).tolist() == pytest.approx([0.1] * 10, abs=0.01)


def test_the_scale_is_a_factor_on_what_torch_draws() -> None:
    assert torch.equal(drawn("torch", 3.0), 3.0 * drawn("torch", 1.0))


def test_two_hidden_neurons_represent_xor_exactly() -> None:
    network = MLP(2, hidden=[2], activation="relu")
    # one neuron counts the ones, the other those above one; weighted 1 and -2 they make XOR
    network.load_state_dict(
        {
            "0.weight": torch.tensor([[1.0, 1.0], [1.0, 1.0]]),
            "0.bias": torch.tensor([0.0, -1.0]),
            "2.weight": torch.tensor([[1.0, -2.0]]),
            "2.bias": torch.tensor([-0.5]),
        }
    )
    assert network(ROWS)[:, 0].tolist() == [-0.5, 0.5, 0.5, -0.5]


def test_no_perceptron_exceeds_three_quarters_on_xor() -> None:
    # a weighted sum of (0,0) and of (1,1) add up to what those of (0,1) and (1,0) add up to, so
    # the first two cannot both be at most 0 while the last two are both above
    grid = torch.tensor(list(product(torch.arange(-4.0, 4.5, 0.5).tolist(), repeat=3)))
    many = Perceptron(2, outputs=len(grid))
    many.load_state_dict({"0.weight": grid[:, :2], "0.bias": grid[:, 2]})
    answers = many(ROWS) > 0  # (rows, outputs)
    accuracies = (answers == XOR[:, None]).float().mean(0)
    assert accuracies.max() == 0.75


def imports_lightning(statement: str, directory: Path) -> bool:
    """Whether a fresh Python that has run an import statement has loaded Lightning with it."""
    names = "{name.partition('.')[0] for name in sys.modules}"
    script = f"import sys; {statement}; print({names} & {{'lightning', 'pytorch_lightning'}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=directory, check=True, capture_output=True, text=True
    )
    return "lightning" in done.stdout


def test_the_networks_do_without_lightning(tmp_path: Path) -> None:
    assert not imports_lightning("import perceptrons.network", tmp_path)


def test_the_guard_against_lightning_sees_what_is_imported_by_the_way(tmp_path: Path) -> None:
    (tmp_path / "lightning.py").touch()
    (tmp_path / "network.py").write_text("import lightning\n")
    assert imports_lightning("import network", tmp_path)
