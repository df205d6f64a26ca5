"""What is recorded of a run: where it comes from, and what is measured while it trains."""

import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from tqdm import tqdm

from ..data.tables import TableData
from ..studies.study import StudyModule
from ..training.protocol import dense_layers
from .files import read_json, read_yaml, remove_partial, write_json, write_whole, yaml_text
from .text import GAP, WIDTH, Columns, say
from .trusted import PACKAGE

LONGEST_PATCH, MOST_NAMES = 5_000_000, 100
UNWRITTEN = "Unable to serialize instance"  # what jsonargparse writes instead

# columns of what is predicted that are shown in any width
PREDICTED = ("prediction", "probability", "standard deviation", "class")


def begin(run: Path, words: list[str], settings: dict[str, Any], trainer: Any) -> None:
    """Write down a new run's settings and where it comes from.

    Args:
        run: The run's directory.
        words: The words of the command.
        settings: All settings.
        trainer: What trains.
    """
    write_whole(run / "config.yaml", yaml_text(settings).encode())
    device = trainer.strategy.root_device
    record = {
        "verb": words[0],
        "command": shlex.join([PACKAGE, *words]),
        "git": git_state(run / "uncommitted.patch"),
        "python": platform.python_version(),
        "versions": versions(),
        "cpu": cpu(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "processes": trainer.world_size,
        "start": now(),
        "resumed": [],
        "end": None,
    }
    write_json(run / "provenance.json", record)


def versions() -> dict[str, str]:
    """Versions of the package and of what it needs; without it, where it is not installed."""
    try:
        needs = requires(PACKAGE) or []
    except PackageNotFoundError:
        return {name: version(name) for name in ("lightning", "torch")}
    names = [re.split(r"[^\w-]", need)[0] for need in needs if "extra" not in need]
    return {name: version(name) for name in (PACKAGE, *names)}


def begin_again(run: Path, words: list[str], settings: dict[str, Any]) -> None:
    """Note that a run is resumed, and with which settings otherwise than it began."""
    remove_partial(run)
    config = read_yaml(run / "config.yaml")
    for path, value in settings.items():
        section, _, name = path.rpartition(".")
        (config.setdefault(section, {}) if section else config)[name] = value
    write_whole(run / "config.yaml", yaml_text(config).encode())
    record = read_json(run / "provenance.json")
    again = {"command": shlex.join([PACKAGE, *words]), "start": now()}
    record["resumed"] = [*record.get("resumed", []), again]
    write_json(run / "provenance.json", record)


def recordable(settings: Any) -> Any:
    """Settings without those that could not be written down, such as a device."""
    if isinstance(settings, dict):
        return {key: recordable(each) for key, each in settings.items() if not is_unwritten(each)}
    if isinstance(settings, list):
        return [recordable(each) for each in settings if not is_unwritten(each)]
    return settings


def is_unwritten(setting: Any) -> bool:
    return isinstance(setting, str) and setting.lstrip().startswith(UNWRITTEN)


def end(run: Path) -> None:
    """Note in a run's provenance that it has ended."""
    write_json(run / "provenance.json", {**read_json(run / "provenance.json"), "end": now()})


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_state(patch: Path) -> dict[str, Any] | None:
    """Commit of the project that runs, and whether nothing is changed; ``None`` outside git.

    What is changed goes into a patch, for ``git apply``, if that is not too long to keep; files
    that git does not know are named.
    """
    project = Path(str(sys.modules[PACKAGE].__file__)).parent

    def git(*words: str) -> bytes:
        # nothing of git's own settings is run
        safe = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
        command = ["git", "-C", str(project), *safe, *words]
        return subprocess.run(command, capture_output=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        status = git("status", "--porcelain", "-z").decode(errors="replace").split("\0")
        changes = git("diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv")
    except (OSError, subprocess.CalledProcessError):
        return None
    found: dict[str, Any] = {"commit": commit, "clean": not any(status)}
    unknown = [each[3:] for each in status if each.startswith("??")]
    if unknown:
        found["untracked"] = unknown[:MOST_NAMES]
    if changes and len(changes) <= LONGEST_PATCH:
        write_whole(patch, changes)
    elif changes:
        found["changed"] = [each[3:] for each in status if each[:2].strip("? ")][:MOST_NAMES]
    return found


def cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


class Report(Callback):
    """Prints what begins to train, and a table of the reports, the first before any update.

    Lightning throws away what its check before the training measures, and logs by its own count of
    batches, which lags behind where one batch is many updates. So that check is an ordinary report
    here, but for callbacks that come later, and each report logs ``step``, by which loggers go.
    """

    takes_spans = True

    def __init__(self, run: str) -> None:
        self.run, self.introduced, self.head = run, False, ""

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.introduce(trainer, pl_module)
        trainer.validating, self.first = True, True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.introduce(trainer, pl_module)

    def introduce(self, trainer: Any, module: L.LightningModule) -> None:
        """Print it once: a resumed run has no check before the training."""
        if trainer.is_global_zero and not self.introduced:
            said = introduction(trainer, module) | {"run": self.run}
            say("\n".join(f"{name + ':':<11} {what}" for name, what in said.items()) + "\n")
        self.introduced = True

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.log_step(trainer, pl_module)

    def on_validation_end(self, trainer: Any, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit":
            if getattr(self, "first", False):
                trainer.sanity_checking, self.first = True, False
            # Lightning has those of the epoch before until this one is over
            trainer.callback_metrics.update(trainer.fit_loop.epoch_loop.measured())
            self.report(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.log_step(trainer, pl_module)
        if not trainer.enable_validation:
            self.report(trainer)

    def log_step(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not isinstance(module, StudyModule):  # which tells the loggers by itself
            # in 32 bits those beyond 16 million would be rounded
            updates = torch.tensor(trainer.global_step, dtype=torch.float64)
            module.log("step", updates, sync_dist=True)

    def report(self, trainer: L.Trainer) -> None:
        """Print a line of the table, under its head where the columns are others than before."""
        if not trainer.is_global_zero:
            return
        shown = measured(trainer)
        if validates_training_rows(trainer):
            twins = {f"val/{name[6:]}" for name in shown if name.startswith("train/")}
            shown = {name: value for name, value in shown.items() if name not in twins}
        # one that is measured on the rows of the one before it goes without their name
        parts = ["", *(name.partition("/")[0] + "/" for name in shown)]
        heads = [name.removeprefix(part) for part, name in zip(parts, shown, strict=False)]
        cells = [progress(trainer), str(trainer.global_step), *map(formatted, shown.items())]
        wide = [max(len(head), 8) for head in ("epoch", "update", *heads)]
        heads = ["epoch", "update", *heads]
        breaks = [number for number, each in enumerate(heads) if "/" in each][1:]
        head, line = (wrapped(each, wide, breaks) for each in (heads, cells))
        with tqdm.external_write_mode(file=sys.stdout):
            say(line if head == self.head else f"{head}\n{line}")
        self.head = head


def wrapped(cells: list[str], wide: list[int], breaks: list[int]) -> str:
    """Cells of one report in columns; those that are too many for a line go under the third."""
    lines, start = [""], " " * (sum(wide[:2]) + len(GAP))
    breaks = breaks if sum(wide) + len(GAP) * (len(wide) - 1) > WIDTH else []
    for number, (cell, width) in enumerate(zip(cells, wide, strict=True)):
        if number in breaks or len(lines[-1]) + len(GAP) + width > WIDTH:
            lines.append(start)
        lines[-1] += GAP * bool(lines[-1]) + cell.rjust(width)
    return "\n".join(lines)


def introduction(trainer: Any, module: Any) -> dict[str, str]:
    """Data, network, number of parameters, optimizer and device of a training."""
    data, members = trainer.datamodule, ""
    if isinstance(module, StudyModule):
        members, data = f" each, of {len(module.each):,} members", module.groups[0].data
        module = module.user_module
    rows = {}
    if isinstance(data, TableData):
        train, val = (data.split[part][0] for part in ("train", "val"))
        others = f", {len(val):,} to validate on" if val is not train else ""
        rows = {"data": f"{type(data).__name__}, {len(train):,} rows to train on{others}"}
    net = getattr(module, "net", None) or module
    layers = [linear for linear, _ in dense_layers(net) or []]
    widths = "-".join(str(each.in_features) for each in layers[:1])
    widths += "".join(f"-{each.out_features}" for each in layers)
    if not all(each.param_groups for each in trainer.optimizers):  # Lightning's mock of one
        raise ValueError(f"{type(module).__name__}: configure_optimizers gives no optimizer")
    (optimizer, *_), device = trainer.optimizers or [None], trainer.strategy.root_device
    rates = sorted({each.param_groups[0]["lr"] for each in trainer.optimizers})
    rate = " to ".join(f"{each:g}" for each in dict.fromkeys(rates[:1] + rates[-1:]))
    return {
        **rows,
        "network": f"{type(net).__name__} {widths}".rstrip(),
        "parameters": f"{sum(each.numel() for each in net.parameters()):,}{members}",
        "optimizer": f"{type(optimizer).__name__}, lr {rate}" if optimizer else "none",
        "device": f"{device}, {trainer.precision}",
    }


def measured(trainer: L.Trainer) -> dict[str, float]:
    """All that was measured last, by its name."""
    found = trainer.callback_metrics
    return {name: float(value) for name, value in found.items() if name != "step"}


def validates_training_rows(trainer: Any) -> bool:
    """Whether the rows to validate on are those to train on, as a gate's are."""
    module = trainer.lightning_module
    data = module.groups[0].data if isinstance(module, StudyModule) else trainer.datamodule
    return isinstance(data, TableData) and data.split["val"] is data.split["train"]


def formatted(metric: tuple[str, float]) -> str:
    """A value as a report has it: a share in percent, a number with some seven digits."""
    name, value = metric
    if name.endswith(("accuracy", "solved")):
        return f"{value:.2%}"
    return f"{value:.6f}" if abs(value) < 10 else f"{value:.6g}"


def progress(trainer: Any) -> str:
    """Epochs made, of how many: ``3/10``."""
    done = trainer.current_epoch + (not trainer.sanity_checking)
    if trainer.sanity_checking:  # before the first update
        done = trainer.fit_loop.epoch_progress.current.processed
    if trainer.max_epochs is None or trainer.max_epochs < 0:
        return str(done)
    return f"{done}/{trainer.max_epochs}"


def predicted_columns(batches: list[Any], data: Any) -> Columns:
    """What a module predicted, a column for each number, beside the rows it was asked for.

    A ``predict_step`` gives a tensor ``(rows, ...)``, several of them in a tuple, or by name.
    """
    names, found = [*getattr(data, "class_names", ())], {}
    for name, parts in by_name(batches).items():
        several = torch.cat([each.detach().reshape(len(each), -1) for each in parts])
        ends = [f" {each}" for each in names] if len(names) == several.shape[1] else None
        for number, values in enumerate(several.mT):
            end = "" if several.shape[1] == 1 else ends[number] if ends else str(number + 1)
            of_class = name == "class" and names
            found[name + end] = [names[int(v)] for v in values] if of_class else values.tolist()
    rows = data.named() if isinstance(data, TableData) else {}
    if len({len(values) for values in (*rows.values(), *found.values())}) > 1:
        rows = {}  # not a prediction for each row
    # a table of the user's may have a column called class
    return {f"{name} (input)" if name in found else name: rows[name] for name in rows} | found


def by_name(batches: list[Any]) -> dict[str, list[Tensor]]:
    """Tensors ``(rows, ...)`` of all batches by their names.

    Raises:
        TypeError: If a batch is something else.
    """
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        if isinstance(batch, tuple | list):
            batch = {f"prediction_{number}": each for number, each in enumerate(batch, 1)}
        elif not isinstance(batch, Mapping):
            batch = {"prediction": batch}
        for name, each in batch.items():
            if not isinstance(each, Tensor):
                given = f"predict_step: gives {type(each).__name__} as {name}"
                raise TypeError(f"{given}, not a tensor (rows, ...), or several of them")
            found.setdefault(str(name), []).append(each if each.ndim else each[None])
    return found
