"""The README, held to its word: its commands run, its paths exist, its recipes train."""

import ast
import json
import math
import os
import re
import shlex
import signal
import subprocess
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from conftest import ROOT
from PIL import Image
from test_your_own import write_tables

from perceptrons.__main__ import main

README = (ROOT / "README.md").read_text()
PACKAGE = ROOT / "src" / "perceptrons"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
# what keeps a command of the README's short
SHORTER = ["--data.passes=10", "--trainer.max_epochs=2"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def commands(block: str) -> list[list[str]]:
    """The words of each command, without what is said of it after a #."""
    return [shlex.split(line, comments=True) for line in block.splitlines()]


PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S)
SPANS = re.findall(r"`([^`]+)`", PROSE)
LINES = [words for block in blocks("sh") for words in commands(block)]
# what is written to a file is run without that
TYPED = [span.partition(" >> ")[0] for span in SPANS if span.startswith("perceptrons ")]
COMMANDS = LINES + [line.split() for line in TYPED]
LINKS = re.findall(r"\]\(([^)]+)\)", PROSE)
PAGES = {page.stem: page.read_text() for page in (ROOT / "docs").glob("*.md")}
MAP = re.findall(r"\]\(\.\./src/perceptrons/(\w+)\.py\)", PAGES["code"])


class Tour(NamedTuple):
    """The README's commands, run in order in one directory.

    Attributes:
        directory: Where they ran.
        said: What each printed, by its words.
        statuses: How each ended.
    """

    directory: Path
    said: dict[str, str]
    statuses: dict[str, int]

    @property
    def run(self) -> Path:
        """What ``make train`` made."""
        return self.directory / "lightning_logs" / "xor" / "version_0"


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Tour:
    torch.set_num_threads(1)
    # the commands take these over
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    tour = Tour(tmp_path_factory.mktemp("tour"), {}, {})
    (tour.directory / "configs").symlink_to(ROOT / "configs")
    write_tables(tour.directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tour.directory)
        follow(tour, ["fit", "--config", "configs/xor.yaml"], patch, shorten=False)
        for program, *words in COMMANDS:
            if program == "perceptrons" and " ".join(words) not in tour.said:
                shown = any("help" in word or word == "--resume" for word in words)
                follow(tour, words, patch, shorten=words[0] == "fit" and not shown)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return tour


def follow(tour: Tour, words: list[str], patch: pytest.MonkeyPatch, shorten: bool) -> None:
    """Run a command as the shell does, in-process."""
    printed, line = StringIO(), " ".join(words)
    patch.setattr("sys.argv", ["perceptrons", *words, *(SHORTER if shorten else [])])
    tour.statuses[line] = 0
    with redirect_stdout(printed):
        try:
            main()
        except SystemExit as ended:
            tour.statuses[line] = int(ended.code or 0)
    tour.said[line] = printed.getvalue()


def test_every_line_to_type_is_a_verb_of_make_or_a_command() -> None:
    assert {words[0] for words in LINES} == {"make", "perceptrons"}


def test_every_verb_of_make_is_a_target_of_the_makefile() -> None:
    files = [ROOT / "Makefile", *ROOT.glob("*/*.mk")]
    rules = "\n".join(path.read_text() for path in files)
    targets = re.findall(r"^([a-z]+):.*##", rules, re.M)
    named = {words[1] for words in COMMANDS if words[0] == "make"}
    named |= set(re.findall(r"^make ([a-z]+)", "\n".join(SPANS), re.M))
    assert {"train", "test"} <= named
    assert named <= set(targets)


def test_make_train_is_the_command_that_the_readme_says() -> None:
    assert "`make train` is `perceptrons fit --config configs/xor.yaml`" in README
    dry, bare = ["make", "--dry-run", "train"], {"PATH": os.environ["PATH"]}
    made = subprocess.run(dry, cwd=ROOT, env=bare, capture_output=True, text=True, check=True)
    last = made.stdout.strip().splitlines()[-1]
    assert last.strip() == ".venv/bin/perceptrons fit --config configs/xor.yaml"


def test_every_command_succeeds(tour: Tour) -> None:
    assert len(tour.statuses) >= 4
    assert set(tour.statuses.values()) == {0}, tour.statuses


def test_a_run_prints_what_the_readme_shows(tour: Tour) -> None:
    (shown,) = blocks("text")
    printed = iter(tour.said["fit --config configs/xor.yaml"].splitlines())
    for line in shown.splitlines():
        if line != "...":
            assert any(alike(line, other) for other in printed), line


