"""An update on paper: the same numbers as PyTorch's, and nothing that cannot be followed."""

from itertools import pairwise
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptrons.lab.cli.main import main
from perceptrons.lab.cli.verbs.explain import explanation
from perceptrons.lab.data.tables import TableData
from perceptrons.lab.training.on_paper import first_update

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


class Corners(TableData):
    """The corners of a square, with one column of targets or one-hot classes."""

    classes = 2

    def __init__(self, y: Tensor) -> None:
        super().__init__()
        self.y, self.inputs, self.outputs = y, 2, y.shape[1]

    def tables(self) -> dict[str, tuple[Tensor, ...]]:
        return dict.fromkeys(("train", "val", "test", "all"), (CORNERS, self.y))


class Named(Corners):
    """Whose columns' names would be markup."""

    @property
    def point_names(self) -> list[str]:
        return ["<img>", "a|b"]


class Module(L.LightningModule):
    """A network with a loss and an optimizer."""

    def __init__(self, net: nn.Module, loss: Any, **settings: Any) -> None:
        super().__init__()
        self.net, self.loss, self.settings = net, loss, settings

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.net.parameters(), **{"lr": 0.5, **self.settings})


def dense(*widths: int, activation: type[nn.Module] = nn.Sigmoid, bias: bool = True) -> Any:
    torch.manual_seed(1)
    layers = [[nn.Linear(i, o, bias=bias), activation()] for i, o in pairwise(widths)]
    return nn.Sequential(*[each for pair in layers for each in pair][:-1])


def squared(logits: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(torch.sigmoid(logits), y)


BCE = F.binary_cross_entropy_with_logits
XOR = Corners(torch.tensor([[0.0], [1.0], [1.0], [0.0]]))
THREE = Corners(F.one_hot(torch.tensor([0, 1, 2, 0])).float())


@pytest.mark.parametrize(
    ("net", "loss", "data"),
    [
        (dense(2, 1), BCE, XOR),
        (dense(2, 2, 1), squared, XOR),
        (dense(2, 4, 3, 1, activation=nn.Tanh), BCE, XOR),
        (dense(2, 4, 3, activation=nn.LeakyReLU), F.cross_entropy, THREE),
        (dense(2, 4, 3, activation=nn.ReLU, bias=False), BCE, THREE),
        (dense(2, 4, 1), F.mse_loss, Corners(torch.tensor([[0.5], [-1.0], [3.0], [0.25]]))),
    ],
)
def test_gradients_on_paper_are_those_of_autograd(net: Any, loss: Any, data: Corners) -> None:
    for row in range(1, 5):
        update = first_update(Module(net, loss), data, row)
        for hand, own in zip(update.by_hand, update.by_autograd, strict=True):
            torch.testing.assert_close(hand, own, rtol=1e-5, atol=1e-7)


def test_weights_after_are_those_before_less_the_rate_times_the_gradient() -> None:
    update = first_update(Module(dense(2, 2, 1), BCE), XOR)
    for before, gradient, after in zip(update.before, update.by_hand, update.after, strict=True):
        torch.testing.assert_close(after, before - 0.5 * gradient)


def test_the_sums_are_made_of_the_weights_before_the_update() -> None:
    net = dense(2, 1)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[0.25, -0.5]]))
        net[0].bias.fill_(1.0)
    text = explanation(first_update(Module(net, BCE), XOR), XOR)
    assert "x = (1, 1), y = (0)" in text
    assert "p 0.25*1 - 0.5*1 + 1 0.75 0.6792" in " ".join(text.split())
    assert "after = before - 0.5 * gradient" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_in_markdown_each_step_has_a_title_and_all_names_are_code() -> None:
    lines = explanation(first_update(Module(dense(2, 2, 1), BCE), XOR), Named(XOR.y)).splitlines()
    assert sum(line.startswith("## ") for line in lines) == 6
    assert all("<" not in line for line in lines if not line.startswith("    "))
    assert any(line.startswith("    <img> -> h1") for line in lines)


@pytest.mark.parametrize(
    ("module", "row", "says"),
    [
        (Module(dense(2, 2, 1), BCE), 5, "--row=5: must be from 1 to 4"),
        (Module(dense(2, 2, 1, activation=nn.GELU), BCE), 1, "activations must be of Sigmoid"),
        (
            Module(dense(2, 2, 1), F.l1_loss),
            1,
            "loss must be bce, mse, cross_entropy or",
        ),
        (Module(nn.Bilinear(1, 1, 1), BCE), 1, "Bilinear is not an nn.Sequential of linear layers"),
    ],
)
def test_what_cannot_be_followed_is_refused(module: Any, row: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        first_update(module, XOR, row)


def test_no_config_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(args=["explain"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: no config; as in")
