"""When the reports of a run were, by the clock and by the processor."""

import time
from typing import ClassVar, NamedTuple

import lightning as L


class Moment(NamedTuple):
    """A moment, in seconds.

    Attributes:
        wall: By the clock.
        cpu: That this process has computed: what others take of the processor is not in it.
    """

    wall: float
    cpu: float


def now() -> Moment:
    return Moment(time.perf_counter(), time.process_time())


class Clock(L.Callback):
    """Notes the moment of each report."""

    moments: ClassVar[list[Moment]] = []  # of the last run

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.moments.clear()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.moments.append(now())