def alike(shown: str, printed: str) -> bool:
    """Whether two lines have the same words, numbers but for rounding."""
    pairs = list(zip(shown.split(), printed.split(), strict=False))
    same_length = len(shown.split()) == len(printed.split())
    return same_length and all(one == other or close(one, other) for one, other in pairs)


def close(one: str, other: str) -> bool:
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-3)
    except ValueError:
        return False


def test_the_comparison_of_lines_tells_another_number_and_another_word() -> None:
    assert alike("Loss: 0.001235 Accuracy: 100.00%", "Loss:  0.0012350001 Accuracy: 100.00%")
    assert not alike("Loss: 0.001235", "Loss: 0.00124")
    assert not alike("Loss: 0.001235", "Lost: 0.001235")
    assert not alike("Loss: 0.001235", "Loss: 0.001235 Accuracy: 100.00%")


def test_points_of_the_users_own_are_predicted_one_a_row(tour: Tour) -> None:
    (line,) = (line for line in tour.said if "--data.points [[" in line)
    table = re.findall(r"^ *(-?\d+) +(-?\d+) +\S+ +\S+ +[01]$", tour.said[line], re.M)
    assert table == [("1", "-1"), ("-1", "1")]


def test_every_path_exists_in_the_repository_or_in_a_run(tour: Tour) -> None:
    words = [word for text in (*SPANS, *map(" ".join, COMMANDS)) for word in text.split()]
    paths = [word for word in words if re.fullmatch(r"[\w./<>*-]*(/|\.[a-z]+)[\w./<>*-]*", word)]
    paths += [link for link in LINKS if "://" not in link]
    paths = [path for path in paths if not named_otherwise(path, tour)]
    assert len(paths) >= 10
    assert [path for path in paths if not exists(path, tour)] == []


def named_otherwise(word: str, tour: Tour) -> bool:
    """Whether a word with a / or a . is a metric, or lies in what make makes."""
    metrics = json.loads((tour.run / "metrics.json").read_text())
    flag = word.startswith("--")
    return flag or word in metrics or word.startswith(".venv/")


def exists(path: str, tour: Tour) -> bool:
    pattern = re.sub(r"<\w+>", "*", path)
    runs = tour.directory.glob("lightning_logs/*/version_*")
    return any(any(root.glob(pattern)) for root in (ROOT, PACKAGE, tour.directory, *runs))


def test_a_path_that_is_nowhere_is_found_out(tour: Tour) -> None:
    assert not exists("configs/nowhere.yaml", tour)
    assert not exists("lightning_logs/<name>/run_<n>/", tour)


def test_the_map_has_every_file_of_the_package_once() -> None:
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert sorted(MAP) == sorted(files)
    assert "`__main__.py`" in PAGES["code"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_the_docs_leads_somewhere(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGES[page]) if "://" not in link]
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.png")), ids=lambda at: at.stem)
def test_a_picture_is_small_opaque_and_shown_with_its_description(picture: Path) -> None:
    assert picture.stat().st_size < 150_000
    with Image.open(picture) as opened:
        assert "transparency" not in opened.info
        assert opened.mode in ("P", "RGB")  # dark pages shine through no other
    place = rf"(docs/)?images/{picture.name}"
    described = rf'!\[[^\]]{{20,}}\]\({place}\)|<img src="{place}" width="\d+" alt="[^"]{{20,}}"'
    if picture.stem.endswith("_dark"):
        described = rf'<source media="\(prefers-color-scheme: dark\)" srcset="{place}">'
    assert any(re.search(described, page) for page in (README, *PAGES.values()))


def test_the_map_has_each_file_after_those_that_it_imports() -> None:
    for number, name in enumerate(MAP):
        assert imported(PACKAGE / f"{name}.py") & set(MAP) <= set(MAP[:number]), name


def imported(path: Path) -> set[str]:
    """Names of the files of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        package, _, name = str(getattr(node, "module", "")).partition(".")
        if isinstance(node, ast.ImportFrom) and package == "perceptrons":
            found |= {name} if name else {alias.name for alias in node.names}
    return found


def test_the_readme_has_at_most_130_lines() -> None:
    assert len(README.splitlines()) <= 130


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_short_and_opens_with_its_command_and_the_result(config: Path) -> None:
    lines = config.read_text().splitlines()
    assert len(lines) <= 25
    command = rf"#\s+perceptrons fit --config configs/{config.name}\s+-> \S"
    assert all(line.startswith("#") for line in lines[:2])
    assert re.match(command, lines[1])
