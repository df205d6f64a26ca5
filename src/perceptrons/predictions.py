"""What a network says of some rows: logits, probabilities, classes."""

from typing import NamedTuple

import torch
from torch import Tensor


class Prediction(NamedTuple):
    """What a network makes of some rows.

    Attributes:
        x: The inputs ``(rows, inputs)``.
        logits: The weighted sums that come out ``(rows, outputs)``.
        probabilities: Of a yes, for each output; of each class, where there are more than two.
            ``(rows, outputs)``.
        classes: 0 or 1 for each output ``(rows, outputs)``, or the likeliest class ``(rows, 1)``.
    """

    x: Tensor
    logits: Tensor
    probabilities: Tensor
    classes: Tensor


def predict(x: Tensor, logits: Tensor, classes: int) -> Prediction:
    if classes == 2:
        return Prediction(x, logits, torch.sigmoid(logits), (logits > 0).int())
    return Prediction(x, logits, torch.softmax(logits, 1), logits.argmax(1, keepdim=True))


def columns(prediction: Prediction, **more: Tensor) -> dict[str, list[float]]:
    """A prediction's numbers by column: ``x1``, ``x2``, ..., ``logit``, ``probability``, ``class``.

    Where there are several outputs they are numbered too: ``logit1``, ``logit2``, ...

    Args:
        prediction: The prediction.
        more: Further columns by name, each ``(rows, n)``.
    """
    x, logits, probabilities, classes = prediction
    numbered = {f"x{number}": values.tolist() for number, values in enumerate(x.mT, 1)}
    tables = {"logit": logits, "probability": probabilities, "class": classes, **more}
    for name, table in tables.items():
        for number, values in enumerate(table.mT, 1):
            numbered[name if table.shape[1] == 1 else f"{name}{number}"] = values.tolist()
    return numbered
