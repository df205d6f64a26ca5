"""Time of a ``perceptrons fit`` against the loop one writes by hand, on the same work.

Both make the 10,000 updates of ``configs/xor.yaml`` in this process, one thread, in turns. The fit
has everything on: reports, TensorBoard, checkpoints, and notes for the figures, which a process of
its own draws afterwards. Ratios last; seconds differ by machine.
"""

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import nn

from perceptrons.__main__ import main as perceptrons
from perceptrons.lab.figures import drawing

CONFIG = Path(__file__).parent.parent / "configs" / "xor.yaml"
UPDATES, ROUNDS = 10_000, 5


def by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    torch.manual_seed(777)
    network = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid())
    optimizer, loss = torch.optim.SGD(network.parameters(), lr=1.0), nn.BCELoss()
    for _ in range(UPDATES):
        optimizer.zero_grad()
        loss(network(x), y).backward()
        optimizer.step()


def fit(directory: str, *more: str) -> Callable[[], None]:
    words = ["fit", f"--config={CONFIG}", f"--trainer.default_root_dir={directory}", *more]

    def run() -> None:
        with redirect_stdout(StringIO()):
            perceptrons(words)

    return run


def drawn(work: Callable[[], None]) -> Callable[[], None]:
    """Work, and the wait for the figures that it has another process draw."""

    def run() -> None:
        work()
        drawing.BESIDE[-1].wait()

    return run


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    sys.argv[1:] = []
    torch.set_num_threads(1)
    with TemporaryDirectory() as directory:
        contestants = {
            "the loop by hand": by_hand,
            "perceptrons fit": fit(directory),
            "perceptrons fit, no figures": fit(directory, "--figures=false"),
            "perceptrons fit, figures drawn": drawn(fit(directory)),
            "perceptrons fit, by hand": fit(directory, "--model.gradients=by_hand"),
        }
        fit(directory, "--data.passes=1")()  # imports of the first run
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(ROUNDS):
            for name, work in contestants.items():
                taken[name].append(seconds(work))
    first = taken["the loop by hand"]
    print(f"{'':36}{'us an update':>14}{'ratio':>8}")
    for name, each in taken.items():
        ratio = median(one / other for one, other in zip(each, first, strict=True))
        print(f"{name:36}{median(each) / UPDATES * 1e6:>14.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
