"""Several processes that train one network: started by Lightning, ``torchrun`` or SLURM.

Process 0 speaks and writes for all; the others only compute.
"""

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any, cast

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from perceptrons.classifier import Classifier, NonFiniteLossError
from perceptrons.fused import Stopped
from perceptrons.mistakes import fail

# seconds in which a process that cannot reach another has said so and ended
PATIENCE = 10.0
# how torch says that another process is gone
GONE = ("closed by peer", "reset by peer", "Broken pipe", "NCCL")


def hush() -> None:
    """Leave it to process 0 to say what all would, and mistakes to the first on each machine."""
    if number():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  until the process ends
        if "RANK" in os.environ or "LOCAL_RANK" not in os.environ:  # none has started it
            sys.stderr = sys.stdout if local_rank() else sys.stderr


def number() -> int:
    """Number of this process, as far as it knows before there is a trainer."""
    return cast(int, cast(Any, rank_zero_only).rank)


def local_rank() -> int:
    """Number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0)))


def seed_of(given: int | bool | None) -> int:
    """A seed as the settings give it; for ``True`` one drawn at random.

    Where process 0 has started this one, the seed that it has drawn.

    Raises:
        ValueError: If it cannot be one, or there are processes that would draw others.
    """
    if given is None or given is False or (given is not True and not 0 <= given < 2**32):
        said = json.dumps(given)
        raise ValueError(f"seed_everything={said}: must be from 0 to {2**32 - 1}, or true")
    if given is not True:
        return given
    count = os.environ.get("WORLD_SIZE" if "RANK" in os.environ else "SLURM_STEP_NUM_TASKS", "1")
    if count != "1":
        raise ValueError(f"seed_everything=true: must be a number, the same for all {count}")
    if number() == 0:
        return secrets.randbelow(2**32)
    return int(os.environ["PL_GLOBAL_SEED"])  # where Lightning's seed_everything has left it


def check(trainer: Any, model: Classifier, verb: str | None, typed: bool) -> None:
    """Find what cannot be done by several processes.

    Args:
        trainer: The trainer.
        model: The classifier.
        verb: What is to be done, such as ``fit``.
        typed: Whether the command is the one that started this process.

    Raises:
        ValueError: If something is asked for that cannot.
    """
    strategy, count = trainer.strategy, trainer.world_size
    check_started(trainer)
    if isinstance(strategy, SingleDeviceStrategy):
        return
    if not isinstance(strategy, DDPStrategy):
        raise ValueError(f"strategy={type(strategy).__name__!r}: choose auto or ddp")
    if strategy._start_method != "popen":  # what such a process learns is lost with it
        raise ValueError(f"strategy='ddp_{strategy._start_method}': choose ddp")
    alone = "for one process; leave out trainer.strategy and trainer.devices"
    if model.replicas is not None:
        raise ValueError(f"replicas={model.replicas}: are {alone}")
    if model.gradients == "by_hand":
        raise ValueError(f"gradients='by_hand': are {alone}")
    if model.compile_updates:
        raise ValueError(f"compile=True: is {alone}")
    if verb == "predict":
        raise ValueError(f"devices={trainer.num_devices}: predict is {alone}")
    check_optimizer(model)
    if not typed and isinstance(strategy.cluster_environment, LightningEnvironment):
        alone = "only the command perceptrons can start other processes"
        raise ValueError(f"devices={count}: {alone}")


def check_started(trainer: Any) -> None:
    """Find that other processes were started than the trainer is to have.

    Raises:
        ValueError: If so.
    """
    environment = trainer._accelerator_connector.cluster_environment
    devices, nodes, count = trainer.num_devices, trainer.num_nodes, environment.world_size()
    if isinstance(environment, SLURMEnvironment) and "SLURM_STEP_ID" not in os.environ:
        if not isinstance(trainer.strategy, SingleDeviceStrategy):  # it would wait for the others
            raise ValueError(f"devices={devices}: under SLURM, processes are started by srun")
    elif environment.creates_processes_externally and devices * nodes != count:
        fitting = f"--trainer.strategy ddp --trainer.devices {max(1, count // nodes)}"
        raise ValueError(f"devices={devices}: {count} processes were started; choose {fitting}")


def check_optimizer(model: Classifier) -> None:
    made = model.configure_optimizers()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    if isinstance(optimizer, torch.optim.LBFGS):  # each would see the loss of its own rows
        raise ValueError("optimizer='LBFGS': decides by the loss, which no process knows alone")


def check_left(directory: Path, ckpt_path: str | None) -> None:
    """Find a checkpoint that Lightning would take up unasked, under SLURM.

    Raises:
        ValueError: If there is one.
    """
    left = [path.name for path in directory.glob("hpc_ckpt_*.ckpt")]
    if left and ckpt_path is None and SLURMEnvironment.detect():
        taken = f"Lightning would start from {left[0]}, which is there; move it away"
        raise ValueError(f"default_root_dir={str(directory)!r}: {taken}")


def use_threads(count: int, trainer: Any) -> None:
    """Compute with some number of threads; several processes too, each."""
    torch.set_num_threads(count)
    if trainer.strategy.launcher:  # which would share out all threads that the machine has
        os.environ["OMP_NUM_THREADS"] = str(count)


def by(trainer: Any) -> str:
    """What the line of an error starts with: the process, where there are several."""
    return f"process {trainer.global_rank}: " if trainer.world_size > 1 else ""


@contextmanager
def together(trainer: Any) -> Iterator[None]:
    """Let all processes end together, and process 0 alone say why where all know it."""
    if sys.stderr is sys.stdout:
        sys.stderr = sys.__stderr__  # from here on something may go wrong in one alone
    try:
        yield
        for process in started(trainer):
            process.wait()
    except Exception as failure:
        gone = trainer.world_size > 1 and any(sign in str(failure) for sign in GONE)
        if trainer.global_rank and (gone or isinstance(failure, NonFiniteLossError)):
            raise SystemExit(status(trainer, 1)) from failure
        if gone:
            if any(has_failed(process) for process in started(trainer)):
                raise SystemExit(1) from failure  # which has said why
            fail("another process has ended before its time", failure, status=1)
        raise
    except Stopped as stopped:
        if trainer.global_rank:
            raise SystemExit(status(trainer, int(stopped.code or 0))) from stopped
        raise
    finally:
        for process in started(trainer):
            process.kill()
            process.wait()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def started(trainer: Any) -> list[Popen[bytes]]:
    """The processes that this one has started."""
    return getattr(trainer.strategy.launcher, "procs", [])


def has_failed(process: Popen[bytes]) -> bool:
    """Whether a process ends by itself, and not well."""
    with suppress(TimeoutExpired):
        return process.wait(PATIENCE) > 0
    return False


def status(trainer: Any, number: int) -> int:
    """Exit status of a process that ends with the others."""
    # Lightning would kill process 0 where one that it has started ends with another than 0
    by_lightning = isinstance(trainer.strategy.cluster_environment, LightningEnvironment)
    return 0 if by_lightning else number
