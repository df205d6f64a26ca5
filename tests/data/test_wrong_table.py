"""Wrong tables and shapes: each costs one line that says what, exit status 2, and no run."""

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Command
from test_table import CONFIG, ship

from perceptrons.datafile import Table

TABLE = "fit --config ship.yaml"
MOONS = "fit --config configs/moons.yaml --data.passes 1"
COLUMNS = "choose one of age, fare, sex, deck, alone, saved"
ONCE = "must be columns other than the target, each once"
UNREAD = "cannot be read as a table"
SEEDS = "must be from 0 to 4294967295"


def wrong(*rows: tuple[Any, ...]) -> list[Any]:
    return [pytest.param(*row, id=repr(row[0])) for row in rows]


FLAGS = wrong(
    ("--data.path nix.csv", "data.path='nix.csv': no such file"),
    ("--data.path shp.csv", "data.path='shp.csv': no such file; did you mean ship.csv?"),
    ("--data.path .", "data.path='.': is a directory"),
    ("--data.path null", "data.path: missing (in ship.yaml)"),
    ("--data.target null", "data.target: missing (in ship.yaml)"),
    (
        "--data.target save",
        f"data.target='save': the file has no such column; {COLUMNS}; did you mean saved?",
    ),
    ("--data.target fare", "data.target='fare': holds fractions, such as 23.29, and no classes"),
    ("--data.features [age,saved]", f"data.features=['age', 'saved']: {ONCE}"),
    ("--data.features [age,age]", f"data.features=['age', 'age']: {ONCE}"),
    ("--data.features []", f"data.features=[]: {ONCE}"),
    (
        "--data.features [agee]",
        f"data.features='agee': the file has no such column; {COLUMNS}; did you mean age?",
    ),
    ("--data.exclude [age,fare,sex,deck,alone]", f"data.features=[]: {ONCE}"),
    (
        "--data.exclude [agee]",
        f"data.exclude='agee': the file has no such column; {COLUMNS}; did you mean age?",
    ),
    ("--data.features age", "data.features='age': expected list"),
    ("--data.val_fraction 1", "data.val_fraction=1.0: must be at least 0 and below 1"),
    ("--data.random_state -1", f"data.random_state=-1: {SEEDS}"),
    (
        "--data.test_fraction 0.01",
        "data.test_fraction=0.01: 1 of 120 rows for test, with 2 classes",
    ),
    ("--data.batch_size 121", "data.batch_size=121: there are 120 rows to train on"),
    ("--model.loss cross_entropy", "model.loss='cross_entropy': 2 classes take bce or mse"),
    ("--data.points nix.csv", "data.points='nix.csv': no such file"),
    ("--data.points other.csv", "data.points='other.csv': lacks the columns sex, deck, alone"),
    (
        "--data.points ship.yaml",
        f"data.points='ship.yaml': {UNREAD}: Expected 1 fields in line 4, saw 4",
    ),
    ("--data.points [[1]]", "data.points=[1.0]: has 1 inputs, the data has 5"),
    ("--data.points []", "data.points=[]: there must be at least 1, or null for the table's"),
    (
        "--data.points [[70,20.38,femal,C,true]]",
        "data.points: sex='femal' is not in the table trained on; choose one of female, male;"
        " did you mean female?",
    ),
    (
        "--data.points [[70,20.38,female,C,maybe]]",
        "data.points: alone='maybe' is not in the table trained on; choose one of False, True",
    ),
    ("--data.points [[old,20.38,female,C,true]]", "data.points='old': age is a finite number"),
    ("--data.points [[.nan,20.38,female,C,true]]", "data.points=nan: age is a finite number"),
    (
        "--data.pth ship.csv",
        "data.pth: no such argument; choose one of passes, batch_size, shuffle, points,"
        " val_fraction, test_fraction, random_state, path, target, features, exclude; did you mean"
        " data.path?",
    ),
)

ROWS = [f"{number},{'uv'[number % 2]}\n" for number in range(130)]
# what is in the file
CONTENTS = wrong(
    ("", f"path='mine.csv': {UNREAD}: No columns to parse from file"),
    ("a,saved\n", "path='mine.csv': holds no rows"),
    (
        "a,b,saved\n1,,u\n2,,v\n,3,u\n3,?,\n",
        "path='mine.csv': values are missing or infinite in a (1 of 4 rows), b (3 of 4 rows), saved"
        " (1 of 4 rows); fill them in, or leave the columns out by exclude",
    ),
    (
        "a,saved\n1,u\ninf,v\n3,u\n4,v\n",
        "path='mine.csv': values are missing or infinite in a (1 of 4 rows); fill them in, or leave"
        " the columns out by exclude",
    ),
    ("a,saved\n1,u\n2,v,3\n", f"path='mine.csv': {UNREAD}: Expected 2 fields in line 3, saw 3"),
    (
        "a,saved\n1,u,2\n2,v,3\n",
        re.compile(f"path='mine.csv': {UNREAD}: Length of header .* does not match .* data.*"),
    ),
    ('a,saved\n1,"u\n', f"path='mine.csv': {UNREAD}: EOF inside string starting at row 1"),
    ("a,a,saved\n1,2,u\n", f"path='mine.csv': {UNREAD}: several columns are called a"),
    (
        "a,b,saved\n1e300,1,u\n-1e300,2,v\n3e299,3,u\n1e300,4,v\n",
        "features: too large or too small to compute with: a; bring them nearer to 1",
    ),
    (
        "a,b,c,saved\n1,1,x,u\n1,2,x,v\n1,3,x,u\n1,4,x,v\n",
        "features: the same in all 4 rows to train on: a, c; leave what is constant out by exclude",
    ),
    (
        "a,saved\nn/k,u\n" + "".join(ROWS[:9]),
        "features: a holds numbers, but also 'n/k'",
    ),
    (
        "a,b,saved\n" + "".join(f"id{row}" for row in ROWS).replace(",", ",1,"),
        "features: more than 100 different texts in a (130); leave them out by exclude",
    ),
    (
        "5.1,3.5,setosa\n4.9,3.0,setosa\n",
        "target='saved': the file has no such column; choose one of 5.1, 3.5, setosa",
    ),
    ("a,saved\n1,u\n2,u\n", "target='saved': has one class only, u"),
    ("saved\nu\nv\n", f"features=[]: {ONCE}"),
    (
        "a,saved\n" + "".join(f"{number},{number}\n" for number in range(130)),
        "target='saved': 130 different values in 130 rows are no classes",
    ),
    (
        "a,saved\n1,5\n2,6\n3,7\n4,8\n",
        "target='saved': 4 different values in 4 rows are no classes",
    ),
    (b"a,saved\n1,\xe9\n2,u\n", "path='mine.csv': is not text in UTF-8"),
)

