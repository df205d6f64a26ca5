"""A small network that is not only linear layers, and when the reports of its study were."""

import time
from typing import Any, ClassVar

from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class Normed(nn.Module):
    """One hidden layer with a LayerNorm and tanh."""

    def __init__(self, inputs: int = 2, outputs: int = 1, hidden: int = 8) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(inputs, hidden), nn.LayerNorm(hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.norm(self.first(x)).tanh())
        return logits


class Clock(Callback):
    """Notes what the processor had spent at each report."""

    moments: ClassVar[list[float]] = []

    def on_validation_end(self, *_: Any) -> None:
        self.moments.append(time.process_time())
