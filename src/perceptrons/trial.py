"""A first update, made of a copy: what does not fit together is found before a run is made."""

import math
import warnings
from copy import deepcopy
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from perceptrons.classifier import Batch, Classifier
from perceptrons.tables import TableData

ROWS = 2


def try_update(model: Classifier, data: L.LightningDataModule, trainer: Any) -> None:
    """Make an update of a copy, on two rows: what does not fit is found before a run is made.

    Raises:
        ValueError: If the network, the loss and the data do not fit together.
    """
    if not isinstance(data, TableData):
        return
    device, precision = trainer.strategy.root_device, trainer.precision_plugin
    rows = [column[:ROWS].to(device) for column in data.split["train"]]
    x, y = precision.convert_input(rows)
    if y.shape[1:] != (data.outputs,):
        shape = f"has the shape {tuple(y.shape)}, not (rows, {data.outputs})"
        raise ValueError(f"data: y {shape}")
    if any(map(is_lazy, model.parameters())):  # they take their sizes from the first rows they see
        model(data.split["train"][0][:ROWS])
    # they know the whole command line, which is not to be copied
    shared = {id(make): make for make in (model.make_optimizer, model.make_scheduler)}
    try:
        copy = precision.convert_module(deepcopy(model, shared)).to(device)
    except Exception:  # not every network can be copied; then the run itself finds out
        return
    with isolate_rng(), warnings.catch_warnings(), precision.forward_context():
        warnings.simplefilter("ignore")
        check_slope(copy.loss, y)
        check_logits(copy(x), y, copy.replicas)
        copy.trainer = trainer
        try:
            update(copy, (x, y))
        except MisconfigurationException as failure:
            if "self.log" not in str(failure):  # what a step of the user's logs cannot be tried
                raise


def check_logits(logits: Any, y: Tensor, replicas: int | None) -> None:
    """Find a network whose logits do not fit the targets."""
    expected = (*y.shape, replicas)[: 2 if replicas is None else 3]
    given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if given != expected:
        raise ValueError(f"net: gives {given} for {len(y)} rows, not {expected}")


def check_slope(loss: Any, y: Tensor) -> None:
    """Find a loss that cannot be learned from: with any logits, it says nothing of them."""
    if not isinstance(loss, nn.Module):
        return
    half = torch.randn(y.shape, device=y.device)
    logits = torch.cat([half, -half]).requires_grad_()  # for no target is all of this right
    value = loss(logits, torch.cat([y, y]))
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError("loss: must give one number")
    slopes = torch.autograd.grad(value, logits, allow_unused=True) if value.requires_grad else ()
    if not any(slope is not None and slope.any() for slope in slopes):
        raise ValueError(f"loss: has no slope with {y.shape[1]} outputs; nothing would be learned")


def update(model: Classifier, batch: Batch) -> None:
    """An update, and the steps of the scheduler that come with the first two."""
    made = model.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model.training_step(batch, 0)
        model.backward(loss)
        return loss

    optimizer.step(closure)
    if isinstance(made, dict) and made["lr_scheduler"].get("interval") == "step":
        for _ in range(2):
            made["lr_scheduler"]["scheduler"].step()
            rates = [group["lr"] for group in optimizer.param_groups]
            if not all(0 <= rate < math.inf for rate in rates):
                raise ValueError(f"scheduler: makes the learning rate {rates[0]:g}")
