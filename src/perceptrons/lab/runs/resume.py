"""Stopping a run so that it can be resumed, and resuming it so that nothing is lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.trainer.connectors.data_connector import _DataLoaderSource
from lightning.pytorch.trainer.connectors.logger_connector.result import _ResultCollection
from lightning.pytorch.utilities.combined_loader import _SUPPORTED_MODES, CombinedLoader
from torch import Tensor
from torchmetrics import Metric

from ..data.loader import TableLoader, name_arguments, random_state, set_random_state
from ..training.callbacks import is_over
from ..training.spans import SpanLoader
from .directories import with_own_files
from .record import measured


class Stopped(SystemExit):
    """Training ends because the process was asked to end, between two batches."""

    between_updates = True


class EpochMeans(_ResultCollection):
    """What is logged over an epoch, which goes on from where a resumed run was cut in two.

    Args:
        earlier: What the batches before the cut have added up to.
    """

    def __init__(self, earlier: dict[str, dict[str, Any]]) -> None:
        super().__init__(training=True)
        self.earlier = earlier

    def __setitem__(self, key: str, metric: Any) -> None:
        vars(metric).update(self.earlier.pop(key, {}))
        super().__setitem__(key, metric)

    def reset(self, metrics: bool | None = None, fx: str | None = None) -> None:
        if fx is None:  # the epoch is over
            self.earlier = {}
        super().reset(metrics, fx)


class DrawnLoader(CombinedLoader):
    """Loaders of the user's, and the random state that the order of their epoch was drawn from.

    Lightning begins with the first epoch early, before hooks that may draw random numbers, and with
    later ones, and those of a resumed run, elsewhere: here each begins right before its batches.
    """

    drawn_from: dict[str, Any] | None = None

    def __iter__(self) -> Self:
        if self._iterator is not None:
            self.drawn_from = random_state(self.flattened)
            return super().__iter__()
        self._iterator = _SUPPORTED_MODES[self._mode]["iterator"](self.flattened, self._limits)
        return self  # which has a length by now

    def __next__(self) -> Any:
        if self.drawn_from is None:
            raise StopIteration
        return super().__next__()

    def _state_dicts(self) -> list[dict[str, Any]]:
        return []  # a loader that knows how to go on would do so beside what is drawn again


class Source(_DataLoaderSource):
    """Where Lightning finds what to train on, to validate on and so on."""

    def dataloader(self) -> Any:
        made: Any = super().dataloader()
        if isinstance(made, TableLoader | SpanLoader):
            return made
        combined = made
        if not isinstance(made, CombinedLoader):
            combined = CombinedLoader(made, "max_size_cycle")  # as Lightning does
        for each in combined.flattened:
            name_arguments(each)
        if self.name != "train_dataloader":
            return made
        combined.__class__ = DrawnLoader
        return combined


class ResumableEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, where five things keep a resumed run exact.

    Attributes:
        stop: Exit status to end with before the next batch; 0 to go on.
        random: Random states of the checkpoint: its own, and of the start of an epoch it cuts.
    """

    trainer: Any
    stop = 0
    random: tuple[dict[str, Any], dict[str, Any] | None] | None = None

    def __init__(self, trainer: Any, min_steps: int | None = None, max_steps: int = -1) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.end = max_steps
        self._results = EpochMeans({})

    def on_save_checkpoint(self) -> dict[str, Any]:
        state: dict[str, Any] = super().on_save_checkpoint()
        if self.batch_progress.is_last_batch:
            return state
        # Lightning leaves out what is gathered over an epoch that is not over
        logged, metrics = (
            {name: each.metric_state for name, each in gathered.items()}
            for gathered in (self._results, metrics_of(self.trainer.lightning_module))
        )
        return {**state, "logged": logged, "metrics": metrics}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self._results = EpochMeans(state_dict.get("logged", {}))
        module = self.trainer.lightning_module
        for name, metric in metrics_of(module).items():
            vars(metric).update(state_dict.get("metrics", {}).get(name, {}))
            metric.to(module.device)

    @_TrainingEpochLoop.restarting.setter  # type: ignore[untyped-decorator]
    def restarting(self, restarting: bool) -> None:
        _TrainingEpochLoop.restarting.fset(self, restarting)
        # with max_steps Lightning takes a finished epoch for one to go on with, and goes through it
        # twice (issue 19617); so it is hidden while the fit loop, which loads after this, decides
        loading = restarting and not self._loaded_from_state_dict
        self.max_steps = -1 if loading else self.end

    def on_run_start(self, data_fetcher: Any) -> None:
        loader, random, self.random = data_fetcher.combined_loader, self.random, None
        if isinstance(loader, DrawnLoader) and (random or not self.trainer.current_epoch):
            self.begin(data_fetcher, random[1] if random else None)  # as Lightning does later ones
        if random and self.batch_progress.current.ready:
            set_random_state(random[0], self.loaders)
        super().on_run_start(data_fetcher)

    def begin(self, data_fetcher: Any, drawn_from: dict[str, Any] | None) -> None:
        """Draw an epoch's order, if it is resumed once more, and pass over the batches it had."""
        loaders = data_fetcher.combined_loader.flattened
        for each in loaders if self.trainer.current_epoch else ():
            if getattr(each, "persistent_workers", False):
                iter(each)  # which draws a number, when they are started
        if drawn_from:
            set_random_state(drawn_from, loaders)
        iter(data_fetcher)
        for _ in range(self.batch_progress.current.ready if drawn_from else 0):
            # the batch itself, where a module asks for the iterator
            next(getattr(data_fetcher, "iterator_wrapper", data_fetcher))
            data_fetcher.fetched -= 1  # Lightning adds them

    @property
    def loaders(self) -> list[Any]:
        """What is trained on, and what is validated on."""
        every = (self.trainer.fit_loop._combined_loader, self.val_loop._combined_loader)
        return [each for combined in every for each in getattr(combined, "flattened", ())]

    def measured(self) -> dict[str, Tensor]:
        """What is logged over this epoch, as far as it has come."""
        return dict(self._results.metrics(on_step=False)["callback"])

    def advance(self, data_fetcher: Any) -> None:
        # asked since the last epoch's last batch: of this epoch nothing is done
        if not self.batch_progress.current.ready and (status := self.stop_status()):
            self.batch_progress.is_last_batch = False
            raise Stopped(status)
        super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: Any) -> None:
        super().on_advance_end(data_fetcher)
        # Lightning counts one too many where it resumes inside an epoch (issue 19367)
        self._batches_that_stepped = self.global_step
        # an epoch's end has its report first, and gradients that are gathered their update
        between = not self._is_training_done and not self._should_accumulate()
        if between and (status := self.stop_status()):
            raise Stopped(status)

    def stop_status(self) -> int:
        """``stop`` of any of the processes, so that all stop at the same update."""
        if self.trainer.world_size == 1:
            return self.stop
        strategy = self.trainer.strategy
        stop = torch.tensor(self.stop, device=strategy.root_device)
        return int(strategy.reduce(stop, reduce_op="max"))

    def _broadcast_sigterm_tensor(self) -> None:
        """Lightning's way to stop several processes: here :meth:`stop_status` is for that."""


