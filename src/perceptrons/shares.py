"""Which rows of a batch a process takes, where several train one network."""

from typing import NamedTuple


class Share(NamedTuple):
    """An equal part of every batch, in order; what does not divide goes to the first processes.

    Attributes:
        number: Number of the process, from 0.
        of: How many processes there are.
        at_least: Rows that it takes where none are left for it: the batch's first, of weight 0.
    """

    number: int = 0
    of: int = 1
    at_least: int = 0

    def part(self, rows: int) -> slice:
        """The rows of this process, of a batch of some number."""
        start, stop = self.bounds(rows)
        return slice(start, stop) if start < stop else slice(self.at_least)

    def weight(self, rows: int) -> float:
        """Factor on a mean over these rows: then its mean over the processes is that over all."""
        start, stop = self.bounds(rows)
        return (stop - start) * self.of / rows

    def bounds(self, rows: int) -> tuple[int, int]:
        each, left = divmod(rows, self.of)
        start = self.number * each + min(self.number, left)
        return start, start + each + (self.number < left)
