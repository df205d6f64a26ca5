"""Ways to train XOR by full-batch gradient descent, each timed in a process of its own.

``python benchmarks/contestants.py <way> <hidden> <threads> <replicas> ...`` prints a line of JSON
for each number of replicas. A way makes its updates in spans of equally many, and tells when each
ended.
"""

import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

if __name__ == "__main__" and sys.argv[3] == "one":  # before any library counts the processors
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np
from moments import Moment, now

CONFIG = Path(__file__).parent.parent / "configs" / "xor.yaml"
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
Y = np.array([[0], [1], [1], [0]], dtype=np.float32)
# the first span, with whatever is compiled in it, does not count for the steady time
SPANS, SECONDS = 3, 1.0

Hidden = tuple[int, ...]
Moments = Iterator[Moment]  # at the start, and after each span


def hand_written(hidden: Hidden, replicas: int, span: int) -> Moments:
    """The loop that everyone starts with."""
    import torch
    from torch import nn

    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise((2, *hidden, 1)):
        layers += [nn.Linear(fan_in, fan_out), nn.Sigmoid()]
    network, loss = nn.Sequential(*layers), nn.BCELoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    yield now()
    for _ in range(SPANS):
        for _ in range(span):
            optimizer.zero_grad()
            loss(network(x), y).backward()
            optimizer.step()
        yield now()


def scikit_learn(hidden: Hidden, replicas: int, span: int) -> Moments:
    """Its MLPClassifier, which fits in one go: a new one for each span."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)
    yield now()
    for _ in range(SPANS):
        gradient_descent = {"solver": "sgd", "alpha": 0, "momentum": 0, "learning_rate_init": 1.0}
        whole_table = {"batch_size": 4, "shuffle": False, "tol": 0, "n_iter_no_change": span}
        network = MLPClassifier(
            hidden, activation="logistic", max_iter=span, **gradient_descent, **whole_table
        )
        network.fit(X, Y[:, 0])
        yield now()


def lightning(hidden: Hidden, replicas: int, span: int) -> Moments:
    """As the tutorials have it: an epoch is a batch, with TensorBoard and checkpoints, no bar."""
    import lightning as L
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from perceptrons.lab.cli.settings import quiet
    from perceptrons.network import MLP

    moments: list[Moment] = []

    class Tutorial(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss = MLP(2, 1, hidden), torch.nn.BCEWithLogitsLoss()

        def on_train_epoch_start(self) -> None:
            if self.current_epoch % span == 0:
                moments.append(now())

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            loss = self.loss(self.net(x), y)
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    quiet()
    table = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    with TemporaryDirectory() as directory:
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=SPANS * span,
            default_root_dir=directory,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Tutorial(), DataLoader(table, batch_size=4))
    yield from [*moments, now()]


def this_project(hidden: Hidden, replicas: int, span: int, *more: str) -> Moments:
    """``perceptrons fit`` with all its logging; a span ends with a report."""
    from perceptrons.__main__ import main

    with TemporaryDirectory() as directory:
        words = ["perceptrons", "fit", f"--config={CONFIG}", *more]
        words += [f"--trainer.default_root_dir={directory}"]
        words += [f"--seeds={replicas}", f"--model.net.hidden={[*hidden]}"]
        words += [f"--data.passes={span}", f"--trainer.max_epochs={SPANS}"]
        sys.argv = [*words, "--trainer.callbacks+=clock.Clock"]
        with redirect_stdout(StringIO()):
            main()
    from clock import Clock  # only now: Lightning would have loaded torch before it is set up

    yield from Clock.moments


def compiled(hidden: Hidden, replicas: int, span: int) -> Moments:
    """The same with several updates in one compiled function."""
    return this_project(hidden, replicas, span, "--compile=true")


def jax(hidden: Hidden, replicas: int, span: int) -> Moments:
    """Jit, scan over updates, and vmap over replicas, which are the last dimension."""
    import jax as j
    import jax.numpy as jnp

    draw = np.random.default_rng(0).uniform
    sizes = [*pairwise((2, *hidden, 1))]
    weights = [
        tuple(
            jnp.asarray(draw(-0.5, 0.5, (*shape, replicas)), jnp.float32)
            for shape in (pair, pair[1:])
        )
        for pair in sizes
    ]

    def loss(weights: Any) -> Any:
        *layers, (last, bias) = weights
        a = X
        for weight, b in layers:
            a = j.nn.sigmoid(a @ weight + b)
        z = a @ last + bias
        return jnp.mean(jnp.maximum(z, 0) - z * Y + jnp.log1p(jnp.exp(-jnp.abs(z))))

    def update(weights: Any, _: None) -> Any:
        gradients = j.vmap(j.grad(loss), in_axes=-1, out_axes=-1)(weights)
        return j.tree.map(lambda weight, gradient: weight - gradient, weights, gradients), None

    many = j.jit(lambda weights: j.lax.scan(update, weights, length=span)[0], donate_argnums=0)
    yield now()
    for _ in range(SPANS):
        weights = j.block_until_ready(many(weights))
        yield now()


class Way(NamedTuple):
    """A way to train.

    Attributes:
        train: Yields the times.
        fixed: Guess of the seconds that an update takes at least.
        each: Guess of the seconds for each weight of each network.
        least: Updates in a span at least.
    """

    train: Callable[[Hidden, int, int], Moments]
    fixed: float
    each: float = 0.0
    least: int = 20


WAYS = {
    "PyTorch loop": Way(hand_written, 2e-4),
    "scikit-learn": Way(scikit_learn, 2e-4),
    "Lightning": Way(lightning, 5e-3),
    "eager": Way(this_project, 4e-4, 9e-9),
    "compiled": Way(compiled, 3e-5, 2e-9, 500),  # a report costs as much as some 40 updates
    "JAX": Way(jax, 2e-6, 6e-9),
}


def span_of(way: Way, hidden: Hidden, replicas: int) -> int:
    """Updates that take about ``SECONDS``: a one, two or five with zeros after it."""
    weights = sum((i + 1) * o for i, o in pairwise((2, *hidden, 1)))
    wanted = SECONDS / (way.fixed + way.each * weights * replicas)
    rounded = [digit * int(10**zeros) for zeros in range(1, 6) for digit in (1, 2, 5)]
    return max(count for count in rounded if count <= max(wanted, way.least))


def measure(way: Way, hidden: Hidden, replicas: int) -> dict[str, Any]:
    span = span_of(way, hidden, replicas)
    start = now()
    reset_peak()
    moments = [*way.train(hidden, replicas, span)]
    spans = [(b.wall - a.wall, b.cpu - a.cpu) for a, b in pairwise(moments)]
    wall, cpu = (min(each) / span / replicas * 1e9 for each in zip(*spans[1:], strict=True))
    return {
        "replicas": replicas,
        "updates": SPANS * span,
        "wall_ns": wall,
        "cpu_ns": cpu,
        "total_seconds": now().wall - start.wall,
        "peak_bytes": peak(),
    }


def reset_peak() -> None:
    """Forget how much memory there was at most, where Linux lets one."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int | None:
    """Bytes of memory that the process had at most."""
    told = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", told.read_text()) if told.exists() else None
    return 1024 * int(found[1]) if found else None


def main(name: str, hidden: str, threads: str, *sizes: str) -> None:
    sys.argv[1:] = []
    for replicas in map(int, sizes):
        print(json.dumps(measure(WAYS[name], tuple(json.loads(hidden)), replicas)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
