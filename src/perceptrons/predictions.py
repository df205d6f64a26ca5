"""What a network says of some rows: logits, probabilities, classes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

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


def columns(
    prediction: Prediction,
    inputs: dict[str, list[Any]] | None = None,
    names: Sequence[str] = (),
    **more: Tensor,
) -> dict[str, list[Any]]:
    """A prediction by column: the inputs, then ``logit``, ``probability`` and ``class``.

    Where there are several outputs they are numbered: ``logit1``, ``logit2``, ...

    Args:
        prediction: The prediction.
        inputs: The inputs by column; ``None``: as ``x1``, ``x2``, ...
        names: What the classes are called; empty: by their numbers.
        more: Further columns of classes by name, each ``(rows, n)``.
    """
    x, logits, probabilities, classes = prediction
    inputs = numbered(x) if inputs is None else inputs
    outputs: dict[str, list[Any]] = {}
    for name, table in (("logit", logits), ("probability", probabilities)):
        outputs |= by_column(name, table, names)
    for name, table in {"class": classes, **more}.items():
        for column, values in by_column(name, table).items():
            outputs[column] = [names[int(value)] for value in values] if names else values
    # a table of the user's may have a column called class
    apart = {f"{name} (input)" if name in outputs else name: inputs[name] for name in inputs}
    return apart | outputs


def numbered(x: Tensor) -> dict[str, list[Any]]:
    """Inputs by column, where they have no names."""
    return {f"x{number}": values.tolist() for number, values in enumerate(x.mT, 1)}


def by_column(name: str, table: Tensor, names: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Columns ``(rows, n)`` by name: of several each with the name of its class, or its number."""
    if table.shape[1] == 1:
        return {name: table[:, 0].tolist()}
    numbers = range(1, table.shape[1] + 1)
    ends = [f" {each}" for each in names] if len(names) == len(numbers) else numbers
    return {f"{name}{end}": values.tolist() for end, values in zip(ends, table.mT, strict=True)}
