"""The house: what the subject may know, which way rooms import, and that the guards can fail."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = next(path.parent for path in ROOT.glob("src/*/__init__.py"))
ROOMS = ["data", "training", "studies", "runs", "figures", "cli", "sweeps"]
LAB = sorted((PACKAGE / "lab").rglob("*.py"))
SUBJECT = sorted(PACKAGE.glob("*.py"))
# words of the lab's, which the subject has nothing to do with
FOREIGN = r"replica|member|\bgrid|compil|\brank|memory|run director|\bfigure"


def imported(source: str) -> Iterator[tuple[int, str]]:
    """What Python source imports: how many dots stand before it, and its name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)


def upwards(room: str, source: str) -> list[str]:
    """Rooms that a file of a room imports although they come after it."""
    later = ROOMS[ROOMS.index(room) + 1 :]
    return [
        name for level, name in imported(source) if level >= 2 and name.partition(".")[0] in later
    ]


@pytest.mark.parametrize("path", LAB, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_lab_imports_one_way_and_never_the_subject(path: Path) -> None:
    source, parts = path.read_text(), path.relative_to(PACKAGE / "lab").parts
    assert not [name for level, name in imported(source) if not level and name == PACKAGE.name]
    assert not re.search(rf"^\s*(from|import) {PACKAGE.name}\b", source, re.MULTILINE)
    # more dots than a file has folders above it in the lab lead out of it
    assert all(level <= len(parts) for level, _ in imported(source))
    if len(parts) > 1:
        assert parts[0] in ROOMS
        assert not upwards(parts[0], source)


def test_the_lab_says_the_name_of_the_package_it_is_in() -> None:
    for path in LAB:
        every = [*ast.walk(ast.parse(path.read_text()))]
        docs = [node.value for node in every if isinstance(node, ast.Expr)]
        texts = [node for node in every if isinstance(node, ast.Constant) and node not in docs]
        fixed = [text.value for text in texts if f"{PACKAGE.name} " in str(text.value)]
        assert path.name == "main.py" or fixed == []  # whose texts get the name when shown


def test_the_guard_of_the_rooms_sees_an_import_upwards() -> None:
    assert upwards("data", "from ..cli.main import main") == ["cli.main"]
    assert not upwards("cli", "from ..data.loader import Rows")


@pytest.mark.parametrize("path", SUBJECT, ids=lambda path: path.name)
def test_the_subject_imports_of_the_lab_its_data_and_the_command_line(path: Path) -> None:
    rooms = {name for level, name in imported(path.read_text()) if level and "lab." in name}
    allowed = {"data.py": "lab.data.", "__main__.py": "lab.cli."}
    assert all(name.startswith(allowed.get(path.name, "nothing")) for name in rooms)


def test_the_subject_knows_nothing_of_the_labs_matters() -> None:
    for path in SUBJECT:
        assert not re.search(FOREIGN, path.read_text(), re.IGNORECASE), path.name


def test_the_networks_and_their_gradients_do_without_lightning() -> None:
    names = "{name.partition('.')[0] for name in sys.modules}"
    statement = f"import sys, {PACKAGE.name}.backprop; print('lightning' in {names})"
    done = subprocess.run(
        [sys.executable, "-c", statement], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_files_and_functions_are_small() -> None:
    for path in [*LAB, *SUBJECT]:
        source = path.read_text()
        assert source.count("\n") <= 350, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 42, f"{path}: {node.name}"
    assert sum(path.read_text().count("\n") for path in SUBJECT) <= 700
    for room in ROOMS:
        assert len([*(PACKAGE / "lab" / room).glob("*.py")]) <= 10, room  # with __init__.py
