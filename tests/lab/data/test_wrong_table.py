"""Wrong tables: one message says all that is wrong, with the setting and the columns."""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perceptrons.lab.data.table import Table

ROWS = 120
COLUMNS = "choose one of age, fare, sex, deck, alone, saved"
ONCE = "must be columns other than the target, each once"
UNREAD = "cannot be read as a table"
OUT = "exclude leaves columns out"
GAPS = "missing='drop' leaves such rows out, 'impute' fills them in"
LINES = [f"{number},{'uv'[number % 2]}\n" for number in range(130)]


def ship() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": draw.integers(18, 80, ROWS),
            "fare": draw.gamma(2, 20, ROWS).round(2),
            "sex": draw.choice(["male", "female"], ROWS),
            "deck": draw.choice(["A", "B", "C"], ROWS),
            "alone": draw.choice([True, False], ROWS),
            "saved": draw.choice(["no", "yes"], ROWS),
        }
    )


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ship().to_csv("ship.csv", index=False)
    Path("other.csv").write_text("age,fare,sex,deck\n1,2,male,A\n,old,male,D\n")


def message(make: Callable[[], Any]) -> str:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  each test compares the message
        make()
    text = str(raised.value)
    assert text.isprintable()
    return text


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"path": "nix.csv"}, "path='nix.csv': no such file"),
        ({"path": "shp.csv"}, "path='shp.csv': no such file; did you mean ship.csv?"),
        ({"path": "."}, "path='.': is a directory"),
        ({"path": "/dev/null"}, "path='/dev/null': is not a regular file"),
        (
            {"target": "save"},
            "target='save': the file has no such column; did you mean saved?",
        ),
        (
            {"target": "fare", "task": "classification"},
            "target='fare': holds fractions, such as 2.45, and no classes",
        ),
        (
            {"task": "regression"},
            "target='saved': holds texts, such as no, and a regression learns numbers",
        ),
        ({"features": ["age", "saved"]}, f"features=['age', 'saved']: {ONCE}"),
        ({"features": ["age", "age"]}, f"features=['age', 'age']: {ONCE}"),
        ({"features": []}, "features: no column is left to learn from"),
        (
            {"exclude": ["age", "fare", "sex", "deck", "alone"]},
            "features: no column is left to learn from",
        ),
        (
            {"features": ["agee"], "exclude": ["nix"]},
            f"features='agee': the file has no such column; did you mean age?;"
            f" exclude='nix': the file has no such column; {COLUMNS};"
            " features: no column is left to learn from",
        ),
        (
            {"categorical": ["deckk"]},
            "categorical='deckk': the file has no such column; did you mean deck?",
        ),
        (
            {"categorical": ["fare"]},
            f"path='ship.csv': fractions, which are no categories, in fare; {OUT}",
        ),
        ({"sep": "::"}, "sep='::': must be one character, not that of decimal or quotes"),
        ({"test_fraction": 0.01}, "test_fraction=0.01: 1 of 120 rows for test, with 2 classes"),
    ],
    ids=repr,
)
def test_a_wrong_setting_of_a_table_is_named(settings: dict[str, Any], line: str) -> None:
    given = {"path": "ship.csv", "target": "saved"} | settings
    found = message(lambda: Table(**given))
    if "categorical" in settings and "fare" in settings["categorical"]:
        line = line.replace("; exc", "; more than 100 different texts in fare (120); exc")
        found = re.sub(r"fare \(\d+\)", "fare (120)", found)
    assert found == line


