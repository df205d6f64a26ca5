"""What a study writes down of each member while it trains: since when it is solved, and its loss.

A member is solved once it answers every training row right. What is found is no finer than the
reports: ``data.passes`` says how often there is one.
"""

from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from .plan import Member
from .study import StudyModule
from .summary import quantiles

# curves of the loss that are kept to be drawn, and points of them: after more reports every second
# is dropped, so that thousands of reports take no more memory, time or space than hundreds
CURVES, POINTS = 500, 256
KEPT = ("since", "last", "updates", "curves", "reports", "every")  # by a checkpoint

Columns = dict[str, list[Any]]


class Study(Callback):
    """Follows each member; a checkpoint holds what it has found."""

    def __init__(self) -> None:
        self.since = torch.empty(0, dtype=torch.long)  # -1: not solved
        self.last: dict[str, Tensor] = {}  # what was measured last, of each member
        self.updates: list[int] = []
        self.curves: list[Tensor] = []  # at each of these updates, losses of evenly chosen members
        self.reports, self.every = 0, 1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        study = cast(StudyModule, pl_module)
        if trainer.state.fn != "fit" or "train/loss" not in study.of_each:
            return
        self.last = study.of_each
        if "train/solved" in self.last:
            self.follow(self.last["train/solved"], updates_of_each(study, trainer.global_step))
        losses = self.last["train/loss"]
        shown = quantiles("loss", losses[losses.isfinite()].double().numpy())
        for logger in trainer.loggers:  # not by self.log, of which each takes as long as an update
            named = {f"study/{name}": v for name, v in shown.items() if v is not None}
            logger.log_metrics(named, trainer.global_step)
        if self.reports and (self.reports - 1) % self.every:  # the last was kept only for now
            del self.updates[-1], self.curves[-1]
        self.updates.append(trainer.global_step)
        self.curves.append(losses[:: -(-len(losses) // CURVES)].clone())
        self.reports += 1
        if len(self.updates) > POINTS:
            self.updates, self.curves = self.updates[::2], self.curves[::2]
            self.every *= 2

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.choose(cast(StudyModule, pl_module))

    on_test_start = on_predict_start

    def choose(self, study: StudyModule) -> None:
        """Let a study predict by the member that is asked for, or by those of the best setting.

        Raises:
            ValueError: If there is no such member, or nothing to rank the settings by.
        """
        settings = len({str(group.setting) for group in study.groups})
        if study.asked is not None:
            study.member = self.number(study.asked, study)
        elif self.last:
            if settings > 1:
                check_ranked(study)
            worse = worse_of(self.last, study).view(settings, -1)
            diverged = worse.isinf().sum(1)
            means = worse.where(worse.isfinite(), 0).mean(1)  # compared where as many are left
            best = int(means.masked_fill(diverged > diverged.min(), torch.inf).argmin())
            each, study.diverged = len(study.groups) // settings, int(diverged[best])
            study.used = [*study.groups][best * each : (best + 1) * each]

    def number(self, asked: str, study: StudyModule) -> int:
        """Number of a member: its own, or that of the ``best``.

        Raises:
            ValueError: If there is no such member.
        """
        if asked == "best" and self.last:
            check_ranked(study)
            return best_of(self.last, self.since, study)
        if not asked.isdecimal() or int(asked) >= len(study.each):
            raise ValueError(f"member={asked!r}: best, or a number from 0 to {len(study.each) - 1}")
        return int(asked)

    def follow(self, solved: Tensor, updates: Tensor) -> None:
        if len(self.since) != len(solved):
            self.since = torch.full((len(solved),), -1)
        self.since = torch.where(solved, torch.where(self.since < 0, updates, self.since), -1)

    def state_dict(self) -> dict[str, Any]:
        # as tensors: hundreds of reports would be hundreds to write, at each of them
        curves = torch.stack(self.curves) if self.curves else torch.empty(0)
        kept = {name: getattr(self, name) for name in KEPT}
        return {**kept, "curves": curves, "updates": torch.tensor(self.updates)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in KEPT:
            setattr(self, name, state_dict[name])
        self.curves, self.updates = [*self.curves], torch.as_tensor(self.updates).tolist()

    def rows(self, members: list[Member]) -> Columns:
        """A row for each member, by column."""
        columns: Columns = {"member": [*range(len(members))], "seed": [m.seed for m in members]}
        if members[0].fold is not None:
            columns["fold"] = [member.fold for member in members]
        for name in members[0].setting:
            columns[name] = [member.setting[name] for member in members]
        if len(self.since):
            columns["solved"] = (self.since >= 0).int().tolist()
            columns["updates"] = [None if each < 0 else each for each in self.since.tolist()]
        for name, values in self.last.items():
            if not name.endswith("/solved"):
                columns[name.removeprefix("train/").replace("/", "_")] = values.tolist()
        return columns


def updates_of_each(study: StudyModule, step: int) -> Tensor:
    """Updates that each member has made: folds with fewer batches make fewer of them."""
    made = [step * study.updates_of(group) // study.updates for group in study.groups]
    counts = torch.tensor([len(cast(Any, group).seeds) for group in study.groups])
    return torch.tensor(made).repeat_interleave(counts)


def check_ranked(study: StudyModule) -> None:
    """Find a study whose members nothing tells the better of.

    Raises:
        ValueError: If it is one.
    """
    if not study.measure:
        why = "the grid gives each setting a loss of its own, and there is no accuracy"
        raise ValueError(f"member: {why}: none is the best; take one by its number")


def worse_of(last: dict[str, Tensor], study: StudyModule) -> Tensor:
    """What is the lower the better a member is, on validation rows where there are such."""
    name = study.measure or "loss"
    values = last[f"val/{name}" if f"val/{name}" in last else f"train/{name}"].double()
    diverged = ~(values.isfinite() & last["train/loss"].isfinite())
    return (-values if name == "accuracy" else values).masked_fill(diverged, torch.inf)


def best_of(last: dict[str, Tensor], since: Tensor, study: StudyModule) -> int:
    """Number of the best member, of those that are solved where some are."""
    worse = worse_of(last, study)
    others = (since < 0) & (since >= 0).any() if len(since) else torch.zeros(len(worse)).bool()
    return int(worse.masked_fill(others, torch.inf).argmin())
