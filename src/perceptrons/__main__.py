"""``python -m perceptrons`` and the command ``perceptrons``: the lab's, with this Classifier."""

from perceptrons.lab.cli.main import main as run


def main() -> None:
    """Run the command line."""
    run("classifier.Classifier")


if __name__ == "__main__":
    main()