@pytest.mark.parametrize(
    ("points", "line"),
    [
        ("nix.csv", "points='nix.csv': no such file"),
        (
            "other.csv",
            "points='other.csv': values are missing in age; no numbers in fare ('old');"
            " lacks the columns alone",
        ),
        ([[1]], "points=[1]: has 1 values, the data has 5 columns"),
        ([], "points=[]: there must be at least 1, or null for the table's"),
        (
            [[70, 20.38, "femal", "C", True]],
            "points: sex='femal' is not in the table trained on; choose one of female, male;"
            " did you mean female?",
        ),
        (
            [[70, 20.38, "female", "C", "may\x1bbe"]],
            "points: alone='may\\x1bbe' is not in the table trained on; choose one of False, True",
        ),
        ([["old", 20.38, "female", "C", True]], "points: no numbers in age ('old')"),
        (
            [[float("nan"), 20.38, "female", "C", True]],
            "points: values are missing in age",
        ),
        (
            [[float("inf"), 20.38, "female", "C", True]],
            "points: values are infinite in age (1 of 1 rows)",
        ),
    ],
    ids=repr,
)
def test_wrong_points_are_named_with_their_column(points: Any, line: str) -> None:
    data = Table("ship.csv", "saved", points=points)
    assert message(lambda: data.predicted) == line


def test_a_wrong_date_of_a_point_is_named() -> None:
    Path("mine.csv").write_text("when,y\n" + "2024-01-01,u\n2024-01-02,v\n" * 2)
    data = Table("mine.csv", "y", points=[["1.2.2024"]])
    line = "points: no dates in when ('1.2.2024')"
    assert message(lambda: data.predicted) == line


