"""Many updates per Lightning step.

Lightning spends about half a millisecond on each training step, on hooks, counters and logs; an
update of a small network takes a third of that. So between two looks, where nobody asks how the
training goes, the updates run in a plain loop, and the one that is looked at goes through Lightning
as ever. Every counter counts updates and the weights are the same to the bit; a run in which
something could tell the difference goes unfused.

Lightning has no public place for this: the class below overrides a method of Lightning's
training-epoch loop, and moves that loop's own counters. The tests train both ways and compare.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import (
    Callback,
    DeviceStatsMonitor,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
    Timer,
)
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

# what Lightning calls for each update, on callbacks and on the module
CALLBACK_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
TRANSFER_HOOKS = (
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
)
MODULE_HOOKS = (
    *CALLBACK_HOOKS,
    *TRANSFER_HOOKS,
    "configure_gradient_clipping",
    "optimizer_step",
    "optimizer_zero_grad",
    "lr_scheduler_step",
)
# callbacks of Lightning's that act on the looked-at updates alone: they log, save or show something
PATIENT = (DeviceStatsMonitor, LearningRateMonitor, ModelCheckpoint, ProgressBar, Timer)


def fuse(trainer: L.Trainer) -> None:
    """Let a trainer fuse the updates of a module that allows it.

    A module allows it by an attribute ``once_per_look``: a tuple with the names of those of its
    hooks that need not see each update. Its ``training_step`` must then log nothing. A subclass
    with a ``training_step`` of its own must say so anew. A callback may have the attribute too.
    """
    loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = FusedEpochLoop(trainer, loop.min_steps, loop.max_steps)


class Stopped(SystemExit):
    """Training ends because the process was asked to end, between two updates."""

    between_updates = True


class FusedEpochLoop(_TrainingEpochLoop):
    """Lightning's training-epoch loop, with the updates between two looks in one plain loop.

    Attributes:
        running: Whether updates are being made.
        stop: Exit status to end with before the next update; 0 to go on.
    """

    trainer: Any
    running = False
    stop = 0

    def __init__(self, trainer: Any, min_steps: int | None = None, max_steps: int = -1) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.end = max_steps

    @_TrainingEpochLoop.restarting.setter  # type: ignore[untyped-decorator]
    def restarting(self, restarting: bool) -> None:
        _TrainingEpochLoop.restarting.fset(self, restarting)
        # with max_steps Lightning takes a finished epoch for one to go on with, and goes through it
        # twice; so it is hidden while the fit loop, which loads after this one, decides
        loading = restarting and not self._loaded_from_state_dict
        self.max_steps = -1 if loading else self.end

    def on_run_start(self, data_fetcher: Any) -> None:
        super().on_run_start(data_fetcher)
        self.fusible, self.running = fusible(self.trainer), True

    def advance(self, data_fetcher: Any) -> None:
        # asked since the last epoch's last update: of this one nothing is done
        if not self.batch_progress.current.ready and (status := self.asked()):
            self.batch_progress.is_last_batch = False
            raise Stopped(status)
        if self.fusible and not self.restarting:
            self.run_unseen(data_fetcher, self.updates_to_look() - 1)
        super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: Any) -> None:
        super().on_advance_end(data_fetcher)
        # Lightning counts one too many where it takes up a run inside an epoch
        self._batches_that_stepped = self.global_step
        # an epoch's end has its report first, and gradients that are gathered their update
        between = not self._is_training_done and not self._should_accumulate()
        if between and (status := self.asked()):
            raise Stopped(status)

    def asked(self) -> int:
        """``stop`` of any of the processes, so that all stop at the same update."""
        if self.trainer.world_size == 1:
            return self.stop
        strategy = self.trainer.strategy
        stop = torch.tensor(self.stop, device=strategy.root_device)
        return int(strategy.reduce(stop, reduce_op="max"))

    def _broadcast_sigterm_tensor(self) -> None:
        """What Lightning does here, ``asked`` does: it hears the others than process 0 too."""

    def updates_to_look(self) -> int:
        """Updates until, and with, the next at which Lightning logs, validates, saves or ends."""
        trainer, done = self.trainer, self.batch_progress.current.ready
        distances = [trainer.num_training_batches - done]
        if self.max_steps != -1:
            distances.append(self.max_steps - self.global_step)
        every = [(trainer.log_every_n_steps, self._batches_that_stepped)]
        every += [(saver._every_n_train_steps, self.global_step) for saver in savers(trainer)]
        if trainer.enable_validation and trainer.val_check_batch:
            all_epochs = trainer.check_val_every_n_epoch is None
            count = self.batch_progress.total.ready if all_epochs else done
            every.append((trainer.val_check_batch, count))
        distances += [period - count % period for period, count in every if period]
        return max(1, int(min(distances)))

    def run_unseen(self, data_fetcher: Any, count: int) -> None:
        """Make ``count`` updates, or fewer where the process is asked to end."""
        trainer, module = self.trainer, self.trainer.lightning_module
        (optimizer,) = trainer.optimizers
        parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
        configs = trainer.lr_scheduler_configs
        schedulers = [config.scheduler for config in configs if config.interval == "step"]
        batches = islice(data_fetcher.iterator._iterator.iterators[0], count)
        first, done, steps = self.batch_idx + 1, 0, 0
        batch: Any = None

        def closure() -> torch.Tensor:
            nonlocal steps
            steps += 1  # some optimizers take several for an update
            loss: torch.Tensor = module.training_step(batch, first + done)
            for parameter in parameters:
                parameter.grad = None
            module.backward(loss)
            return loss

        def one_by_one(some: Iterator[Any]) -> None:
            nonlocal batch, done
            for batch in some:  # noqa: B007  the closure reads it
                optimizer.step(closure)
                for scheduler in schedulers:
                    scheduler.step()
                done += 1
                if self.stop:
                    break

        if many := self.at_once(module):
            if not many.ready:
                one_by_one(islice(batches, 1))
            made, unused = many.run(batches, count - done, schedulers, lambda: self.stop)
            done, steps = done + made, steps + made
            one_by_one(iter(unused))
        if not self.stop:
            one_by_one(batches)
        self.count(data_fetcher, done, steps, len(schedulers))

    def at_once(self, module: Any) -> Any:
        """What makes several updates at once, where the module has it."""
        find = getattr(module, "at_once", None)
        return find(self.trainer.train_dataloader.batch_size) if find else None

    def count(self, data_fetcher: Any, done: int, steps: int, schedulers: int) -> None:
        """Move every counter as ``done`` updates through Lightning would have."""
        data_fetcher.fetched += done
        self.batch_progress.increment_by(done)
        self.automatic_optimization.optim_progress.optimizer.step.increment_by(done)
        self.automatic_optimization.optim_progress.optimizer.zero_grad.increment_by(steps)
        self.scheduler_progress.increment_by(done * schedulers)
        self._batches_that_stepped += done

    def _should_check_val_fx(self, data_fetcher: Any) -> bool:
        # Lightning may leave the last updates unmeasured: the weights that a run ends with
        last_epoch = self.trainer.current_epoch + 1 == self.trainer.max_epochs
        ends = self.global_step == self.max_steps or (
            last_epoch and self._num_ready_batches_reached()
        )
        if ends and self.trainer.enable_validation and not self.restarting:
            return True
        return super()._should_check_val_fx(data_fetcher)


def savers(trainer: L.Trainer) -> list[ModelCheckpoint]:
    return [saver for saver in trainer.checkpoint_callbacks if isinstance(saver, ModelCheckpoint)]


def fusible(trainer: Any) -> bool:
    """Whether nothing could tell a plain loop of updates from Lightning's."""
    module, data = trainer.lightning_module, trainer.datamodule
    return (
        hasattr(module, "once_per_look")
        and issubclass(definer(module, "once_per_look"), definer(module, "training_step"))
        and trainer.num_training_batches != float("inf")  # Lightning would fetch one ahead
        and module.automatic_optimization
        and not any(sees(module, hook) for hook in MODULE_HOOKS)
        and not any(
            sees(callback, hook) for callback in trainer.callbacks for hook in CALLBACK_HOOKS
        )
        and not (data and any(is_overridden(hook, data) for hook in TRANSFER_HOOKS))
        and isinstance(trainer.strategy, SingleDeviceStrategy)
        and type(trainer.precision_plugin) is Precision
        and isinstance(trainer.profiler, PassThroughProfiler)
        and trainer.accumulate_grad_batches == 1
        and not trainer.gradient_clip_val
        and all(c.frequency == 1 for c in trainer.lr_scheduler_configs if c.interval == "step")
        and hands_out_on(trainer.train_dataloader, module.device)
    )


def sees(owner: L.LightningModule | Callback, hook: str) -> bool:
    """Whether a module or callback has a hook that must see each update."""
    if hook in getattr(owner, "once_per_look", ()) or not is_overridden(hook, owner):
        return False
    by_lightning = definer(owner, hook).__module__.startswith("lightning.")
    return not (isinstance(owner, PATIENT) and by_lightning)


def definer(owner: object, name: str) -> type:
    """The class that an attribute comes from."""
    return next(class_ for class_ in type(owner).__mro__ if name in vars(class_))


def hands_out_on(loader: object, device: torch.device) -> bool:
    """Whether there is one loader, whose batches lie on the device already."""
    several = isinstance(loader, (list, tuple, dict))
    return not several and getattr(loader, "device", torch.device("cpu")) == device
