"""What the lab does beside each training: show how far it is, find a loss that is not finite.

All of these take spans: they are called once for a batch, or once for a span of them.
"""

import math
import sys
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar, Timer
from torch import Tensor
from torchmetrics import Metric
from tqdm import tqdm

# what the best checkpoint is chosen by, where nothing else is asked for
MONITOR = "val/loss"


class NonFiniteLossError(ArithmeticError):
    """The loss has become infinite, or not a number."""

    def __init__(self, update: int, rate: float | None) -> None:
        where = f"at update {update}" + (f", learning rate {rate:g}" if rate is not None else "")
        super().__init__(f"the loss is not finite {where}: try a lower one")


class FiniteLoss(Callback):
    """Ends the training where a loss is not finite: nothing after that is worth its time."""

    takes_spans = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            rate = optimizer.defaults.get("lr", 1.0)
            if not 0 < rate < math.inf:
                raise ValueError(f"lr={rate}: a learning rate is above 0 and finite")
        for config in trainer.lr_scheduler_configs:
            total = getattr(config.scheduler, "total_steps", math.inf)  # of OneCycleLR
            by_step = config.interval == "step"
            to_come = trainer.estimated_stepping_batches if by_step else trainer.max_epochs or 0
            if total * config.frequency < to_come:
                raise ValueError(f"total_steps={total}: the schedule is to last for {to_come}")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any
    ) -> None:
        rate = rate_of(trainer)
        if rate is not None and not 0 <= rate < math.inf:
            raise ValueError(f"scheduler: makes the learning rate {rate:g}")
        # a span has many losses
        loss, many = outputs.get("loss"), outputs.get("span", [(trainer.global_step, rate)])
        finite = loss.reshape(-1).isfinite() if isinstance(loss, Tensor) else torch.ones(1)
        if not finite.all():
            raise NonFiniteLossError(*many[int(finite.int().argmin())])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        losses = [v for name, v in trainer.callback_metrics.items() if name.endswith("/loss")]
        if trainer.state.fn == "fit" and not all(loss.isfinite().all() for loss in losses):
            raise NonFiniteLossError(trainer.global_step + 1, rate_of(trainer))


class LoggedMonitors(Callback):
    """Finds what is monitored and never logged, as soon as that is known.

    After the first validation it is what begins with ``val``, after the first epoch all.
    """

    takes_spans = True

    def __init__(self) -> None:
        self.logged: dict[str, Any] = {}
        self.validated = self.checked = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == "fit" and not self.validated:
            self.validated = True
            self.check(trainer, "val")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.checked and (self.validated or not trainer.enable_validation):
            self.checked = True
            self.check(trainer)

    def check(self, trainer: Any, start: str = "") -> None:
        """Find a monitor of such a name that is not logged.

        Raises:
            ValueError: If there is one.
        """
        self.logged |= dict.fromkeys(trainer.callback_metrics)
        monitors = {
            "best" if isinstance(each, BestCheckpoint) else type(each).__name__: each.monitor
            for each in trainer.callbacks
            if getattr(each, "monitor", None) and not getattr(each, "optional", False)
        }
        for config in trainer.lr_scheduler_configs:
            if config.reduce_on_plateau and config.monitor:
                monitors[type(config.scheduler).__name__] = config.monitor
        known = [name for name in self.logged if name != "step"]
        for owner, name in monitors.items():
            if name.startswith(start) and name not in self.logged:
                choices = f"choose one of {', '.join(known)}" if known else "nothing is"
                raise ValueError(f"{owner}.monitor={name!r}: is not logged; {choices}")


class LastReport(Callback):
    """Has the weights measured that a fit ends with: Lightning may leave them out."""

    takes_spans = True

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == trainer.max_steps:
            trainer.check_val_every_n_epoch = 1
            trainer.should_stop = True  # by which Lightning validates before it stops


def is_over(trainer: Any) -> bool:
    """Whether the updates or the time that were asked for are used up."""
    timers = [each for each in trainer.callbacks if isinstance(each, Timer)]
    left = [each.time_remaining() for each in timers]
    return trainer.global_step == trainer.max_steps or any(t is not None and t <= 0 for t in left)


