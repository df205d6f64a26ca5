"""Moments of a run: by the clock and by the processor."""

import time
from typing import NamedTuple


class Moment(NamedTuple):
    """A moment, in seconds.

    Attributes:
        wall: By the clock.
        cpu: That this process has computed: what others take of the processor is not in it.
    """

    wall: float
    cpu: float


def now() -> Moment:
    return Moment(time.perf_counter(), time.process_time())
