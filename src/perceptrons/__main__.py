"""``python -m perceptrons`` and the command ``perceptrons``."""

import signal
import sys


def main() -> None:
    """Run the command line; imports that it does not need are left out."""
    for number in (signal.SIGINT, signal.SIGTERM):  # until the training has its own way to stop
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    if sys.argv[1:2] == ["runs"]:
        from perceptrons import listing

        return listing.main()
    from perceptrons import cli

    return cli.main()


if __name__ == "__main__":
    main()
