"""CONTRIBUTING.md, held to its word: what it names exists, and what it says to type works."""

import re
import subprocess

import pytest
from conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
SPANS = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S))
TYPED = [
    *re.findall(r"^make .*", PAGE, re.M),
    *(span for span in SPANS if span.startswith("make ")),
]
PLACES = ("", "src/perceptrons", "tests")


def test_it_is_one_page() -> None:
    assert len(PAGE.splitlines()) <= 60


@pytest.mark.parametrize("line", [line.partition("#")[0].strip() for line in TYPED])
def test_make_knows_what_is_to_be_typed(line: str) -> None:
    subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, capture_output=True, check=True)


def test_make_does_not_know_just_anything() -> None:
    ended = subprocess.run(["make", "canaries", "--dry-run"], cwd=ROOT, capture_output=True)
    assert ended.returncode == 2


def test_every_file_that_it_names_exists() -> None:
    files = [span for span in SPANS if re.fullmatch(r"[\w./-]+(/|\.(py|md|toml|txt))", span)]
    files += re.findall(r"\]\(([^):]+)\)", PAGE)
    assert len(files) >= 8
    assert [file for file in files if not any((ROOT / at / file).exists() for at in PLACES)] == []


def test_every_test_that_it_names_exists() -> None:
    named = [span for span in SPANS if span.startswith("test_")]
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_the_canary_of_ci_is_that_of_make(which: str) -> None:
    workflow = (ROOT / ".github" / "workflows" / "canary.yml").read_text()
    assert f"which: {which}" in workflow
    assert "run: make canary WHICH=${{ matrix.which }}" in workflow
    line = ["make", "--dry-run", "canary", f"WHICH={which}", "HOLD=torch==2.13.0"]
    ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    resolution = {"oldest": "lowest-direct", "newest": "highest"}[which]
    assert re.findall(r"--resolution (\S+)", ended.stdout) == [resolution]
    assert "torch==2.13.0" in ended.stdout
