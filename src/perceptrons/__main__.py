"""``python -m`` and the command of the package: the lab's command line, with this Classifier."""

from .lab.cli.main import main as run


def main(args: list[str] | None = None) -> None:
    """Run the words of a command, or else those of the command line."""
    run("classifier.Classifier", args)


if __name__ == "__main__":
    main()
