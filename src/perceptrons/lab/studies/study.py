"""A study as Lightning trains it: one module that makes the updates of all groups, in lockstep.

A Lightning batch is a span of updates; each group has its own loader and optimizer.
``trainer.global_step`` counts updates, those of the group that makes most.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from ..data.loader import TableLoader
from ..data.tables import EVALUATION_ROWS
from ..training.spans import Span, SpanLoader, count_updates, span_length
from .group import Group

if TYPE_CHECKING:
    from .plan import Member

# updates in a span: a signal waits for its end
MOST = 128
# numbers of all members' predictions that are made at once
PREDICTED = 2**24
# single members whose calibration is measured, evenly chosen
SINGLE = 100


class StudyModule(L.LightningModule):
    """Many members of one experiment.

    Args:
        groups: The members of each setting and fold.
        members: What sets each member apart, group by group.
        random: Whether members draw random numbers of their own, as dropout does.

    Attributes:
        asked: Which member predicts and is tested: ``best``, or its number; ``None``: those of one
            setting, as an ensemble.
        member: Its number, once that is known.
        used: The groups of that setting.
        of_each: What was measured last, by names such as ``train/loss``: of each member
            ``(members,)``.
    """

    groups: Any

    def __init__(
        self, groups: Sequence[Group], members: Sequence["Member"], random: bool = False
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.groups, self.each, self.random = nn.ModuleList(groups), members, random
        self.used: Sequence[Any] = groups
        self.of_each: dict[str, Tensor] = {}
        self.measured: dict[str, list[Tensor]] = {}
        self.asked: str | None = None
        self.member: int | None = None
        self.diverged = 0  # of the members that predict

    @property
    def members(self) -> "Networks":
        """The networks, each an ordinary ``nn.Module``."""
        return Networks(self)

    @property
    def user_module(self) -> Any:
        """The user's module, as the first group trains it."""
        return self.groups[0].module

    @property
    def measure(self) -> str:
        """What members are ranked by: no loss that the grid may make differ; empty: nothing."""
        names = [name.split(".") for name in self.each[0].setting]
        parts = {name[1] for name in names if name[0] == "model"}
        if parts <= {"net", "optimizer", "scheduler"}:
            return "loss"
        return (
            "accuracy" if hasattr(self.user_module, "correct") else "loss" * ("loss" not in parts)
        )

    @property
    def updates(self) -> int:
        """Updates of an epoch, in the group that makes most."""
        return max(self.updates_of(group) for group in self.groups)

    def updates_of(self, group: Any) -> int:
        rows = len(group.data.split["train"][0])
        passes: int = group.data.passes
        return -(-rows // (group.data.batch_size or rows)) * passes

    @property
    def rows_at_once(self) -> int:
        """Rows that are predicted in one piece."""
        return max(1, min(EVALUATION_ROWS, PREDICTED // len(self.each)))

    def hand_out_by(self, trainer: L.Trainer, data: Any) -> None:
        """Let the data hand out spans and groups in place of rows."""
        everyone = range(len(self.groups))  # no list, which Lightning takes for one of loaders
        updates = TableLoader((torch.zeros(1, 1),), passes=self.updates)  # a row for each
        data.train_dataloader = lambda: SpanLoader(updates, span_length(updates, MOST), trainer)
        data.val_dataloader = data.test_dataloader = lambda: everyone
        data.predict_dataloader = lambda: range(
            0, len(self.groups[0].data.predicted), self.rows_at_once
        )

    def configure_optimizers(self) -> Any:
        made = [group.configure() for group in self.groups]
        keys = "scheduler", "interval", "frequency", "name"  # what a module like this one gives
        schedules = [{key: vars(how)[key] for key in keys} for _, how in made if how]
        return [optimizer for optimizer, _ in made], schedules

    def training_step(self, batch: Span, batch_idx: int) -> None:
        epoch, first = self.trainer.current_epoch, batch.first
        last = first + len(batch.batches)
        for group in self.groups:
            mine, most = len(group.loader), self.updates
            group.train_on(epoch, first * mine // most, last * mine // most)
        count_updates(self.trainer, last - first)

    def validation_step(self, batch: int, batch_idx: int) -> None:
        parts = self.groups[batch].data.split
        found = self.groups[batch].measure("train")
        same = parts["val"] is parts["train"]
        self.take("train", found)
        self.take("val", found if same else self.groups[batch].measure("val"))

    def test_step(self, batch: int, batch_idx: int) -> None:
        group = self.groups[batch]
        if group not in self.used:
            return
        self.take("test", group.measure("test"))
        # the rows that are kept to test on are in no fold, and those of all
        together = [*self.used] if getattr(group.data, "test_fraction", 0) else [group]
        if group is together[0] and hasattr(self.user_module, "predictions"):
            parts = [(g.module.predictions, g.logits_of(g.on_device("test")[0])) for g in together]
            self.take("test", calibration(parts, group.on_device("test")[1]))

    def take(self, stage: str, found: dict[str, Tensor]) -> None:
        for name, values in found.items():
            self.measured.setdefault(f"{stage}/{name}", []).append(values)

    def on_validation_epoch_end(self) -> None:
        """Log means over the members."""
        self.of_each = {name: torch.cat(pieces).cpu() for name, pieces in self.measured.items()}
        if self.member is not None:
            every = {k: v for k, v in self.of_each.items() if len(v) == len(self.each)}
            self.of_each = {name: values[self.member][None] for name, values in every.items()}
        self.measured = {}
        found = {name: mean(values) for name, values in self.of_each.items()}
        if self.trainer.state.fn != "fit":
            self.log_dict(found)
            return
        self.trainer.callback_metrics.update(found)
        shown = {name: float(value) for name, value in found.items()}
        for logger in self.trainer.loggers:  # not by self.log, of which each takes half an update
            logger.log_metrics(shown, self.trainer.global_step)
            logger.save()

    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: int, batch_idx: int = 0) -> dict[str, Tensor]:
        """What the members say of some rows: the mean of each number, and its standard deviation.

        The class is that of the mean probability.
        """
        rows = slice(batch, batch + self.rows_at_once)
        if self.member is None:
            return ensemble([(g.module.predictions, g.predict(rows)) for g in self.used])
        group, place = self.place_of(self.member)
        found: dict[str, Tensor] = group.module.predictions(group.predict(rows)[..., place])
        return found

    def place_of(self, number: int) -> tuple[Any, int]:
        """The group of a member, and its number there."""
        group, place = divmod(number, self.groups[0].members.count)
        return self.groups[group], place

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep how each fold is encoded, so that another table will be."""
        if self.each[0].fold is not None:
            folds = dict.fromkeys(group.data for group in self.groups)
            checkpoint["folds"] = [data.state_dict() for data in folds]


def ensemble(parts: Sequence[tuple[Any, Tensor]]) -> dict[str, Tensor]:
    """Mean and standard deviation over the members, without those that diverged, of what they say.

    Args:
        parts: What logits say, and those of some members ``(rows, n, members)``.
    """
    every = [of_each(said, logits) for said, logits in parts]
    each = {name: torch.cat([some[name] for some in every], -1) for name in every[0]}
    name = "probability" if "probability" in each else next(iter(each))
    finite = each[name].isfinite()
    count = finite.sum(-1)
    mean = each[name].where(finite, 0).sum(-1) / count
    off = (each[name] - mean[..., None]).where(finite, 0)
    std = (off.square().sum(-1) / (count - 1).clamp(min=1)).sqrt()
    found = {name: mean, "standard deviation": std}
    if "class" in each:  # that of the mean probability
        several = mean.shape[1] > 1 and each["class"].shape[1] == 1
        found["class"] = mean.argmax(1, keepdim=True) if several else (mean > 0.5).int()
    return found


def of_each(said: Any, logits: Tensor) -> dict[str, Tensor]:
    """What logits ``(rows, n, members)`` say, with members as the last dimension too."""
    rows = said(logits.movedim(-1, 1).flatten(0, 1))  # each row of each member
    count = logits.shape[-1]
    return {name: v.unflatten(0, (-1, count)).movedim(1, -1) for name, v in rows.items()}


def calibration(parts: Sequence[tuple[Any, Tensor]], y: Tensor) -> dict[str, Tensor]:
    """Accuracy and expected calibration error of an ensemble, and of single members.

    Args:
        parts: What logits say, and those of some members ``(rows, n, members)``.
        y: The targets.
    """
    together = ensemble(parts)
    if "probability" not in together or "class" not in together:
        return {}
    many = together["class"].shape != together["probability"].shape
    right = y[:, None] if y.ndim == 1 else y.argmax(1, keepdim=True) if many else y.int()

    def error(chance: Tensor) -> Tensor:
        if many:
            return multiclass_calibration_error(chance, right[:, 0], chance.shape[1])
        return binary_calibration_error(chance.flatten(), right.flatten())

    count = sum(logits.shape[-1] for _, logits in parts)
    every = ((said, each) for said, logits in parts for each in logits.unbind(-1))
    some = islice(every, 0, None, -(-count // SINGLE))
    single = [error(said(each)["probability"]) for said, each in some]
    return {
        "calibration": torch.stack(single),
        "ensemble_accuracy": (together["class"] == right).float().mean()[None],
        "ensemble_calibration": error(together["probability"])[None],
    }


class Networks(Sequence[nn.Module]):
    """The networks of a study's members, taken out one by one."""

    def __init__(self, study: StudyModule) -> None:
        self.study = study

    def __len__(self) -> int:
        return len(self.study.each)

    def __getitem__(self, number: Any) -> Any:
        found = range(len(self))[number]
        if isinstance(found, range):
            return [self[each] for each in found]
        group, place = self.study.place_of(found)
        return group.members.member(place)


def mean(of_each: Tensor) -> Tensor:
    """Mean over members, without those that have gone beyond all numbers."""
    values = of_each.double()
    finite = values[values.isfinite()]
    return finite.mean() if len(finite) else values.mean()
