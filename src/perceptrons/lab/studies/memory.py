"""How much memory a study takes, and how much there is to be had."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from .group import Group
    from .plan import Plan

# where Linux tells the limit of a container: version 2 and 1 of control groups
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def free_memory() -> int:
    """Bytes of memory that can be had, or where that is not told, that there are."""
    found = re.search(r"MemAvailable: +(\d+) kB", told(Path("/proc/meminfo")))
    all_ = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [int(said) for file in LIMITS if (said := told(file)).isdecimal()]
    return min([1024 * int(found[1]) if found else all_, *limits])


def told(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def check_memory(net: nn.Module, kept: float, plan: "Plan") -> None:
    """Find out that there is no memory for a study before any of it is made.

    Args:
        net: One of its networks.
        kept: Bytes that the optimizer keeps for each byte of weights.
        plan: Its members.

    Raises:
        ValueError: If there is not enough.
    """
    if torch.cuda.is_available():
        return
    weights = sum(weight.nbytes for weight in net.parameters())
    buffers = sum(buffer.nbytes for buffer in net.buffers())
    # weights and their gradients, and what the optimizer keeps
    each = max(1, int(weights * (2 + kept) + buffers))
    count, free = len(plan.members), free_memory()
    if count * each > free:
        need = f"{count} members need {count * each / 2**30:.3g} GiB"
        there = f"{free / 2**30:.3g} are free; {free // each} would fit"
        raise ValueError(f"seeds={plan.seeds}: {need}, and {there}")


def estimate(groups: "list[Group]", kept: float) -> int:
    """Bytes that a study takes at its peak: members, activations of a block, rows."""
    weights = sum(w.nbytes for group in groups for w in group.members.weights.values())
    buffers = sum(b.nbytes for group in groups for b in group.members.buffers.values())
    block = max(group.block_bytes for group in groups)
    tables = {id(c): c.nbytes for group in groups for t in group.data.split.values() for c in t}
    return int(weights * (2 + kept) + buffers + block + sum(tables.values()))
