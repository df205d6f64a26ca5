"""A small network that is not only linear layers."""

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