def metrics_of(module: torch.nn.Module) -> dict[str, Metric]:
    """The metrics that a module has, by name."""
    return {name: each for name, each in module.named_modules() if isinstance(each, Metric)}


def make_resumable(trainer: Any) -> None:
    """Let a trainer's run be stopped between two batches, and resumed there."""
    loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = ResumableEpochLoop(trainer, loop.min_steps, loop.max_steps)
    loops = (trainer.validate_loop, trainer.test_loop, trainer.predict_loop)
    for each in (trainer.fit_loop, trainer.fit_loop.epoch_loop.val_loop, *loops):
        each._data_source.__class__ = Source


def log_at(trainer: Any, update: int) -> None:
    """Let what is measured outside of a training be logged at an update."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = update


@contextmanager
def stoppable(trainer: Any) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end what a trainer does: training after its next batch, and saved.

    So does SIGUSR1, by which SLURM can tell that the time is nearly up. The exit status is the
    shell's for the signal: 130, 143 or 138. A second signal does not wait.
    """
    loop = trainer.fit_loop.epoch_loop

    # not by Lightning's own handlers: they would end with status 0, and under SLURM start the job
    # anew in another run
    trainer._signal_connector.register_signal_handlers = lambda: None

    def stop(number: int, _: Any) -> None:
        if trainer.state.fn == "fit" and not loop.stop:
            loop.stop = 128 + number
        elif own_process:  # an exception could come where it leaves TensorBoard's threads waiting
            os._exit(128 + number)
        else:
            raise SystemExit(128 + number)

    # in a notebook Ctrl-C is Python's own
    own_process = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    in_main_thread = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1) if in_main_thread else ()
    before = [signal.signal(number, stop) for number in signals]
    try:
        yield
        if loop.stop:  # it came after the last batch
            raise SystemExit(loop.stop)
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


