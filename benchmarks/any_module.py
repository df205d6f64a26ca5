"""Members of a network that is not only linear layers, against JAX and the loop by hand.

The network is 2-8-1 with a LayerNorm and tanh, trained on XOR by full-batch gradient descent: one
by the loop that everyone starts with, and 1,024 to 65,536 members by JAX (jit, scan and vmap), by
``perceptrons fit --seeds``, and by that with ``--compile true``, with all of their logging. Each is
timed in a process of its own on one thread, by what the processor spent, in the best of some spans
of updates; what is compiled takes seconds before that, which are told apart.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

if __name__ == "__main__" and len(sys.argv) > 1:  # before any library counts the processors
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "any_module.json"
HIDDEN, RATE, SPANS = 8, 0.5, 4
SIZES = (1024, 8192, 65_536)
WAYS = {"loop": (1,), "JAX": SIZES, "eager": SIZES, "compiled": SIZES}
# updates in a span of one network or 8,192, and as many times more of fewer members
SPAN = {"loop": 5000, "JAX": 500, "eager": 150, "compiled": 400}
X, Y = [[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]]
# what is wanted of the times: at most so many times JAX's, and the loop's so many times ours
TO_JAX, TO_LOOP = 1.5, 100


def loop(members: int, span: int) -> Iterator[float]:
    import torch
    from normed import Normed

    net, x, y = Normed(), torch.tensor(X).float(), torch.tensor(Y).float()
    loss, optimizer = torch.nn.BCEWithLogitsLoss(), torch.optim.SGD(net.parameters(), lr=RATE)
    yield time.process_time()
    for _ in range(SPANS):
        for _ in range(span):
            optimizer.zero_grad()
            loss(net(x), y).backward()
            optimizer.step()
        yield time.process_time()


def jax(members: int, span: int) -> Iterator[float]:
    import jax as j
    import jax.numpy as jnp

    x, y = jnp.array(X, jnp.float32), jnp.array(Y, jnp.float32)
    keys = j.random.split(j.random.key(0), 4)
    shapes = {"w": (2, HIDDEN), "b": (HIDDEN,), "v": (HIDDEN, 1), "c": (1,)}
    each = zip(shapes.items(), keys, strict=True)
    weights = {n: j.random.uniform(k, (members, *s), minval=-0.7, maxval=0.7) for (n, s), k in each}
    weights |= {"scale": jnp.ones((members, HIDDEN)), "shift": jnp.zeros((members, HIDDEN))}

    def loss(p: Any) -> Any:
        h = x @ p["w"] + p["b"]
        h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)
        z = jnp.tanh(h * p["scale"] + p["shift"]) @ p["v"] + p["c"]
        return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))

    def update(weights: Any, _: None) -> Any:
        gradients = j.vmap(j.grad(loss))(weights)
        return j.tree.map(lambda w, g: w - RATE * g, weights, gradients), None

    many = j.jit(lambda weights: j.lax.scan(update, weights, length=span)[0], donate_argnums=0)
    yield time.process_time()
    for _ in range(SPANS):
        weights = j.block_until_ready(many(weights))
        yield time.process_time()


def study(members: int, span: int, *more: str) -> Iterator[float]:
    from perceptrons.__main__ import main

    sys.path.insert(0, str(Path(__file__).parent))
    with TemporaryDirectory() as directory:
        words = ["fit", f"--config={ROOT}/configs/xor.yaml", "--model.net=normed.Normed"]
        words += [f"--model.optimizer.lr={RATE}", f"--trainer.default_root_dir={directory}"]
        words += [f"--seeds={members}", f"--data.passes={span}", f"--trainer.max_epochs={SPANS}"]
        sys.argv = ["perceptrons", *words, "--trainer.callbacks+=peers.Clock", *more]
        with redirect_stdout(StringIO()):
            main()
    from peers import Clock

    yield from Clock.moments


def measure(way: str, members: int) -> dict[str, Any]:
    ways: dict[str, Any] = {"loop": loop, "JAX": jax, "eager": study}
    span = SPAN[way] * 8192 // members if members > 1 else SPAN[way]
    given = (members, span, "--compile=true") if way == "compiled" else (members, span)
    moments = [*ways.get(way, study)(*given)]
    spans = [b - a for a, b in pairwise(moments)]
    ns = min(spans[1:]) / span / members * 1e9
    return {"way": way, "members": members, "ns": ns, "seconds_first": spans[0]}


def main() -> None:
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for way, sizes in WAYS.items():
        for members in sizes:
            command = [sys.executable, __file__, way, str(members)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{way} {members}: skipped: {done.stderr.strip().splitlines()[-1]}")
                continue
            each = found[way, members] = json.loads(done.stdout.splitlines()[-1])
            for name, other in (("to_jax", ("JAX", members)), ("to_loop", ("loop", 1))):
                each[name] = each["ns"] / found[other]["ns"] if other in found else None
            print(each, flush=True)
    RESULTS.write_text(json.dumps([*found.values()], indent=1) + "\n")
    for members in WAYS["compiled"]:
        each = found[("compiled", members)]
        slow = (each["to_jax"] or 0) > TO_JAX or each["to_loop"] > 1 / TO_LOOP
        print(f"{members}: {'MISSED' if slow else 'holds'}")
    dearer = found["compiled", SIZES[-1]]["ns"] / found["compiled", SIZES[0]]["ns"]
    print(f"a member of {SIZES[-1]} takes {dearer:.2f} times one of {SIZES[0]}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
