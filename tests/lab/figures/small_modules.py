"""Small modules and data of the tests' own, so that they tell of any project."""

from functools import partial
from itertools import pairwise
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptrons.lab.data.tables import TableData
from perceptrons.lab.figures.drawing import drawn
from perceptrons.lab.figures.scene import Scene
from perceptrons.lab.figures.snapshots import History
from perceptrons.lab.figures.trained import Trained

CORNERS = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
XOR = [0, 1, 1, 0]


class Points(TableData):
    """Rows and their classes, all of which serve for everything."""

    def __init__(self, points: Any, labels: Any, classes: int = 2, names: Any = ()) -> None:
        super().__init__()
        self.x, y = torch.tensor(points, dtype=torch.float32), torch.tensor(labels)
        self.y = y[:, None].float() if classes == 2 else F.one_hot(y, classes).float()
        self.inputs, self.outputs = self.x.shape[1], self.y.shape[1]
        self.classes, self.class_names = classes, names

    def tables(self) -> dict[str, tuple[Tensor, ...]]:
        return dict.fromkeys(("train", "val", "test", "all"), (self.x, self.y))


class Parted(Points):
    """Its rows are training, validation and test set by turns."""

    def tables(self) -> dict[str, tuple[Tensor, ...]]:
        parts = {n: (self.x[i::3], self.y[i::3]) for i, n in enumerate(("train", "val", "test"))}
        return {**parts, "all": (self.x, self.y)}


class Plain(L.LightningModule):
    """What figures need of a module, and no more."""

    def __init__(self, net: nn.Module, classes: int = 2, rate: float = 1.0) -> None:
        super().__init__()
        self.net, self.classes, self.rate = net, classes, rate
        self.loss = F.binary_cross_entropy_with_logits if classes == 2 else F.cross_entropy
        self.optimizer = partial(torch.optim.SGD, lr=rate)
        self.scheduler = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.loss(self.net(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        loss = self.loss(self.net(batch[0]), batch[1])
        self.log(f"{('train', 'val')[dataloader_idx]}/loss", loss, add_dataloader_idx=False)
        if dataloader_idx == 0:  # the axis of Lightning's loggers
            self.log("step", float(self.global_step), add_dataloader_idx=False)

    def configure_optimizers(self) -> Any:
        return self.optimizer(self.parameters())


def trained(
    module: Any, data: Any, history: History | None = None, update: int = 7, title: str = "a run"
) -> Trained:
    """A run to look at."""
    state: dict[str, Any] = {"state": {}, "param_groups": []}
    net = getattr(module, "net", None)
    return Trained(title, module, net, data, history or History(), update, {}, state)


def dense(*widths: int, activation: type[nn.Module] = nn.Sigmoid) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def solver() -> nn.Sequential:
    """XOR by hand: h1 is OR, h2 is AND, and the output is h1 and not h2."""
    network = dense(2, 2, 1)
    weights = [[[20.0, 20.0], [20.0, 20.0]], [-10.0, -30.0], [[20.0, -20.0]], [-10.0]]
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(value))
    return network


def figures_of(scene: Scene) -> dict[str, list[tuple[int, Any]]]:
    """Update and figure of each frame, by the figure's name."""
    return {name: [*frames] for name, frames in drawn(scene)}


def xor() -> Points:
    return Points(CORNERS, XOR)


def trainer(epochs: int, *callbacks: Any, **more: Any) -> L.Trainer:
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    chosen: dict[str, Any] = {**quiet, "num_sanity_val_steps": 0, "log_every_n_steps": 1, **more}
    return L.Trainer(max_epochs=epochs, callbacks=[*callbacks], accelerator="cpu", **chosen)
