"""Which of the sixteen gates of two inputs a perceptron learns, and that an MLP learns them all."""

import pytest
import torch
from conftest import quiet_trainer
from torch import Tensor

from perceptrons import backprop
from perceptrons.classifier import Classifier
from perceptrons.data import Gates
from perceptrons.lab.training.spans import use_spans
from perceptrons.network import MLP, Perceptron

ROWS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = [f"{number:04b}" for number in range(16)]
NOT_SEPARABLE = ["0110", "1001"]  # XOR and XNOR
SEEDS = range(3)

every_gate = pytest.mark.parametrize("gate", GATES)


def targets(*gates: str) -> Tensor:
    """Truth tables side by side ``(rows, gates)``."""
    return torch.tensor([[float(digit) for digit in gate] for gate in gates]).T


def four_tanh() -> MLP:
    return MLP(2, hidden=[4], activation="tanh")


@torch.no_grad()
def accuracies(network: MLP, y: Tensor, updates: int) -> list[float]:
    """Accuracy of each output after training by hand, each as if it were alone."""
    rate = float(y.shape[1])  # the loss is a mean over outputs
    for _ in range(updates):
        _, gradients = backprop.gradients(network, ROWS, y, "bce")
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.sub_(gradient, alpha=rate)
    right: list[float] = ((network(ROWS) > 0) == (y > 0)).float().mean(0).tolist()
    return right


def accuracy_through_lightning(network: MLP, gate: str) -> float:
    trainer, model, data = quiet_trainer(max_epochs=1), Classifier(network), Gates(gate, passes=300)
    use_spans(trainer, model, data)
    trainer.fit(model, datamodule=data)
    return trainer.callback_metrics["val/accuracy"].item()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_perceptron_learns_exactly_fourteen_of_the_sixteen_gates(seed: int) -> None:
    torch.manual_seed(seed)
    sixteen = Perceptron(2, outputs=16)  # no output of a perceptron knows of the others
    accuracy = dict(zip(GATES, accuracies(sixteen, targets(*GATES), 1000), strict=True))
    assert [gate for gate in GATES if accuracy[gate] < 1] == NOT_SEPARABLE
    assert all(accuracy[gate] <= 0.75 for gate in NOT_SEPARABLE)


@pytest.mark.parametrize("seed", SEEDS)
@every_gate
def test_an_mlp_learns_every_gate(gate: str, seed: int) -> None:
    torch.manual_seed(seed)
    assert accuracies(four_tanh(), targets(gate), 300) == [1.0]


@every_gate
def test_through_lightning_a_perceptron_learns_what_is_separable(gate: str) -> None:
    torch.manual_seed(0)
    assert (accuracy_through_lightning(Perceptron(2), gate) < 1) == (gate in NOT_SEPARABLE)


@every_gate
def test_through_lightning_an_mlp_learns_every_gate(gate: str) -> None:
    torch.manual_seed(0)
    assert accuracy_through_lightning(four_tanh(), gate) == 1
