"""Train what the README and the docs show, and draw their pictures anew."""

import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch

from perceptrons.cli import CLI
from perceptrons.plots import Array, Boundary, boundaries
from perceptrons.preflight import quiet

ROOT = Path(__file__).parent.parent
STORY = {"and": "AND, perceptron", "xor_perceptron": "XOR, perceptron", "xor": "XOR, MLP 2-2-1"}


def panel(config: str, title: str) -> Boundary:
    """Train a config with two inputs and two classes, and what it says over the plane."""
    with redirect_stdout(StringIO()):
        run = CLI(["fit", f"--config={ROOT / 'configs' / config}.yaml"])

    @torch.no_grad()
    def probability(points: Array) -> Array:
        given = torch.from_numpy(points).float()
        # in double precision: a logit of 1e-7 decides, but rounds to a probability of 1/2
        yes = run.model.predict_step((given,)).logits.double().sigmoid().numpy()
        return np.concatenate([1 - yes, yes], 1)

    x, y = run.datamodule.split["all"]
    accuracy = run.model.measured["train/accuracy"]
    title = f"{title}: {accuracy:.0%} right"
    return Boundary(title, x.numpy(), y[:, 0].int().numpy(), probability)


def main() -> None:
    quiet()
    sys.argv[1:] = []
    figure = boundaries([panel(config, title) for config, title in STORY.items()])
    figure.savefig(ROOT / "docs" / "images" / "story.png")


if __name__ == "__main__":
    main()
