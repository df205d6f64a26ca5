"""Snapshots of a small network's weights while it trains: what figures show of how it came about.

They are taken more often than reports, because what is worth seeing may happen between two of them:
after each update at first, and the more seldom the longer a run is. Each checkpoint holds those
taken so far, so that a resumed run has those of its first part.
"""

from array import array
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from ..runs.record import measured
from ..studies.study import StudyModule
from .scene import evenly_changed

# weights of a network, and of all members of a study, up to which there are snapshots, and numbers
# that all of these may be
SMALL, SMALL_STUDY, NUMBERS = 5_000, 25_000, 200_000
# snapshots and reports that are kept at most
SNAPSHOTS, REPORTS = 160, 500
KEY = "figures"  # in a checkpoint


@dataclass
class History:
    """How a network came about.

    Attributes:
        updates: Number of updates at each snapshot.
        weights: The weights there, as :func:`flat` has them.
        stride: Updates from a snapshot to the next, at least.
        reports: Number of updates at each report.
        metrics: What was measured there, by name.
    """

    updates: list[int] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    stride: int = 1
    reports: list[int] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    # by name, number of a report and its value in turn: at once there, for each checkpoint
    columns: dict[str, "array[float]"] = field(default_factory=dict)

    def is_due(self, update: int) -> bool:
        return not self.updates or update - self.updates[-1] >= self.stride

    def add_snapshot(self, update: int, weights: Tensor) -> None:
        """Keep the weights; where these are too many snapshots, half of them."""
        self.updates.append(update)
        self.weights.append(weights)
        most = min(SNAPSHOTS, NUMBERS // len(weights))
        if len(self.updates) > most:
            kept = evenly_changed(torch.stack(self.weights), most // 2)
            self.updates = [self.updates[one] for one in kept]
            self.weights = [self.weights[one] for one in kept]
            self.stride *= 2

    def add_report(self, update: int, metrics: dict[str, float]) -> None:
        """Keep what was measured; where these are too many reports, half of them, evenly."""
        for name, value in metrics.items():
            self.columns.setdefault(name, array("d")).extend((len(self.reports), value))
        self.reports.append(update)
        self.metrics.append(metrics)
        if len(self.reports) > REPORTS:
            kept = evenly_changed(torch.tensor(self.reports)[:, None], REPORTS // 2)
            some = [(self.reports[one], self.metrics[one]) for one in kept]
            self.reports, self.metrics, self.columns = [], [], {}
            for each in some:
                self.add_report(*each)

    def state(self) -> dict[str, Any]:
        """All of it for a checkpoint: as tensors, which it holds in a tenth of the time."""
        pairs = {name: np.frombuffer(each).reshape(-1, 2) for name, each in self.columns.items()}
        return {
            "updates": torch.tensor(self.updates),
            "weights": torch.stack(self.weights) if self.weights else torch.zeros(0, 0),
            "stride": self.stride,
            "reports": torch.tensor(self.reports),
            "metrics": {name: torch.tensor(each) for name, each in pairs.items()},
        }


def history_of(checkpoint: dict[str, Any]) -> History:
    """What a checkpoint holds of how its network came about.

    Raises:
        ValueError: If that is not of the kind that :class:`History` writes.
    """
    state = checkpoint.get(KEY)
    if state is None:
        return History()
    try:
        metrics: list[dict[str, float]] = [{} for _ in state["reports"]]
        for name, pairs in state["metrics"].items():
            for number, value in pairs.tolist():
                metrics[int(number)][str(name)] = float(value)
        updates = [*map(int, torch.as_tensor(state["updates"]).tolist())]
        found = History(updates, [*state["weights"].float()], max(int(state["stride"]), 1))
        for report in zip(state["reports"].tolist(), metrics, strict=True):
            found.add_report(int(report[0]), report[1])
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as mistake:
        raise ValueError(f"checkpoint: its snapshots cannot be read: {mistake}") from mistake
    if len(found.updates) != len(found.weights):
        raise ValueError("checkpoint: its snapshots are incomplete")
    return found


class Snapshots(Callback):
    """Keeps the weights of a small network now and then, and what each report measured.

    Args:
        resumed: Whether the run is resumed, and its checkpoint holds the snapshots of before.
        weights: Whether weights are kept, or only what reports have measured.
    """

    takes_spans = True  # the optimizer tells of the updates within a span

    def __init__(self, resumed: bool = False, weights: bool = True) -> None:
        self.resumed, self.weights, self.history = resumed, weights, History()
        self.values: list[Tensor] = []
        self.update = 0
        self.hook: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.values = small(pl_module) if self.weights else []
        self.take(trainer.global_step)
        if len(trainer.optimizers) == 1 and self.values:
            self.hook = trainer.optimizers[0].register_step_post_hook(
                lambda *_: self.take(self.update + 1)
            )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *batch: Any
    ) -> None:
        self.take(trainer.global_step)  # compiled updates are none of the optimizer's steps

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.hook:
            self.hook.remove()

    def take(self, update: int) -> None:
        """Keep the weights after an update, where it is time."""
        self.update = update
        if self.values and self.history.is_due(update):
            self.history.add_snapshot(update, joined(self.values))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.history.add_report(trainer.global_step, measured(trainer))

    # not its own state: Lightning would then miss it where a run is evaluated without figures
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY] = self.history.state()

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.resumed:
            self.history = history_of(checkpoint)


def small(module: Any) -> list[Tensor]:
    """All that a small network's answers depend on, or those of a study; of a large one nothing."""
    study = isinstance(module, StudyModule)
    net = module.groups if study else getattr(module, "net", None)
    values = floating(net) if isinstance(net, nn.Module) else []
    count = sum(value.numel() for value in values)
    return values if 0 < count <= (SMALL_STUDY if study else SMALL) else []


def floating(net: nn.Module) -> list[Tensor]:
    return [value for value in net.state_dict().values() if value.is_floating_point()]


def joined(values: list[Tensor]) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return torch.cat([value.reshape(-1) for value in values]).float().cpu()


def flat(net: nn.Module) -> Tensor:
    """All numbers that a network's answers depend on ``(numbers,)``."""
    return joined(floating(net))


@torch.no_grad()
def load(net: nn.Module, numbers: Tensor) -> None:
    """Give a network what :func:`flat` has taken from it."""
    values = floating(net)
    parts = torch.split(numbers, [value.numel() for value in values])
    for value, part in zip(values, parts, strict=True):
        value.copy_(part.view_as(value))


def member_history(history: History, study: StudyModule, number: int) -> History:
    """The snapshots of a member, of those of its study."""
    now = {name: value.clone() for name, value in study.groups.state_dict().items()}
    found = History(updates=history.updates)
    try:
        for weights in history.weights:
            load(study.groups, weights)
            found.weights.append(flat(study.members[number]))
    finally:
        study.groups.load_state_dict(now)
    return found
