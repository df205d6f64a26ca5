"""When the reports of a run were."""

from typing import ClassVar

import lightning as L
from moments import Moment, now


class Clock(L.Callback):
    """Notes the moment of each report."""

    moments: ClassVar[list[Moment]] = []  # of the last run

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.moments.clear()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.moments.append(now())