class ExactResume(Callback):
    """Keeps in each checkpoint what Lightning leaves out, and saves one when a run is stopped.

    Args:
        directory: The run's directory.
        settings: The run's settings, which make a checkpoint enough to take it up.
        rates_given: Whether the optimizer's settings are those given, not the checkpoint's.
    """

    def __init__(self, directory: Path, settings: dict[str, Any], rates_given: bool) -> None:
        self.directory, self.settings = directory, settings
        self.rates_given = rates_given
        self.earlier, self.start = 0.0, time.monotonic()
        self.ended = False  # whether training had been found to be enough
        self.metrics: dict[str, float] = {}  # those of the checkpoint
        self.epochs = 0  # that the checkpoint has had

    @property
    def seconds(self) -> float:
        """Seconds of fitting, those before an interruption included."""
        return self.earlier + time.monotonic() - self.start

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        self.start = time.monotonic()  # by now all processes are there

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["settings"] = self.settings
        checkpoint["metrics"] = measured(trainer) or self.metrics
        checkpoint["ended"] = trainer.should_stop and not is_over(trainer)
        checkpoint["seconds"] = self.seconds
        loop: Any = trainer.fit_loop.epoch_loop
        checkpoint["random"] = random_state(loop.loaders)
        if not loop.batch_progress.is_last_batch:
            loader = trainer.fit_loop._combined_loader
            checkpoint["drawn_from"] = getattr(loader, "drawn_from", None)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        self.ended, self.earlier = checkpoint["ended"], checkpoint["seconds"]
        self.metrics = checkpoint["metrics"]
        self.epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        loop: Any = trainer.fit_loop.epoch_loop
        loop.random = checkpoint["random"], checkpoint.get("drawn_from")
        states = checkpoint["callbacks"]
        for each in trainer.checkpoint_callbacks:
            if isinstance(each, ModelCheckpoint) and each.state_key in states:
                states[each.state_key] = with_own_files(states[each.state_key], each)

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.given = [{k: v for k, v in each.items() if k != "params"} for each in groups(trainer)]
        schedules = (each.scheduler for each in trainer.lr_scheduler_configs)
        self.base_rates = [getattr(each, "base_lrs", None) for each in schedules]

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        trainer.should_stop = self.ended or is_over(trainer)
        loop: Any = trainer.fit_loop.epoch_loop
        if loop.random:  # the loaders are made, for which a module may draw rows
            set_random_state(loop.random[0], loop.loaders)
        for optimizer in trainer.optimizers:
            if any(optimizer.defaults.keys() - group.keys() for group in optimizer.param_groups):
                name = type(optimizer).__name__
                raise ValueError(f"optimizer={name}: the checkpoint has the state of another")
        if self.rates_given:  # to load a state brings its old settings back
            for group, given in zip(groups(trainer), self.given, strict=True):
                group.update(given)
            for each, rates in zip(trainer.lr_scheduler_configs, self.base_rates, strict=True):
                vars(each.scheduler).update({"base_lrs": rates} if rates else {})

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        if getattr(exception, "between_updates", False):
            last = self.directory / "checkpoints" / "last.ckpt"
            trainer.save_checkpoint(last, weights_only=False)


def groups(trainer: L.Trainer) -> list[dict[str, Any]]:
    """The optimizers' groups of parameters, with their settings."""
    return [group for each in trainer.optimizers for group in each.param_groups]
