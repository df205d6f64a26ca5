"""docs/your_own.md, held to its word: its files made in a copy of the package, its commands run."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import ROOT
from test_fused import scalars

PAGE = (ROOT / "docs" / "your_own.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
COMMANDS = [
    shlex.split(line)
    for language, block in BLOCKS
    if language == "sh"
    for line in block.splitlines()
]
# runs each line of its last argument, in a process whose perceptrons is the copy
RUN = """
import json, sys
from perceptrons.__main__ import main
for words in json.loads(sys.stdin.read()):
    sys.argv = words
    print("$", *words, flush=True)
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


class Followed(NamedTuple):
    """The page, followed in a directory of its own.

    Attributes:
        directory: The directory.
        said: What each command printed, by its first words.
    """

    directory: Path
    said: dict[str, str]

    def metrics(self, name: str) -> dict[str, float]:
        run = self.directory / "lightning_logs" / name / "version_0"
        found: dict[str, float] = json.loads((run / "metrics.json").read_text())
        return found


def environment(directory: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(directory / "src"), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    directory = tmp_path_factory.mktemp("your_own")
    package = Path("src", "perceptrons")
    shutil.copytree(ROOT / package, directory / package)
    shutil.copytree(ROOT / "configs", directory / "configs")
    for language, block in BLOCKS:
        named = r"\A# (\S+\.py)$" if language == "python" else r"--config (\S+)"
        if language != "sh" and (found := re.search(named, block, re.M)):
            with (directory / found[1]).open("a") as file:
                file.write(block)
    write_tables(directory)
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(COMMANDS),
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parts = [part.partition("\n") for part in done.stdout.split("$ ")[1:]]
    return Followed(directory, {words: said for words, _, said in parts})


def write_tables(directory: Path) -> None:
    """A table whose class hangs on a number and on a text, and rows without a class."""
    draw = np.random.default_rng(0)
    size, colour = draw.normal(5, 1, 300).round(2), draw.choice(["red", "blue"], 300)
    kind = np.where((size > 5) == (colour == "red"), "apple", "plum")
    cells = np.stack([size.astype(str), colour, kind], 1).tolist()
    rows = [["size", "colour", "kind"], *cells]
    for name, table in (("mine", rows), ("new", [row[1::-1] for row in rows[:4]])):
        with (directory / f"{name}.csv").open("w") as file:
            csv.writer(file).writerows(table)


def test_every_command_is_one_of_the_programs(followed: Followed) -> None:
    assert {words[0] for words in COMMANDS} == {"perceptrons"}
    assert list(followed.said) == [" ".join(words) for words in COMMANDS]


def test_a_csv_is_trained_on_tested_and_predicted_in_three_commands(followed: Followed) -> None:
    first = [words for words in COMMANDS if "mine" in words]
    assert [words[1] for words in first] == ["fit", "test", "predict"]
    tested = followed.said[" ".join(first[1])]
    found = re.search(r"accuracy\D+([\d.]+)", tested)
    assert found
    assert float(found[1]) > 0.9
    file = followed.directory / "lightning_logs" / "mine" / "version_0" / "predictions.csv"
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [list(row)[:2] for row in rows] == [["size", "colour"]] * 3
    assert {row["class"] for row in rows} <= {"apple", "plum"}


def test_a_network_a_loss_and_a_callback_train_as_the_config_says(followed: Followed) -> None:
    said = re.search(r"configs/pulses.yaml +-> accuracy ([\d.]+)", PAGE)
    assert said
    assert followed.metrics("pulses")["train/accuracy"] == float(said[1])
    distances = scalars(followed.directory / "lightning_logs" / "pulses" / "version_0")["distance"]
    assert [step for step, _ in distances] == [0, 120, 240, 360, 480, 600]
    assert distances[0][1] == 0
    assert distances[-1][1] > 0


def test_data_trains_without_the_rest_and_the_network_is_worth_it(followed: Followed) -> None:
    plain, own = (followed.metrics(name)["val/accuracy"] for name in ("plain", "pulses"))
    assert 0.6 < plain < own


def test_the_help_is_the_docstring(followed: Followed) -> None:
    said = followed.said["perceptrons fit --data.help Pulses"]
    assert "A pulse somewhere in noise" in said
    assert "--data.length" in said


def test_what_is_exported_is_used_as_shown(followed: Followed) -> None:
    assert (followed.directory / "pulses.pt2").is_file()
    done = subprocess.run(
        [sys.executable, "use.py"],
        cwd=followed.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith('["size", "colour=red"] ["apple", "plum"] [[')


def test_every_link_and_file_named_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    assert all((ROOT / "docs" / link).exists() for link in links)
    named = re.findall(r"`(tests/\w+\.py|configs/\w+\.yaml)`", PAGE)
    assert named
    assert all((ROOT / path).exists() for path in named)
