"""What the template's README alone says: how much there is to read, and recipes that train."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from test_readme import PACKAGE, README, blocks

# each class of the recipes alone, with the project's own for the rest
ALONE = {
    "data": "--data Quadrants --model.net MLP --model.net.hidden [8] --model.net.activation tanh",
    "network": "--data Gates --model.net Normed",
    "loss": "--data Gates --data.gate and --model.net Perceptron --model.loss Hinge",
}


def test_the_size_of_the_package_is_right_to_a_tenth() -> None:
    found = re.search(r"about ([\d,]+) lines", README)
    assert found
    lines = sum(len(path.read_text().splitlines()) for path in PACKAGE.glob("*.py"))
    assert int(found[1].replace(",", "")) == pytest.approx(lines, rel=0.1)


class Recipe(NamedTuple):
    """What the recipes made, in a repository of their own.

    Attributes:
        directory: The repository.
        expected: The accuracy that the config shown says to expect.
    """

    directory: Path
    expected: float

    def accuracy(self, name: str) -> float:
        run = self.directory / "lightning_logs" / name / "version_0"
        return float(json.loads((run / "metrics.json").read_text())["train/accuracy"])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    directory = tmp_path_factory.mktemp("recipes")
    shutil.copytree(PACKAGE, directory / "src" / "perceptrons")
    (directory / "configs").mkdir()
    (program,), (settings,) = blocks("python"), blocks("yaml")
    file = re.match(r"# (src/perceptrons/\w+\.py)$", program, re.M)
    opening = re.search(r"perceptrons (fit --config (\S+)) +-> accuracy ([\d.]+)", settings)
    assert file
    assert opening
    (directory / file[1]).write_text(program)
    (directory / opening[2]).write_text(settings)
    alone = [f"fit {flags} --data.passes 100 --name {name}" for name, flags in ALONE.items()]
    again = "lightning_logs/quadrants/version_0/checkpoints/best.ckpt"
    test = f"test --config configs/quadrants.yaml --ckpt_path {again}"
    # in a process of its own, whose perceptrons is the copy
    run = "import sys; from perceptrons.cli import main; lines = sys.argv.pop().split('\\n')\n"
    run += "for line in lines: main(line.split())"
    subprocess.run(
        [sys.executable, "-c", run, "\n".join([opening[1], *alone, test])],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(directory / "src"), "OMP_NUM_THREADS": "1"},
        check=True,
    )
    return Recipe(directory, float(opening[3]))


def test_the_recipes_train_to_the_accuracy_that_is_shown(recipe: Recipe) -> None:
    assert recipe.accuracy("quadrants") == recipe.expected


@pytest.mark.parametrize(("name", "at_least"), [("data", 0.8), ("network", 1.0), ("loss", 1.0)])
def test_each_recipe_trains_without_the_others(recipe: Recipe, name: str, at_least: float) -> None:
    assert recipe.accuracy(name) >= at_least
