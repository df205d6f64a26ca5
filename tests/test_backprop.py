"""The gradients by hand against autograd, a NumPy network and finite differences."""

from copy import deepcopy
from itertools import product
from typing import NamedTuple, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy_mlp import Array, NumpyMLP
from torch import Tensor, nn

from perceptrons import backprop
from perceptrons.network import MLP, Activation

gradients_by_hand = torch.no_grad()(backprop.gradients)
LOSSES = ("bce", "mse", "cross_entropy")
HIDDEN: list[list[int]] = [[], [3], [4, 3, 5]]


class Case(NamedTuple):
    activation: Activation
    loss: str
    bias: bool
    hidden: list[int]


CASES = [Case(*one) for one in product(get_args(Activation), LOSSES, (True, False), HIDDEN)]


def name(case: Case) -> str:
    return "-".join(map(str, case))


every_case = pytest.mark.parametrize("case", CASES, ids=name)


def made(case: Case, dtype: torch.dtype) -> tuple[MLP, Tensor, Tensor]:
    """A network with sizeable weights, inputs and targets: two outputs, or one of three classes."""
    torch.manual_seed(5)
    classes = 3 if case.loss == "cross_entropy" else 2
    network = MLP(4, classes, case.hidden, case.activation, case.bias, "normal")
    x, y = torch.randn(7, 4), torch.randint(2, (7, 2))
    if case.loss == "cross_entropy":
        y = F.one_hot(torch.randint(3, (7,)), 3)
    return network.to(dtype), x.to(dtype), y.to(dtype)


def autograd(network: MLP, x: Tensor, y: Tensor, loss: str) -> list[Tensor]:
    logits = network(x)
    if loss == "bce":
        value = F.binary_cross_entropy_with_logits(logits, y)
    elif loss == "mse":
        value = F.mse_loss(logits.sigmoid(), y)
    else:
        value = F.cross_entropy(logits, y)
    return list(torch.autograd.grad(value, list(network.parameters())))


def assert_near(left: list[Tensor], right: list[Tensor], rtol: float, atol: float) -> None:
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


def in_numpy(network: MLP, case: Case) -> NumpyMLP:
    layers = []
    for linear in network:
        if isinstance(linear, nn.Linear):
            biases = [] if linear.bias is None else [linear.bias[None]]
            layers.append(torch.cat([linear.weight.T, *biases]).detach().double().numpy())
    return NumpyMLP(layers, case.activation, case.bias)


def as_layers(gradients: list[Tensor], bias: bool) -> list[Array]:
    """Gradients of weights and of biases as :class:`NumpyMLP` has them, a matrix for each layer."""
    if not bias:
        return [weight.T.numpy() for weight in gradients]
    pairs = zip(gradients[::2], gradients[1::2], strict=True)
    return [torch.cat([weight.T, biases[None]]).numpy() for weight, biases in pairs]


@every_case
def test_by_hand_equals_autograd_in_double_precision(case: Case) -> None:
    network, x, y = made(case, torch.float64)
    logits, gradients = gradients_by_hand(network, x, y, case.loss)
    assert torch.equal(logits, network(x))
    assert_near(gradients, autograd(network, x, y, case.loss), rtol=1e-11, atol=1e-14)


@every_case
def test_by_hand_equals_autograd_in_single_precision(case: Case) -> None:
    network, x, y = made(case, torch.float32)
    _, gradients = gradients_by_hand(network, x, y, case.loss)
    assert_near(gradients, autograd(network, x, y, case.loss), rtol=1e-4, atol=1e-6)


@every_case
def test_by_hand_equals_numpy(case: Case) -> None:
    network, x, y = made(case, torch.float64)
    _, gradients = gradients_by_hand(network, x, y, case.loss)
    oracle = in_numpy(network, case).gradients(x.numpy(), y.numpy(), case.loss)
    for one, other in zip(as_layers(gradients, case.bias), oracle, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_by_hand_takes_the_slope_that_autograd_takes_at_a_weighted_sum_of_0(
    activation: Activation,
) -> None:
    network, x, y = made(Case(activation, "bce", True, [3]), torch.float32)
    nn.init.zeros_(network.get_parameter("0.weight"))
    nn.init.zeros_(network.get_parameter("0.bias"))
    _, gradients = gradients_by_hand(network, x, y, "bce")
    assert_near(gradients, autograd(network, x, y, "bce"), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_numpy_gradients_are_finite_differences_of_its_loss(loss: str) -> None:
    case = Case("tanh", loss, True, [3, 2])
    torch_network, tensor_x, tensor_y = made(case, torch.float64)
    network, x, y = in_numpy(torch_network, case), tensor_x.numpy(), tensor_y.numpy()
    step = 1e-6
    for layer, gradient in zip(network.layers, network.gradients(x, y, loss), strict=True):
        differences = np.empty_like(layer)
        for index, weight in np.ndenumerate(layer.copy()):
            layer[index] = weight + step
            above = network.loss(x, y, loss)
            layer[index] = weight - step
            differences[index] = (above - network.loss(x, y, loss)) / (2 * step)
            layer[index] = weight
        np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_by_hand_stays_with_training_by_autograd(loss: str) -> None:
    by_hand, x, y = made(Case("sigmoid", loss, True, [4, 3]), torch.float64)
    by_autograd = deepcopy(by_hand)
    for _ in range(300):
        _, gradients = gradients_by_hand(by_hand, x, y, loss)
        descend(by_hand, gradients)
        descend(by_autograd, autograd(by_autograd, x, y, loss))
    moved = [one.detach() for one in by_hand.parameters()]
    assert_near(moved, [one.detach() for one in by_autograd.parameters()], rtol=1e-8, atol=1e-10)


@torch.no_grad()
def descend(network: MLP, gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        parameter.sub_(gradient, alpha=0.5)
