"""``python -m`` and the command of the package: the lab's command line, with this Classifier."""

from .lab.cli.main import main as run


def main() -> None:
    """Run the command line."""
    run("classifier.Classifier")


if __name__ == "__main__":
    main()
