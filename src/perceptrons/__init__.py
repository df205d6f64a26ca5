"""The perceptron, and what has grown from it, on Lightning; ``load_run`` is for notebooks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perceptrons.notebook import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    # only then: Lightning takes seconds to be imported, and the list of runs does not need it
    if name == "load_run":
        from perceptrons.notebook import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