ROW = "path='mine.csv': "


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", ROW + "is empty"),
        ("a,saved\n", ROW + "holds no rows"),
        (
            "a,b,saved\n1,,u\n2,,v\n,3,u\n3,?,\n",
            ROW + "values are missing in a (1 of 4 rows), b (3 of 4 rows);"
            f" the same value in every row of b; {GAPS}; {OUT}; target='saved': values are missing"
            " in 1 of 4 rows; missing='drop' leaves them out",
        ),
        (
            "a,saved\n1,u\ninf,v\n3,u\n4,v\n",
            ROW + f"values are infinite in a (1 of 4 rows); {OUT}",
        ),
        (
            "a,saved\n1,u\n2,v,3\n3\n4,v\n",
            ROW + f"lines with other than 2 values: 3, 4; {OUT}",
        ),
        ('a,saved\n1,"u\n', ROW + f"{UNREAD}: EOF inside string starting at row 1"),
        ("a,a,saved\n1,2,u\n2,3,v\n", ROW + f"several columns are called a; {OUT}"),
        (
            "a,b,c,saved\n1,1,x,u\n1,2,x,v\n1,3,x,u\n1,4,x,v\n",
            ROW + f"the same value in every row of a, c; {OUT}",
        ),
        (
            "a,saved\nn/k,u\n" + "".join(LINES[:9]),
            ROW + f"both numbers and texts in a ('n/k'); {OUT}",
        ),
        (
            "a,b,saved\n" + "".join(f"id{row}" for row in LINES).replace(",", ",1.5,") + "3,2,u",
            ROW + f"more than 100 different texts in a (131); {OUT}",
        ),
        (
            "a,saved\nx1,u\nx2,v\nx3,v\n",
            ROW + f"a text of its own in every row of a; {OUT}",
        ),
        (
            'a,saved\n"1,5",u\n"2,5",v\n3,u\n',
            ROW + f"numbers with a comma, for which set decimal to ',', in a; {OUT}",
        ),
        (
            "a,saved\n2024-12-31,u\n2024-13-01,v\n",
            ROW + f"texts that are no dates in a (2024-13-01); {OUT}",
        ),
        (
            "a,saved\n2024-12-31,u\n2024-12-30,v\nsoon,v\n",
            ROW + f"both dates and texts in a ('soon'); {OUT}",
        ),
        (
            "a,saved\n31.12.2024,u\n01.01.2025,v\n",
            ROW + f"dates not written as 2024-12-31 in a (01.01.2025); {OUT}",
        ),
        (
            "a,b,saved\n1,,u\n2,,v\n",
            ROW + f"values are missing in b (2 of 2 rows); no values at all in b; {GAPS}; {OUT}",
        ),
        (
            "5.1,3.5,setosa\n4.9,3.0,setosa\n4.8,3.1,setosa\n",
            "target='saved': the file has no such column; choose one of 5.1, 3.5, setosa; "
            "rows without it are the points of predict; "
            + ROW
            + f"the same value in every row of setosa; {OUT}",
        ),
        ("a,saved\n1,u\n2,u\n", "target='saved': has one class only: u"),
        ("saved\nu\nv\n", "features: no column is left to learn from"),
        (
            "a,saved\n1,2024-01-01\n2,2024-01-02\n",
            "target='saved': holds dates; a target is classes or numbers",
        ),
        (b"a,saved\n1,\xe9\n2,u\n", ROW + "is not text in UTF-8"),
        (
            "a,saved\n1,u\n".encode("utf-16"),
            ROW + "is not text in UTF-8: it has zero bytes, as UTF-16 has",
        ),
        (
            "a,saved\n1,u\n".encode("utf-16-le"),
            ROW + "is not text in UTF-8: it has zero bytes, as UTF-16 has",
        ),
        ("a\x1b[31m,saved\n1,u\n1,v\n", ROW + f"the same value in every row of a\\x1b[31m; {OUT}"),
        (
            "a,b,saved\n1e300,1,u\n-1e300,2,v\n3e299,3,u\n1e300,4,v\n",
            "features: the same, or too large or small to compute with, in all 4 training rows: a;"
            " leave such columns out by exclude",
        ),
    ],
)
def test_all_that_is_wrong_with_a_file_is_said_in_one_line(content: str | bytes, line: str) -> None:
    Path("mine.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message(lambda: Table("mine.csv", "saved")) == line


def test_many_mistakes_are_one_message() -> None:
    frame = ship().assign(
        id=[f"n{row}" for row in range(ROWS)], same="x", gap=[None, *range(1, ROWS)], big=np.inf
    )
    frame.to_csv("mine.csv", index=False)
    found = message(lambda: Table("mine.csv", "savd", features=None, exclude=["nix"]))
    for part in (
        f"values are infinite in big ({ROWS} of {ROWS} rows)",
        "values are missing in gap (1 of 120 rows)",
        "the same value in every row of same, big",
        "more than 100 different texts in id (120)",
        "target='savd': the file has no such column",
        "exclude='nix': the file has no such column",
    ):
        assert part in found


def test_a_target_of_dates_has_no_rare_classes() -> None:
    days = "".join(f"{row},2024-01-{row + 10}\n" for row in range(20))
    Path("mine.csv").write_text("a,saved\n" + days)
    line = "target='saved': holds dates; a target is classes or numbers"
    assert message(lambda: Table("mine.csv", "saved", val_fraction=0.2)) == line


def test_rare_whole_numbers_may_be_those_of_a_regression() -> None:
    rows = "".join(f"{row},{row % 10}\n" for row in range(30))
    Path("mine.csv").write_text(f"a,saved\n{rows}31,10\n")
    line = message(lambda: Table("mine.csv", "saved", val_fraction=0.2))
    rare = "one row is too few for a split, in the classes 10"
    assert line == f"target='saved': {rare}; task='regression' makes numbers of them"
    assert Table("mine.csv", "saved", task="regression", val_fraction=0.2).classes is None


def test_a_class_with_one_row_is_named() -> None:
    Path("mine.csv").write_text("a,saved\n" + "1,u\n2,v\n" * 20 + "3,rare\n")
    line = "target='saved': one row is too few for a split, in the classes rare"
    assert message(lambda: Table("mine.csv", "saved", test_fraction=0.2)) == line
    assert Table("mine.csv", "saved").class_names == ("rare", "u", "v")


def test_what_only_the_training_rows_lack_is_named() -> None:
    # one row has another value, and one fold is without it
    Path("mine.csv").write_text(
        "a,b,y\n" + "".join(f"{row == 7:d},{row},u\n{row == 7:d},{row},v\n" for row in range(8))
    )
    data = Table("mine.csv", "y", exclude=["b"])
    line = "features: the same, or too large or small to compute with, in all 8 training rows: a;"
    faults = []
    for seed in range(20):
        data.random_state = seed
        for number in range(2):
            try:
                data.fold(number, 2)
            except ValueError as mistake:
                faults.append(str(mistake))
    assert set(faults) == {f"{line} leave such columns out by exclude"}


def test_gaps_that_leave_no_row_are_named() -> None:
    Path("mine.csv").write_text("a,b,y\n1,,u\n,2,v\n2,,v\n,4,u\n")
    found = message(lambda: Table("mine.csv", "y", missing="drop"))
    assert found.startswith("missing='drop': leaves no rows; path='mine.csv': values are missing ")


def test_a_target_with_gaps_is_not_filled_in() -> None:
    Path("mine.csv").write_text("a,y\n1,u\n2,v\n3,\n")
    line = "target='y': values are missing in 1 of 3 rows; missing='drop' leaves them out"
    assert message(lambda: Table("mine.csv", "y", missing="impute")) == line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda frame: frame.replace({"deck": {"A": "D"}}),
            "features: deck='D' is not in the table trained on; choose one of A, B, C",
        ),
        (
            lambda frame: frame.replace({"saved": {"no": "not"}}),
            "target='not' is not in the table trained on; choose one of no, yes; did you mean no?",
        ),
        (
            lambda frame: frame.assign(age=frame["sex"]),
            "features: age: holds texts, and numbers where it was trained",
        ),
        (
            lambda frame: frame.assign(sex=frame["age"]),
            "features: sex: holds numbers, and texts where it was trained",
        ),
        (
            lambda frame: frame.assign(saved=frame["fare"]),
            "target: holds numbers, and the network learned classes",
        ),
        (
            lambda frame: frame.rename(columns={"age": "years"}),
            "features: the network learned from age, fare, sex, deck, alone",
        ),
    ],
    ids=["text", "class", "texts", "numbers", "task", "name"],
)
def test_a_table_that_cannot_be_encoded_as_the_one_trained_on_is_named(
    change: Callable[[pd.DataFrame], pd.DataFrame], line: str
) -> None:
    state = Table("ship.csv", "saved").state_dict()
    change(ship()).to_csv("later.csv", index=False)
    later = Table("later.csv", "saved")
    assert message(lambda: later.load_state_dict(state)) == line


