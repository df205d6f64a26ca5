"""A million 2-2-1 networks trained at once for 10,000 updates, on the CPU and on a GPU.

Time and memory of a whole ``perceptrons fit`` with ``--compile true`` and all its
logging, on each device that there is; the results are kept in ``benchmarks/results/``, by the
device's name. ``python benchmarks/devices.py 1000 100`` has a thousand networks, and a hundred
updates.
"""

import json
import re
import sys
from typing import Any

import torch
from contestants import SPANS, peak, reset_peak, this_project
from replicas import RESULTS, machine

REPLICAS, UPDATES = 1_000_000, 10_000


def measure(accelerator: str, replicas: int, updates: int) -> dict[str, Any]:
    """Seconds of the updates, and bytes at most of the device's memory."""
    on_gpu = accelerator == "gpu"
    reset_peak()
    flags = ("--compile=true", f"--trainer.accelerator={accelerator}")
    moments = [*this_project((2,), replicas, updates // SPANS, *flags)]
    seconds = moments[-1].wall - moments[0].wall
    here = machine()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else here["cpu"],
        "replicas": replicas,
        "updates": SPANS * (updates // SPANS),
        "seconds": seconds,
        "ns_per_model_and_update": seconds / replicas / updates * 1e9,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else peak(),
        "machine": here,
    }


def main(replicas: int = REPLICAS, updates: int = UPDATES) -> None:
    RESULTS.mkdir(exist_ok=True)
    for accelerator in ["cpu", *(["gpu"] if torch.cuda.is_available() else [])]:
        found = measure(accelerator, replicas, updates)
        print({name: value for name, value in found.items() if name != "machine"})
        name = re.sub("[^A-Za-z0-9]+", "_", found["device"]).strip("_")
        (RESULTS / f"{name}_devices.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