class Bar(Callback):
    """One bar over a whole fit, with the loss in it, which a terminal shows and then forgets."""

    takes_spans = True
    bar: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        look = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
        hidden, screen = not trainer.is_global_zero, sys.stdout
        self.bar = tqdm(total=1, leave=False, bar_format=look, disable=hidden, file=screen)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        epochs = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        done = max(epochs / (trainer.max_epochs or -1), trainer.global_step / trainer.max_steps, 0)
        if self.bar.update(min(done, 1) - self.bar.n):  # a few times a second
            # a span has many losses; a study that of its last report
            loss = outputs.get("loss", trainer.callback_metrics.get("train/loss", math.nan))
            last = float(torch.as_tensor(loss).reshape(-1)[-1])
            self.bar.set_postfix_str(f"update {trainer.global_step:,}, loss {last:.4g}")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        self.on_train_end(trainer, pl_module)


def progress_bars(asked: bool | None, fits: bool, given: list[Any]) -> tuple[list[Bar], bool]:
    """The bar over a fit, if there is to be one and none is given; else whether Lightning's is."""
    shown = sys.stdout.isatty() if asked is None else asked
    theirs = not fits or any(isinstance(each, ProgressBar) for each in given)
    return [Bar()] if shown and not theirs else [], shown and theirs


class PlateauStep(Callback):
    """Steps ReduceLROnPlateau at the end of an epoch, before the checkpoint is written.

    Lightning does it after that, so that a resumed run would miss the step; and where a step makes
    many updates, not at all.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        every = trainer.lr_scheduler_configs
        found = [each for each in every if each.reduce_on_plateau and each.interval == "epoch"]
        self.plateaus = [(each.scheduler, each.monitor, each.frequency) for each in found]
        for each in found:
            each.frequency = sys.maxsize

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for scheduler, monitor, frequency in self.plateaus:
            value = trainer.callback_metrics.get(str(monitor))
            if value is not None and (trainer.current_epoch + 1) % frequency == 0:
                cast(Any, scheduler).step(value)  # or it is not measured yet


class FullPrecisionMetrics(Callback):
    """Keeps metrics in 32 bits where the network has fewer: sums of many rows need them."""

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for module in pl_module.modules():
            if isinstance(module, Metric):
                module.set_dtype(torch.float32)

    on_train_start = on_test_start = on_validation_start


def rate_of(trainer: L.Trainer) -> float | None:
    """Learning rate of the first parameters; ``None`` without an optimizer."""
    rates = [group["lr"] for each in trainer.optimizers for group in each.param_groups]
    return float(rates[0]) if rates else None


def early_end(trainer: L.Trainer, done: int, ended: bool) -> str:
    """Why a training has ended before its time; empty where it has not.

    Args:
        trainer: The trainer.
        done: Updates that were made before it began.
        ended: Whether a callback had ended it then.
    """
    if trainer.global_step == done:
        more = "more by --trainer.max_epochs or --trainer.max_steps"
        why = "a callback, such as EarlyStopping, had ended it" if ended else more
        return f"nothing was left to do: {why}"
    reasons = [each.stopping_reason_message for each in trainer.early_stopping_callbacks]
    why = "; ".join(filter(None, reasons)).replace(" Signaling Trainer to stop.", "")
    return f"stopped after update {trainer.global_step}: {why}" if why else ""


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, where a module need not log what it monitors by default: then there is none."""

    @property
    def optional(self) -> bool:
        """Whether what it monitors need not be there."""
        return self.monitor == MONITOR

    def skips(self, trainer: L.Trainer) -> bool:
        return self.optional and MONITOR not in trainer.callback_metrics

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        measured = [name for name in trainer.callback_metrics if name.startswith("val")]
        if measured and self.skips(trainer) and trainer.is_global_zero:
            print(f"no best.ckpt: {MONITOR} is not logged; --best.monitor {measured[0]} has it")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.skips(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.skips(trainer):
            super().on_validation_end(trainer, pl_module)
