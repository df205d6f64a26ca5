"""A first update, made of a copy: what does not fit together is found before a run is made."""

import math
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from perceptrons.classifier import Classifier
from perceptrons.tables import TableData

ROWS = 2


def try_update(model: Classifier, data: L.LightningDataModule, trainer: Any) -> None:
    """Make an update of a copy, on two rows: what does not fit is found before a run is made.

    Raises:
        ValueError: If the network, the loss and the data do not fit together.
    """
    if not isinstance(data, TableData):
        return
    device = trainer.strategy.root_device
    x, y = (column[:ROWS].to(device) for column in data.split["train"])
    if y.shape[1:] != (data.outputs,):
        shape = f"has the shape {tuple(y.shape)}, not (rows, {data.outputs})"
        raise ValueError(f"data: y {shape}")
    try:
        copy = deepcopy(model).to(device)
    except Exception:  # not every network can be copied; then the run itself finds out
        return
    with isolate_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_loss(copy.loss, y)
        logits = copy.net(x)
        if not isinstance(logits, Tensor) or logits.shape != y.shape:
            given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(f"net: gives {given} for {len(x)} rows, not {tuple(y.shape)}")
        update(copy, lambda: copy.loss(copy.net(x), y))


def check_loss(loss: Any, y: Tensor) -> None:
    """Find a loss that cannot be learned from: with any logits, it says nothing of them."""
    if not isinstance(loss, nn.Module):
        return
    half = torch.randn_like(y)
    logits = torch.cat([half, -half]).requires_grad_()  # for no target is all of this right
    value = loss(logits, torch.cat([y, y]))
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError("loss: must give one number")
    slope = (
        torch.autograd.grad(value, logits, allow_unused=True)[0] if value.requires_grad else None
    )
    if slope is None or not slope.any():
        raise ValueError(f"loss: has no slope with {y.shape[1]} outputs; nothing would be learned")


def update(model: Classifier, loss: Callable[[], Tensor]) -> None:
    """An update, and the steps of the scheduler that come with the first two."""
    made = model.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        torch.autograd.backward(value)
        return value

    optimizer.step(closure)
    if isinstance(made, dict) and made["lr_scheduler"].get("interval") == "step":
        for _ in range(2):
            made["lr_scheduler"]["scheduler"].step()
            rates = [group["lr"] for group in optimizer.param_groups]
            if not all(0 <= rate < math.inf for rate in rates):
                raise ValueError(f"scheduler: makes the learning rate {rates[0]:g}")
