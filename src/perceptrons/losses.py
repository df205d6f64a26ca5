"""The losses: what is trained on, and how reports measure it.

Shapes: logits and ``y (rows, outputs)``. Each is a mean over rows and outputs, cross entropy over
the rows alone.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Literal["bce", "mse", "cross_entropy"]
LossFunction = Callable[[Tensor, Tensor], Tensor]


def mse(logits: Tensor, y: Tensor) -> Tensor:
    """Squared error of the probabilities."""
    return F.mse_loss(torch.sigmoid(logits), y)


def measured_bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy as -log p, computed from the probabilities.

    The published losses were measured so, and carry its rounding, a few units in the fifth digit.
    Where p is too near 0 or 1 for that, from the logits. Training takes torch's, from the logits:
    its gradient (p - y) / n is exact, but its value loses digits once the network is sure.
    """
    from_p = F.binary_cross_entropy(torch.sigmoid(logits.nan_to_num()), y, reduction="none")
    return torch.where(logits.abs() < 8, from_p, F.softplus((1 - 2 * y) * logits)).mean()


LOSSES: dict[str, LossFunction] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": mse,
    "cross_entropy": F.cross_entropy,
}
MEASURED = LOSSES | {"bce": measured_bce}
