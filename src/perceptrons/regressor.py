"""The LightningModule for numeric targets: a network and its error, in the target's own units."""

from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric, R2Score

from .classifier import Batch, scheduled


class Regressor(L.LightningModule):
    """A network that predicts a number.

    Args:
        net: The network: predictions ``(rows, outputs)`` from ``x (rows, inputs)``.
        target_mean: Mean of the target, which the data has subtracted; it comes from the data.
        target_std: Standard deviation, which the data has divided by; it comes from the data.
        loss: Mean error over rows and outputs, of standardised numbers. ``null``: squared error.
        optimizer: The optimizer and its settings.
        scheduler: A learning-rate scheduler, stepped at each update.
    """

    def __init__(
        self,
        net: nn.Module,
        target_mean: float = 0.0,
        target_std: float = 1.0,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = lambda params: torch.optim.Adam(params, lr=0.001),
        scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters("target_mean", "target_std", logger=False)
        self.net, self.loss = net, loss or nn.MSELoss()
        self.mean, self.std = target_mean, target_std
        self.optimizer, self.scheduler = optimizer, scheduler
        self.metrics = nn.ModuleDict()
        for stage in ("train", "val", "test"):
            errors = {"mse": MeanSquaredError(), "mae": MeanAbsoluteError(), "r2": R2Score()}
            self.metrics.update({f"{stage}/{name}": each for name, each in errors.items()})

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x)) * self.std + self.mean

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return cast(Tensor, self.loss(self.net(batch[0]), self.targets(batch[1])))

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        loaders = self.trainer.val_dataloaders
        self.measure([*loaders][dataloader_idx] if isinstance(loaders, dict) else "val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.measure("test", batch)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> dict[str, Tensor]:
        return self.predictions(self.net(batch if isinstance(batch, Tensor) else batch[0]))

    def configure_optimizers(self) -> Any:
        return scheduled(self.optimizer(self.parameters()), self.scheduler)

    def targets(self, y: Tensor) -> Tensor:
        return y if y.ndim > 1 else y[:, None]

    def predictions(self, outputs: Tensor) -> dict[str, Tensor]:
        """The ``prediction`` ``(rows, outputs)`` in the target's own units."""
        return {"prediction": outputs * self.std + self.mean}

    def measure(self, stage: str, batch: Batch) -> None:
        outputs, y = self.net(batch[0]).float(), self.targets(batch[1]).float()
        options: dict[str, Any] = {"on_epoch": True, "add_dataloader_idx": False}
        self.log(f"{stage}/loss", self.loss(outputs, y), batch_size=len(y), **options)
        for name in ("mse", "mae", "r2"):
            metric = cast(Metric, self.metrics[f"{stage}/{name}"])
            metric.update(outputs * self.std + self.mean, y * self.std + self.mean)
            self.log(f"{stage}/{name}", metric, batch_size=len(y), **options)
