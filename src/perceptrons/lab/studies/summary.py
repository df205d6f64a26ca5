"""What the members of a study say together: shares, means and how sure they are."""

import math
from collections.abc import Sequence
from itertools import groupby, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, list[Any]]
Row = dict[str, Any]
Values = NDArray[np.float64]

Z = 1.959964  # of a normal distribution, 95 % lie within so many standard deviations
KEYS = ("member", "seed", "fold", "solved", "updates")
MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")


def varied_settings(columns: Columns) -> list[str]:
    """Names of the settings in a study's rows."""
    return [name for name in columns if name not in (*KEYS, *MEASURES)]


def summaries(columns: Columns) -> list[Row]:
    """A row for each setting: the share solved, and its measures over seeds and folds."""
    names = varied_settings(columns)
    settings = [*zip(*(columns[name] for name in names), strict=True)] or [()] * len(
        columns["seed"]
    )
    # validated on the training rows
    same = np.array_equal(columns.get("val_loss", []), columns["loss"], equal_nan=True)
    found = []
    # members lie in the order of their settings, but those of pooled studies do not
    order = sorted(range(len(settings)), key=lambda at: settings[at])
    for setting, numbers in groupby(order, key=lambda at: settings[at]):
        there = [*numbers]
        of_setting = {name: [column[at] for at in there] for name, column in columns.items()}
        found.append({**dict(zip(names, setting, strict=True)), **summary(of_setting, same)})
    return found


def summary(columns: Columns, same: bool) -> Row:
    count = len(columns["seed"])
    row: Row = {"members": count}
    if diverged := count - int(np.isfinite(columns["loss"]).sum()):
        row["diverged"] = diverged
    if "solved" in columns:
        solved = sum(columns["solved"])
        low, high = wilson(solved, count)
        row |= {"solved": solved, "share": solved / count, "share_low": low, "share_high": high}
        row |= quantiles("updates", [each for each in columns["updates"] if each is not None])
    for name in MEASURES:
        if name in columns and not (same and name.startswith("val_")):
            row |= measure_summary(name, columns[name], columns.get("fold"))
    return row


def measure_summary(name: str, given: Sequence[float], folds: Sequence[int] | None) -> Row:
    """Mean, standard deviation and 95 % interval of a measure, without what is not finite."""
    values = np.asarray(given, float)
    finite = np.isfinite(values)
    values = values[finite]
    if not len(values):
        return {f"{name}_{each}": None for each in ("mean", "std", "low", "high", "median")}
    half = half_width(values, None if folds is None else np.asarray(folds)[finite])
    mean = float(values.mean())
    # no further than a mean can be, where no loss is below 0
    least, most = 0.0 if values.min() >= 0 else -math.inf, math.inf if "loss" in name else 1.0
    return {
        f"{name}_mean": mean,
        f"{name}_std": float(values.std(ddof=1)) if len(values) > 1 else None,
        f"{name}_low": None if half is None else max(least, mean - half),
        f"{name}_high": None if half is None else min(most, mean + half),
        **quantiles(name, values),
    }


def half_width(values: Values, folds: NDArray[np.int64] | None) -> float | None:
    """Half of the 95 % interval of a mean, by Student's t.

    The members of a fold share its rows, so that the folds' means are what is independent: as many
    values as there are folds, however many seeds.
    """
    if folds is not None:
        values = np.array([values[folds == fold].mean() for fold in np.unique(folds)])
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values)))


def quantiles(name: str, values: Sequence[float] | Values) -> Row:
    found = np.quantile(values, [0.1, 0.5, 0.9], method="nearest") if len(values) else [None] * 3
    return {
        f"{name}_{end}": None if each is None else float(each)
        for end, each in zip(("10", "median", "90"), found, strict=True)
    }


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's score interval for a share, at 95 %.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    share, extra = count / of, Z * Z / of
    middle = (share + extra / 2) / (1 + extra)
    half = math.sqrt(extra * (share * (1 - share) + extra / 4)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)


def tables(rows: Sequence[Row]) -> list[Columns]:
    """Summaries as two tables: what is solved, then a line for each measure."""
    names = [*takewhile(lambda name: name != "members", rows[0])]  # the settings come first
    short = short_names(names)
    first: Columns = {short[name]: [row[name] for row in rows] for name in names}
    first["members"] = [row["members"] for row in rows]
    if any("diverged" in row for row in rows):
        first["diverged"] = [row.get("diverged", 0) for row in rows]
    if "solved" in rows[0]:
        first["solved"] = [f"{row['share']:.1%}" for row in rows]
        first["95 % interval"] = [f"{r['share_low']:.1%} to {r['share_high']:.1%}" for r in rows]
        for head, end in (("updates 10 %", "10"), ("median", "median"), ("90 %", "90")):
            first[head] = [row[f"updates_{end}"] for row in rows]
    lines = [(row, name) for row in rows for name in MEASURES if f"{name}_mean" in row]
    second: Columns = {short[name]: [row[name] for row, _ in lines] for name in names}
    second["measure"] = [name.replace("_", " ") for _, name in lines]
    for end in ("mean", "std", "95 % interval", "median"):
        second[end] = [digits(row.get(f"{name}_{end}")) for row, name in lines]
    second["95 % interval"] = [interval(row, name) for row, name in lines]
    return [first, second]


def interval(row: Row, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "-" if low is None else f"{digits(low)} to {digits(high)}"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The last part of each setting's name, where it is that of no other; else the whole name."""
    parts = [name.rpartition(".")[2] for name in names]
    pairs = zip(names, parts, strict=True)
    return {name: part if parts.count(part) == 1 else name for name, part in pairs}


def digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
