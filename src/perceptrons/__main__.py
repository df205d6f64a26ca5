"""``python -m perceptrons`` and the command ``perceptrons``."""

from perceptrons.cli import main

if __name__ == "__main__":
    main()
