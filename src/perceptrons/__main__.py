"""``python -m perceptrons`` and the command ``perceptrons``."""

import os
import signal
import sys
from importlib.metadata import version

from perceptrons import commands


def main() -> None:
    """Run the command line; imports that it does not need are left out."""
    for number in (signal.SIGINT, signal.SIGTERM):  # until the training has its own way to stop
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        run()
    except BrokenPipeError:  # who reads this has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def run() -> None:
    try:
        if sys.argv[1:] == ["--version"]:
            print(f"perceptrons {version('perceptrons')}")
        elif not commands.run(sys.argv[1:]):
            from perceptrons import cli

            cli.main()
    finally:
        sys.stdout.flush()


if __name__ == "__main__":
    main()
