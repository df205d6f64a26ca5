"""Text: tables that fit the terminal, and printing that never fails."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from perceptrons.lab.runs import text
from perceptrons.lab.runs.files import read_json, write_csv
from perceptrons.lab.runs.text import Columns, aligned, say

SOURCE = str(Path(text.__file__).parents[3])
PACKAGE = text.__name__.partition(".")[0]
PRINT = f"""
import sys
sys.path.insert(0, {SOURCE!r})
from {PACKAGE}.lab.runs.text import say
say("Übung\\x1b[31m\\nmore"); say("again"); sys.stderr.write("went on")
"""


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    table = aligned({"name": ["a", "bcd"], "loss": [0.25, None], "n": [1, 200]})
    assert table.splitlines() == ["name  loss    n", "a     0.25    1", "bcd      -  200"]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_columns_that_do_not_fit_are_left_out_and_counted(width: int) -> None:
    columns = {f"column{number}": [1.5] for number in range(20)}
    *lines, last = aligned(columns, width).splitlines()
    shown = len(lines[0].split())
    assert max(map(len, lines)) <= width
    assert last == f"... and {20 - shown} more columns"
    assert shown == (width + 2) // 9


def test_columns_that_are_to_be_kept_stay() -> None:
    columns: Columns = {f"x{number}": [0.123456] for number in range(20)}
    columns["class"] = ["cat"]
    names, row, _ = aligned(columns, keep=["class"]).splitlines()
    assert names.split()[-1] == "class"
    assert len(row) <= 80


def test_rows_beyond_those_shown_are_counted() -> None:
    assert aligned({"x": [1, 2, 3]}, rows=2).splitlines()[-1] == "... and 1 more row"
    assert aligned({"x": [1, 2]}, of=7).splitlines()[-1] == "... and 5 more rows"


def test_control_characters_are_written_out_and_long_cells_shortened() -> None:
    table = aligned({"a\nb": ["\x1b[2J\u202e", "x" * 100]})
    assert table.splitlines()[0].split() == ["a\\nb"]
    assert "\\x1b[2J\\u202e" in table
    assert table.isascii()
    assert max(map(len, table.splitlines())) <= 32
    assert "x" * 100 in aligned({"a": ["x" * 100]}, width=None)


def test_nothing_is_lost_where_nothing_can_be_printed() -> None:
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-c", PRINT]
        ended = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "went on")


def test_an_ascii_terminal_shows_other_letters_by_their_numbers() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PRINT],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert ended.stdout == b"\\xdcbung\\x1b[31m\nmore\nagain\n"


def test_a_closed_output_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    say("nothing")


def test_cells_that_a_spreadsheet_would_compute_are_text(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", {"=name": ["=1+1", "@x", "-2.5", "a", -1.5]})
    rows = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["'=name", "'=1+1", "'@x", "-2.5", "a", "-1.5"]


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000])
def test_a_json_file_with_something_else_holds_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    assert read_json(tmp_path / "a.json") == {}
    assert read_json(tmp_path) == {}
