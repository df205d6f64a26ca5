"""``python -m perceptrons`` and the command ``perceptrons``."""

import os
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from perceptrons import commands
from perceptrons.mistakes import fail

VERSIONS = ("perceptrons", "lightning", "torch")


def main() -> None:
    """Run the command line; imports that it does not need are left out."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # where the shell has closed it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for number in (signal.SIGINT, signal.SIGTERM):  # until the training has its own way to stop
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        run()
    except BrokenPipeError:  # who reads this has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def run() -> None:
    try:
        version("perceptrons")
    except PackageNotFoundError:
        fail("the package is here, but is not installed; make install does it")
    try:
        if sys.argv[1:] == ["--version"]:
            own, *below = (f"{name} {version(name)}" for name in VERSIONS)
            print(f"{own} ({', '.join(below)}, Python {python_version()})")
        elif not commands.run(sys.argv[1:]):
            # or threads that wait keep the processor that other work needs, and with other work an
            # update of thousands of replicas takes up to ten times as long
            os.environ.setdefault("OMP_WAIT_POLICY", "passive")
            leave_out_matplotlib()
            from perceptrons import cli

            cli.main()
    finally:
        sys.stdout.flush()


def leave_out_matplotlib() -> None:
    """Have torchmetrics do without it, for plots that nobody asks it for: that takes 0.7 s."""
    from lightning_utilities.core.imports import RequirementCache

    def check(self: Any) -> None:
        found(self)
        if self.requirement == "matplotlib":
            self.available, self.message = False, "matplotlib is left out"

    found = RequirementCache._check_requirement
    RequirementCache._check_requirement = check  # type: ignore[method-assign]
    try:
        import torchmetrics  # noqa: F401
    finally:
        RequirementCache._check_requirement = found  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
