"""A study: many replicas of a network trained at once, and what they say about an experiment.

A replica is solved once it answers every training row right. The replicas of a grid lie in order of
learning rate, then of the initial weights' scale, then of their seed.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from perceptrons.tables import TableData

QUANTILES = {"10": 0.1, "median": 0.5, "90": 0.9}
# curves of the loss that are kept to be drawn
CURVES = 2000
# attributes that a checkpoint keeps
KEPT = ("since", "updates", "losses", "curves")

Row = dict[str, Any]


class Replica(NamedTuple):
    """What sets a replica apart.

    Attributes:
        seed: Seed of its initial weights and of the order of its rows.
        lr: Its learning rate.
        init_scale: Scale of its initial weights.
    """

    seed: int
    lr: float
    init_scale: float


class Study(Callback):
    """Follows each replica: since which update it is solved, and its loss.

    What it finds is no finer than the reports: ``data.passes`` says how often there is one.
    """

    def __init__(self) -> None:
        self.since = torch.empty(0, dtype=torch.long)  # -1: not solved
        self.updates: list[int] = []
        self.losses = torch.empty(0)
        self.curves: list[Tensor] = []  # at each report, the losses of evenly chosen replicas

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit":
            return
        solved, losses = pl_module.all_right["train"].cpu(), pl_module.of_each["train/loss"].cpu()
        if len(self.since) != len(solved):
            self.since = torch.full((len(solved),), -1)
        step = trainer.global_step
        self.since = torch.where(solved, torch.where(self.since < 0, step, self.since), -1)
        self.updates.append(step)
        self.losses = losses
        self.curves.append(losses[:: -(-len(losses) // CURVES)].clone())
        found = quantiles(losses)
        shown = {f"study/loss_{name}": value for name, value in found.items() if value is not None}
        for logger in trainer.loggers:
            logger.log_metrics(shown, step)

    def state_dict(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in KEPT}
        # as one tensor: thousands of reports would be thousands to write, at each of them
        return {**kept, "curves": torch.stack(self.curves) if self.curves else torch.empty(0)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in KEPT:
            setattr(self, name, state_dict[name])
        self.curves = [*state_dict["curves"]]

    def results(self, model: Any, seed: int) -> list[Row]:
        """A row for each replica."""
        losses = model.of_each["train/loss"].tolist()
        accuracies = model.of_each["train/accuracy"].tolist()
        each = zip(replicas_of(model, seed), self.since.tolist(), losses, accuracies, strict=True)
        return [
            {
                "replica": number,
                **replica._asdict(),
                "solved": int(since >= 0),
                "solved_since": since if since >= 0 else None,
                "loss": loss,
                "accuracy": accuracy,
            }
            for number, (replica, since, loss, accuracy) in enumerate(each)
        ]


def follow(trainer: Any, model: Any, data: L.LightningDataModule, seed: int) -> Study | None:
    """What follows the replicas, where there are some, each of which has its own rows.

    Raises:
        ValueError: If something asked for would couple them, or there are not so many seeds.
    """
    if model.replicas is None:
        return None
    if seed + model.net.seeds > 2**32:
        last = f"the last would have {seed + model.net.seeds - 1}, above {2**32 - 1}"
        raise ValueError(f"seed_everything={seed}: each replica has a seed more, and {last}")
    if trainer.gradient_clip_val and trainer.gradient_clip_algorithm != "value":
        clip = f"gradient_clip_val={trainer.gradient_clip_val}"
        apart = "gradient_clip_algorithm: value keeps them apart"
        raise ValueError(f"{clip}: a norm of all gradients couples the replicas; {apart}")
    trainer.callbacks.insert(0, made := Study())
    if isinstance(data, TableData):
        data.replicas, data.copies = model.net.seeds, model.replicas // model.net.seeds
    return made


def best_of(losses: Tensor, since: Tensor) -> int:
    """Number of the replica with the lowest loss, of those that are solved where some are."""
    worse = (since < 0) & (since >= 0).any()
    return int(losses.nan_to_num(torch.inf).masked_fill(worse, torch.inf).argmin())


def replicas_of(model: Any, seed: int) -> list[Replica]:
    """The replicas of a classifier, in their order."""
    net = model.net
    rates = model.lr_grid or [model.given[0]["lr"]]
    seeds = range(seed, seed + net.seeds)
    return [Replica(seed, rate, scale) for rate, scale, seed in product(rates, net.scales, seeds)]


def summary(results: Sequence[Row]) -> list[Row]:
    """A row for each learning rate and scale: the share solved, and quantiles over its replicas."""
    groups: dict[tuple[float, float], list[Row]] = {}
    for row in results:
        groups.setdefault((row["lr"], row["init_scale"]), []).append(row)
    return [
        {"lr": lr, "init_scale": scale, **over_replicas(rows)}
        for (lr, scale), rows in groups.items()
    ]


def over_replicas(rows: Sequence[Row]) -> Row:
    solved = sum(row["solved"] for row in rows)
    low, high = wilson(solved, len(rows))
    updates = torch.tensor([float(row["solved_since"]) for row in rows if row["solved"]])
    losses = torch.tensor([row["loss"] for row in rows])
    return {
        "replicas": len(rows),
        "solved": solved,
        "share": solved / len(rows),
        "share_low": low,
        "share_high": high,
        **{f"updates_{name}": value for name, value in quantiles(updates).items()},
        **{f"loss_{name}": value for name, value in quantiles(losses).items()},
    }


def quantiles(values: Tensor) -> dict[str, float | None]:
    """The 10 %, 50 % and 90 % quantiles of those values that are finite."""
    finite = values[values.isfinite()].double()
    if not len(finite):
        return dict.fromkeys(QUANTILES)
    # by a sort, for torch.quantile takes at most 16 million values
    ordered = finite.sort().values
    return {
        name: ordered[round(share * (len(ordered) - 1))].item() for name, share in QUANTILES.items()
    }


def wilson(count: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval for a share, at 95 %.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    share, spread = count / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def table(rows: Sequence[Row]) -> str:
    """A summary as aligned lines."""
    varied = [name for name in ("lr", "init_scale") if len({row[name] for row in rows}) > 1]
    heads = [*varied, "replicas", "solved", "95 % interval", "updates 10 %", "median", "90 %"]
    heads += ["loss 10 %", "median", "90 %"]
    lines = [heads]
    for row in rows:
        interval = f"{row['share_low']:.1%} to {row['share_high']:.1%}"
        numbers = [row[f"{name}_{at}"] for name in ("updates", "loss") for at in QUANTILES]
        shown = ["-" if number is None else f"{number:.4g}" for number in numbers]
        shown[:3] = ["-" if number is None else f"{number:.0f}" for number in numbers[:3]]
        settings = [f"{row[name]:g}" for name in varied]
        lines.append([*settings, str(row["replicas"]), f"{row['share']:.1%}", interval, *shown])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)
