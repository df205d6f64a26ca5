"""How many threads a training computes with."""

from typing import Any

import torch
from torch import nn

from ..data.tables import EVALUATION_ROWS, TableData

# multiplications in the largest layer, below which threads cost more than they save: half a
# million take 30 us on one core, and to wake another takes 5 to 50, more where it has other work
LARGE = 2**19


def threads_for(module: nn.Module, data: Any) -> int:
    """Threads to compute with: 1 where no layer is large enough to be shared, or else torch's."""
    weights = [*module.parameters()]
    # of a convolution's weights each is multiplied for every pixel
    if not isinstance(data, TableData) or any(each.ndim > 3 for each in weights):
        return torch.get_num_threads()
    rows = min(len(data.split["train"][0]), data.batch_size or EVALUATION_ROWS)
    largest = rows * max((each.numel() for each in weights), default=0)
    return 1 if largest < LARGE else torch.get_num_threads()