def test_a_million_columns_are_refused_at_once() -> None:
    line = ",".join(f"c{number}" for number in range(1_000_000))
    Path("mine.csv").write_text(f"{line}\n{line}\n")
    start = time.perf_counter()
    found = message(lambda: Table("mine.csv", "c1"))
    assert found == "path='mine.csv': has 1,000,000 columns; at most 20,000 can be read"
    assert time.perf_counter() - start < 2


def test_a_pipe_is_refused_and_not_waited_for() -> None:
    os.mkfifo("mine.csv")
    assert message(lambda: Table("mine.csv", "y")) == "path='mine.csv': is not a regular file"


def test_what_a_parquet_file_holds_that_is_no_value_is_named() -> None:
    frame = pd.DataFrame({"a": [[1], [2]], "b": [1, 2], "y": ["u", "v"]})
    frame.to_parquet("mine.parquet")
    found = message(lambda: Table("mine.parquet", "y"))
    assert found.startswith("path='mine.parquet': neither numbers, texts nor dates in a (object)")


def test_a_file_that_is_no_parquet_is_named() -> None:
    Path("mine.parquet").write_bytes(b"a,y\n1,2\n")
    found = message(lambda: Table("mine.parquet", "y"))
    assert found.startswith(f"path='mine.parquet': {UNREAD}: ")


@pytest.mark.parametrize(("suffix", "module"), [("csv", "pandas"), ("parquet", "pyarrow")])
def test_what_is_not_installed_is_said_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    ship().to_parquet("ship.parquet")
    monkeypatch.setitem(sys.modules, module, None)
    found = message(lambda: Table(f"ship.{suffix}", "saved"))
    assert found.endswith("; pip install -e '.[tables]' installs them")


def test_the_smallest_table_is_two_rows() -> None:
    pd.DataFrame({"a": [1, 2], "y": ["u", "v"]}).to_csv("mine.csv", index=False)
    assert Table("mine.csv", "y").class_names == ("u", "v")
