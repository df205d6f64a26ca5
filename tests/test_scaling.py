"""More than one process, and other numbers than those of 32 bits."""

import os
import socket
from functools import partial
from pathlib import Path
from typing import Any, cast

from children import Child
from conftest import Finished
from lightning.fabric.utilities.rank_zero import _get_rank, rank_zero_only

RUN = Path("lightning_logs", "r", "version_0")
DDP = "--trainer.strategy ddp --trainer.accelerator cpu"

Environment = dict[str, str]


def torchrun(number: int, count: int, port: int) -> Environment:
    """What ``torchrun`` tells a process that it starts."""
    return {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def slurm(number: int, count: int, port: int) -> Environment:
    """What SLURM's ``srun`` tells a task."""
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NAME": "xor",
        "SLURM_NTASKS": str(count),
        "SLURM_NTASKS_PER_NODE": str(count),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "localhost",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
        "SLURM_NODEID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def launched(environment: Environment) -> None:
    """Have a forked process believe that it was started with these variables."""
    os.environ.update(environment)
    cast(Any, rank_zero_only).rank = _get_rank()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def start(line: str, directory: Path, count: int = 2, by: Any = torchrun) -> list[Child]:
    """A command in several processes, as a launcher starts them."""
    port = free_port()
    prepared = [partial(launched, by(number, count, port)) for number in range(count)]
    return [Child(line, directory, prepare) for prepare in prepared]


def together(line: str, directory: Path, count: int = 2, by: Any = torchrun) -> list[Finished]:
    return [child.wait() for child in start(line, directory, count, by)]
