"""How much memory there is to be had."""

import os
import re
from pathlib import Path

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