SHAPES = wrong(
    ("--data.n_samples 1", "data.n_samples=1: must be at least 2, a point of each class"),
    ("--data.noise -1", "data.noise=-1.0: must be at least 0 and finite"),
    ("--data.noise .nan", "data.noise=nan: must be at least 0 and finite"),
    ("--data.random_state -1", f"data.random_state=-1: {SEEDS}"),
    ("--data.val_fraction 1", "data.val_fraction=1.0: must be at least 0 and below 1"),
    ("--data Circles --data.factor 1", "data.factor=1.0: must be at least 0 and below 1"),
    ("--data Circles --data.factor -1", "data.factor=-1.0: must be at least 0 and below 1"),
    ("--data Spiral --data.turns 0", "data.turns=0.0: must be above 0 and finite"),
    (
        "--data.factor 0.5",
        "data.factor: no such argument; choose one of passes, batch_size, shuffle, points,"
        " n_samples, noise, random_state, val_fraction, test_fraction",
    ),
    ("--model.loss cross_entropy", "model.loss='cross_entropy': 2 classes take bce or mse"),
)


def check(command: Command, words: str, line: str | re.Pattern[str], end: str = "") -> None:
    """Run a mistaken command: it costs the expected line, and no run directory."""
    finished = command(words)
    pattern = line.pattern if isinstance(line, re.Pattern) else re.escape(line)
    assert re.fullmatch(f"perceptrons: error: {pattern}{re.escape(end)}\n", finished.err)
    assert finished.status == 2
    assert not list(Path.cwd().rglob("version_*"))


@pytest.fixture
def made(in_tmp: Path) -> None:
    ship().to_csv("ship.csv", index=False)
    Path("ship.yaml").write_text(CONFIG)
    Path("other.csv").write_text("age,fare\n1,2\n")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("flags", "line"), FLAGS)
def test_a_wrong_flag_of_a_table_costs_one_line(command: Command, flags: str, line: str) -> None:
    check(command, f"{TABLE} {flags}", line)


def test_a_class_with_one_row_is_named(command: Command, in_tmp: Path) -> None:
    Path("mine.csv").write_text("a,saved\n" + "1,u\n2,v\n" * 20 + "3,rare\n")
    Path("mine.yaml").write_text(CONFIG.replace("ship.csv", "mine.csv"))
    line = "data.test_fraction=0.2: the class rare has one row only; 0 for both fractions lets"
    finished = command("fit --config mine.yaml --data.test_fraction 0.2 --model.loss cross_entropy")
    assert finished.err == f"perceptrons: error: {line} all rows serve\n"


@pytest.mark.parametrize(("content", "line"), CONTENTS)
def test_a_wrong_file_costs_one_line_that_names_the_columns(
    command: Command, content: str | bytes, line: str | re.Pattern[str]
) -> None:
    text = content if isinstance(content, bytes) else content.encode()
    Path("mine.csv").write_bytes(text)
    Path("mine.yaml").write_text(CONFIG.replace("ship.csv", "mine.csv"))
    said = line.pattern if isinstance(line, re.Pattern) else re.escape(line)
    given = re.match("path=|target=", said)
    end = " (in mine.yaml)" if given else ""
    check(command, "fit --config mine.yaml", re.compile("data." + said + re.escape(end)))


@pytest.mark.parametrize(("flags", "line"), SHAPES)
def test_a_wrong_flag_of_a_shape_costs_one_line(command: Command, flags: str, line: str) -> None:
    check(command, f"{MOONS} {flags}", line)


def test_a_file_that_is_no_parquet_is_named(in_tmp: Path) -> None:
    Path("mine.parquet").write_bytes(b"a,y\n1,2\n")
    with pytest.raises(ValueError, match=f"^path='mine.parquet': {UNREAD}: "):
        Table("mine.parquet", "y")


@pytest.mark.parametrize(("suffix", "module"), [("csv", "pandas"), ("parquet", "pyarrow")])
def test_what_is_not_installed_is_said_with_how_to_install_it(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    ship().to_csv("ship.csv", index=False)
    ship().to_parquet("ship.parquet")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=r"; pip install -e '.\[tables\]' installs them$"):
        Table(f"ship.{suffix}", "saved")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("words", [TABLE, MOONS])
def test_without_the_mistake_the_commands_are_right(command: Command, words: str) -> None:
    finished = command(words)
    assert (finished.status, finished.err) == (0, "")


def test_the_smallest_table_is_two_rows(in_tmp: Path) -> None:
    pd.DataFrame({"a": [1, 2], "y": ["u", "v"]}).to_csv("mine.csv", index=False)
    assert Table("mine.csv", "y").class_names == ("u", "v")
