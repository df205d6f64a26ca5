"""The perceptron, and what has grown from it, on Lightning.

The subject is in the files here; ``lab`` is what works for any network.
"""

from importlib import import_module
from typing import Any

PLACES = {
    "MLP": "network",
    "Perceptron": "network",
    "Gates": "data",
    "Blobs": "data",
    "Classifier": "classifier",
    "Regressor": "regressor",
    "load_run": "lab.cli.load",
    "main": "__main__",
}
__all__ = ["MLP", "Blobs", "Classifier", "Gates", "Perceptron", "Regressor", "load_run", "main"]


def __getattr__(name: str) -> Any:
    # only then: Lightning takes seconds to be imported, and the list of runs does not need it
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{PLACES[name]}", __name__), name)
