"""A run to look at: its network, and how that came about, after a fit or from a checkpoint."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..studies.record import Study as Record
from ..studies.record import best_of
from ..studies.study import StudyModule
from ..studies.summary import summaries, varied_settings
from .scene import Study
from .snapshots import KEY, SNAPSHOTS, History, Snapshots, flat, history_of, load, member_history

MOST_ROWS = 1_000  # up to which the loss is measured at snapshots too


@dataclass(frozen=True)
class Trained:
    """A run to look at.

    Attributes:
        title: What it is called in its figures, as in TensorBoard.
        module: The user's module.
        net: The network, of a study its best member's; ``None`` where there is none.
        data: Its data.
        history: Its snapshots, and what was measured.
        update: How many updates it has had.
        settings: The run's settings.
        state: The optimizer's, as its ``state_dict`` has it.
        study: Of a study, its members.
        note: What else is to be said of it.
    """

    title: str
    module: Any
    net: Any
    data: Any
    history: History
    update: int
    settings: dict[str, Any]
    state: dict[str, Any]
    study: Study | None = None
    note: str = ""

    @property
    def frames(self) -> list[tuple[int, Tensor]]:
        """Updates and weights of each snapshot, and of the network as it is."""
        now, own = flat(self.net), self.history
        pairs = zip(own.updates, own.weights, strict=True)
        earlier = [each for each in pairs if each[0] < self.update and len(each[1]) == len(now)]
        return [*earlier, (self.update, now)]


def trained_by(trainer: Any, module: Any, run: Path, settings: dict[str, Any]) -> Trained:
    """A fit that has ended."""
    kept = [each.history for each in trainer.callbacks if isinstance(each, Snapshots)]
    records = [each for each in trainer.callbacks if isinstance(each, Record)]
    checkpoint = {
        "global_step": trainer.global_step,
        "settings": settings,
        "optimizer_states": [each.state_dict() for each in trainer.optimizers],
        "callbacks": {each.state_key: each.state_dict() for each in records},
        KEY: (kept[0] if kept else History()).state(),
    }
    return trained_in(checkpoint, module, trainer.datamodule, run)


def trained_in(checkpoint: dict[str, Any], module: Any, data: Any, run: Path) -> Trained:
    """A run as one of its checkpoints has it, whose weights the module has.

    Raises:
        ValueError: If the checkpoint's snapshots cannot be read.
    """
    history, update = history_of(checkpoint), int(checkpoint["global_step"])
    if update not in history.reports:
        history.add_report(update, dict(checkpoint.get("metrics", {})))
    states = checkpoint.get("optimizer_states") or [{"state": {}, "param_groups": []}]
    found = Trained(
        title="/".join(run.parts[-2:]),
        module=module,
        net=getattr(module, "net", None),
        data=data,
        history=history,
        update=update,
        settings=checkpoint.get("settings", {}),
        state=states[0],
    )
    if isinstance(module, StudyModule):
        (record := Record()).load_state_dict(checkpoint["callbacks"][record.state_key])
        found = best_member(found, module, record)
    return replace(found, history=finer(found))


def best_member(found: Trained, module: StudyModule, record: Record) -> Trained:
    """The best member of a study in place of all."""
    best, rows = best_of(record.last, record.since, module), record.rows([*module.each])
    groups, (group, _) = summaries(rows), module.place_of(best)
    settings = varied_settings(rows) if len(groups) > 1 and "share" in groups[0] else []
    losses, few = torch.stack(record.curves).numpy(), len(found.history.updates)
    note = f"A study of {len(module.each):,} members: this is member {best}, the best."
    note += f" Of so many there are {few} snapshots." * (few < SNAPSHOTS // 4)
    return replace(
        found,
        title=f"{found.title}, member {best}",
        module=group.module,
        data=found.data if module.each[best].fold is None else group.data,
        net=module.members[best],
        history=member_history(found.history, module, best),
        state={"state": {}, "param_groups": found.state["param_groups"]},
        study=Study(np.array(record.updates), losses, settings, groups),
        note=note,
    )


def finer(run: Trained) -> History:
    """The history with loss and accuracy at the snapshots too, between reports.

    Nothing is added where the network does not say again what the last report says.
    """
    own, found = run.history, dict(zip(run.history.reports, run.history.metrics, strict=True))
    with one_thread(), suppress(Exception):  # the user's own network and loss may raise anything
        net = copy.deepcopy(run.net).cpu().float().eval()
        last = measure(run, net)
        names = last.keys() if run.study else last.keys() & found.get(run.update, {})
        if run.study or all(np.isclose(last[n], found[run.update][n], 1e-3, 1e-6) for n in names):
            for update, weights in run.frames:
                known = found.get(update, {})
                if not names <= known.keys():
                    load(net, weights)
                    values = measure(run, net)
                    found[update] = {name: values[name] for name in names} | known
    updates = sorted(found)
    return replace(own, reports=updates, metrics=[found[each] for each in updates])


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute with one thread: small pieces of work are slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def measure(run: Trained, net: nn.Module) -> dict[str, float]:
    """Loss and accuracy on few rows, by the module's own measures."""
    found: dict[str, float] = {}
    loss = getattr(run.module, "measured_loss", None) or run.module.loss
    targets, correct = (getattr(run.module, name, None) for name in ("targets", "correct"))
    for part in ("train", "val"):
        x, y = run.data.split[part][:2]
        if len(x) <= MOST_ROWS:
            logits, y = net(x.float()), targets(y) if targets else y
            found[f"{part}/loss"] = float(loss(logits, y))
            if correct:
                found[f"{part}/accuracy"] = float(correct(logits, y).float().mean())
    return found
