"""The losses: what is trained on, and how reports measure it.

Shapes: logits and ``y (rows, outputs)``; a last dimension of replicas counts as more numbers of the
mean.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Literal["bce", "mse", "cross_entropy"]
LossFunction = Callable[[Tensor, Tensor], Tensor]


def mse(logits: Tensor, y: Tensor) -> Tensor:
    """Squared error of the probabilities, mean over rows and outputs."""
    return F.mse_loss(torch.sigmoid(logits), y)


def measured_bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy of targets 0 or 1, mean over rows and outputs.

    As -log p from the probabilities, for so the published figures were measured: they carry its
    rounding, a few units in the fifth digit. Where p is too near 0 or 1 for that, from the logits.
    What is trained on is torch's, from the logits: its gradient (p - y) / n is exact, but its value
    loses as many digits to cancellation once the network is sure.
    """
    from_p = F.binary_cross_entropy(torch.sigmoid(logits), y, reduction="none")
    return torch.where(logits.abs() < 8, from_p, F.softplus((1 - 2 * y) * logits)).mean()


def lean_bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy of which only the gradient is used.

    That is exact, in a quarter fewer exponentials than torch's, which guards the value too.
    """
    return (F.softplus(logits) - y * logits).mean()


LOSSES: dict[str, LossFunction] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": mse,
    "cross_entropy": F.cross_entropy,
}
# what is compiled in place of these
LEAN: dict[LossFunction, LossFunction] = {F.binary_cross_entropy_with_logits: lean_bce}
MEASURED = LOSSES | {"bce": measured_bce}


def check_loss(classes: int, loss: object) -> None:
    """Find a loss by name that there is not, or that does not fit the classes.

    Raises:
        ValueError: If there is one.
    """
    fitting = ("bce", "mse") if classes == 2 else ("cross_entropy",)
    if isinstance(loss, str) and loss not in LOSSES:
        raise ValueError(f"loss={loss!r}: choose one of {', '.join(LOSSES)}")
    if isinstance(loss, str) and loss not in fitting:
        raise ValueError(f"loss={loss!r}: {classes} classes take {' or '.join(fitting)}")
