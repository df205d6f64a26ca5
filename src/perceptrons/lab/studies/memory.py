"""Whether there is memory for a study, found out before any of it is made."""

import os
import re
from pathlib import Path

import torch

from .group import MEASURED, Group
from .rehearsal import Rehearsal

# where Linux tells the memory of a container: version 2 and 1 of control groups
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
RECORD = 450  # bytes of what is written down of a member
BESIDES = 40 * 2**20  # what else is imported and made while there is a study
ORDER = 8  # bytes of the number of a row


def check_memory(two: Group, found: Rehearsal, groups: int, members: int) -> None:
    """Find out that there is no memory for a study.

    Args:
        two: A group of two of its members.
        found: What they have shown.
        groups: How many groups there are.
        members: How many members each has.

    Raises:
        ValueError: If there is not enough.
    """
    need, free, count = bytes_needed(two, found, groups, members), free_memory(), groups * members
    if need > free:
        fit = max(0, free - BESIDES) * count // (need - BESIDES)
        said = f"{count} members need {need / 2**30:.3g} GiB, and {free / 2**30:.3g} are free"
        raise ValueError(f"seeds={members}: {said}; about {fit} would fit")


def bytes_needed(two: Group, found: Rehearsal, groups: int, members: int) -> int:
    """Bytes that a study takes at most, beside the data.

    That is what all members keep, and the most of what is there for a while: a checkpoint that is
    written, or the update of a group: its gradients, rows, and what a block of it computes.
    """
    x, y = two.table("train")
    batch = min(len(x), two.data.batch_size or len(x))
    sizes = [weight.nbytes / 2 for weight in two.net.parameters()]
    weights, buffers = sum(sizes), sum(b.nbytes / 2 for b in two.net.buffers())
    kept = weights * (1 + found.kept) + buffers
    shuffled = two.data.shuffle
    orders = len(x) * ORDER if shuffled else 0
    rows = 2 * batch * (x[0].nbytes + y[0].nbytes) if shuffled else 0
    # an optimizer that keeps something computes with as much for the largest of the weights
    update = weights + (2 * max(sizes) if found.kept else 0) + orders + rows
    # a block's rows are measured in larger pieces
    larger = max(1, min(len(x), MEASURED) / batch)
    block = min(members, two.in_blocks().most) * two.bytes_of_each * larger
    everyone = groups * members
    at_once = max(everyone * kept, members * update + block)
    return BESIDES + int(everyone * (kept + orders + RECORD) + at_once)


def free_memory() -> int:
    """Bytes of memory that can be had, or where that is not told, that there are."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    found = re.search(r"MemAvailable: +(\d+) kB", told(Path("/proc/meminfo")))
    all_ = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [int(said) for file in LIMITS if (said := told(file)).isdecimal()]
    return min([1024 * int(found[1]) if found else all_, *limits])


def told(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""
