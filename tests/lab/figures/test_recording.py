"""What a page is told of a run: the network, its rows and its optimizer as they are."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small_modules import Plain, dense, trained, trainer, xor
from torch import Tensor, nn

from perceptrons.lab.data.tables import TableData
from perceptrons.lab.figures.page.recording import flattened, run_data
from perceptrons.lab.figures.snapshots import Snapshots, flat
from perceptrons.lab.figures.trained import trained_by

RUN = Path("lightning_logs/xor/version_0")


def fitted(module: Plain, data: Any, epochs: int = 3) -> Any:
    made = trainer(epochs, Snapshots())
    made.fit(module, datamodule=data)
    return made


def shown(module: Plain, data: Any) -> Any:
    return run_data(trained_by(fitted(module, data), module, RUN, {}), RUN / "config.yaml")


class Momentum(Plain):
    """Trained by SGD with momentum, the biases faster."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net)
        self.optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9)

    def configure_optimizers(self) -> Any:
        named = [*self.net.named_parameters()]
        made = self.optimizer([each for name, each in named if "bias" not in name])
        biases = [each for name, each in named if "bias" in name]
        made.add_param_group({"params": biases, "lr": 0.2})
        return made


class Scaled(TableData):
    """Points that the network is given halved and moved, with a constant besides."""

    inputs, outputs, classes = 3, 1, 2
    point_width = 2

    def tables(self) -> dict[str, tuple[Tensor, ...]]:
        points = torch.tensor([[0.0, 0.0], [4.0, 2.0], [2.0, 8.0]])
        rows = self.from_points(points), torch.tensor([[0.0], [1.0], [1.0]])
        return dict.fromkeys(("train", "val", "test", "all"), rows)

    def from_points(self, points: Tensor) -> Tensor:
        return nn.functional.pad(points / 2 - 1, (0, 1), value=1.0)

    def as_points(self, rows: int | None = None) -> Tensor:
        return 2 * (self.split["all"][0][:rows, :2] + 1)


class Bent(Scaled):
    """Points whose inputs are their squares."""

    def from_points(self, points: Tensor) -> Tensor:
        return nn.functional.pad(points**2, (0, 1), value=1.0)


def test_frames_are_the_snapshots_and_the_last_is_the_network() -> None:
    module = Plain(dense(2, 3, 1))
    found = shown(module, xor())
    assert found["widths"] == [2, 3, 1]
    assert found["activations"] == ["sigmoid"]
    assert found["loss"] == "bce"
    assert [frame["update"] for frame in found["frames"]] == [0, 1, 2, 3]
    assert found["frames"][-1]["weights"].tolist() == flat(module.net).tolist()
    assert found["rows"] == {
        "train": {"x": [[0, 0], [0, 1], [1, 0], [1, 1]], "y": [[0], [1], [1], [0]]}
    }


def test_a_run_without_snapshots_says_so() -> None:
    found = run_data(trained(Plain(dense(2, 3, 1)), xor()), RUN)
    assert found["note"] == "There are no snapshots: this is the end."
    assert shown(Plain(dense(2, 3, 1)), xor())["note"] == ""


def test_the_optimizers_state_is_in_the_order_of_the_weights() -> None:
    module = Momentum(dense(2, 2, 1))
    made = fitted(module, xor())
    settings = {"trainer": {"gradient_clip_val": 0.5, "gradient_clip_algorithm": None}}
    optimizer = run_data(trained_by(made, module, RUN, settings), RUN)["optimizer"]
    states = made.optimizers[0].state
    buffers = [states[each]["momentum_buffer"].flatten() for each in module.net.parameters()]
    assert optimizer["state"]["momentum"] == torch.cat(buffers).tolist()
    assert optimizer["bias_lr_factor"] == pytest.approx(2)
    assert optimizer["momentum"] == 0.9
    assert optimizer["clip"] == (0.5, "norm")


def test_points_are_those_of_the_user_where_inputs_follow_by_a_sum() -> None:
    found = shown(Plain(dense(3, 2, 1)), Scaled())
    x = torch.tensor(found["rows"]["train"]["x"])
    torch.testing.assert_close(x.float(), torch.tensor([[0.0, 0.0], [4.0, 2.0], [2.0, 8.0]]))
    assert found["encode"]["offset"] == [-1, -1, 1]
    assert found["features"] == ["x1", "x2", "1"]


@pytest.mark.parametrize(
    ("module", "data", "says"),
    [
        (Plain(dense(3, 1)), Bent(), "do not follow from a point by a sum"),
        (Plain(nn.Bilinear(1, 1, 1)), xor(), "Bilinear is not an nn.Sequential"),
        (Plain(nn.Sequential(nn.Linear(2, 2), nn.ELU(), nn.Linear(2, 1))), xor(), "activations"),
        (
            Plain(nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.2), nn.Linear(2, 1))),
            xor(),
            "LeakyReLU must have the slope 0.01",
        ),
    ],
)
def test_what_cannot_be_played_with_is_said_in_a_line(module: Any, data: Any, says: str) -> None:
    found: Any = run_data(trained(module, data), RUN)
    assert says in found["note"]
    assert "frames" not in found


def test_a_predicted_number_has_the_targets_name_and_units() -> None:
    class Number(Plain):
        def predictions(self, outputs: Tensor) -> dict[str, Tensor]:
            return {"prediction": 10 * outputs + 5}

    module: Any = Number(dense(2, 3, 1))
    module.loss = nn.functional.mse_loss
    found = run_data(trained(module, xor()), RUN)
    assert found["loss"] == "squared_error"
    assert found["target"] == {"name": "prediction", "mean": 5, "std": 10}
    data = xor()
    data.y, data.outputs = data.y.repeat(1, 2), 2
    module.net = dense(2, 3, 2)
    found = run_data(trained(module, data), RUN)
    assert "2 numbers are predicted at once" in found["note"]


def test_another_loss_and_another_optimizer_are_said() -> None:
    module: Any = Plain(dense(2, 1))
    module.loss = nn.functional.l1_loss
    found = run_data(trained(module, xor()), RUN)
    assert "the loss must be bce, mse, cross_entropy or squared error" in found["note"]
    module = Plain(dense(2, 1))
    module.optimizer = lambda params: torch.optim.RMSprop(params, lr=0.1)
    found = run_data(trained(module, xor()), RUN)
    assert found["training_note"] == "The page trains by SGD in place of RMSprop."


def test_settings_are_flat_with_classes_by_the_name_of_their_setting() -> None:
    settings = {"model": {"class_path": "A", "init_args": {"net": {"class_path": "B"}, "lr": 1}}}
    assert flattened(settings) == {"model": "A", "model.net": "B", "model.lr": 1}
