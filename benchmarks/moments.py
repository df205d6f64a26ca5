"""Moments of a run: by the clock, by the processor, and without what other programs took of it."""

import time
from pathlib import Path
from typing import NamedTuple

QUEUE = Path("/proc/self/schedstat")


class Moment(NamedTuple):
    """A moment, in seconds.

    Attributes:
        wall: By the clock.
        cpu: That this process has computed, in all its threads.
        waited: That its main thread was ready to compute and had no processor, where Linux tells.
    """

    wall: float
    cpu: float
    waited: float


def now() -> Moment:
    waited = int(QUEUE.read_text().split()[1]) / 1e9 if QUEUE.exists() else 0.0
    return Moment(time.perf_counter(), time.process_time(), waited)
