"""``perceptrons compare``: what runs differ in, of the same seeds and folds."""

import csv
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...runs.directories import settings_of
from ...runs.files import read_text
from ...runs.text import WIDTH, aligned
from ...studies.summary import (
    MEASURES,
    Columns,
    Row,
    digits,
    short_names,
    summaries,
    tables,
    varied_settings,
)

Pairs = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]

SURE = 0.05
# settings that may differ between studies that are pooled
ANOTHER_MACHINES = (
    *("seed_everything", "seeds", "config", "threads", "trainer.accelerator", "trainer.strategy"),
    *("trainer.devices", "trainer.num_nodes", "trainer.default_root_dir"),
    *("trainer.logger", "trainer.log_every_n_steps", "trainer.profiler"),
    *("trainer.enable_model_summary", "trainer.enable_checkpointing"),
)
# settings of the data that leave a fold its rows
SAME_ROWS = (
    *("data.passes", "data.batch_size", "data.shuffle", "data.points", "data.val_fraction"),
    *("data.features", "data.exclude", "data.categorical"),
)


class Alternative(NamedTuple):
    """Members of one run and one setting, by seed and fold."""

    run: str
    setting: str
    name: str
    loss: dict[str, Any]  # its settings, without which a loss says nothing
    rows: dict[tuple[int, int], dict[str, Any]]


class Difference(NamedTuple):
    """How far an alternative is from another in one measure, with 95 % interval and p."""

    other: str
    measure: str
    pairs: str  # of what, and how many
    means: tuple[float, float]
    interval: tuple[float, float]
    p: float


def read_members(run: Path) -> Columns:
    """The rows of a study's ``members.csv``, by column.

    Raises:
        ValueError: If there is none, or it holds something else.
    """
    file = run / "members.csv"
    if not file.is_file():
        raise ValueError(
            f"{str(run)!r}: is no finished study, which --seeds makes: it has no members.csv"
        )
    rows = [*csv.DictReader(read_text(file).splitlines())]
    if not rows or not {"seed", "loss"} <= rows[0].keys():
        raise ValueError(f"{str(file)!r}: holds no members")
    try:
        return {name: [number(row[name]) for row in rows] for name in rows[0]}
    except (ValueError, TypeError) as failure:
        raise ValueError(f"{str(file)!r}: holds something else than numbers") from failure


def number(text: str) -> float | int | None:
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def alternatives(runs: Sequence[Path]) -> list[Alternative]:
    """Each setting of each run."""
    found: dict[tuple[str, str], Alternative] = {}
    for run in runs:
        columns = read_members(run)
        names, title = varied_settings(columns), f"{run.parent.name}/{run.name}"
        short, given = short_names(names), settings_of(run)
        loss = {name: value for name, value in given.items() if name.startswith("model.loss")}
        wrong = other_rows(runs[0], run)
        if "fold" in columns and wrong:
            why = f"its folds have other rows than those of {runs[0].parent.name}/{runs[0].name}"
            raise ValueError(f"{title}: {why}: {', '.join(wrong)}")
        for at, seed in enumerate(columns["seed"]):
            setting = ", ".join(f"{short[name]}={columns[name][at]:.12g}" for name in names)
            name = ", ".join(filter(None, (title, setting)))
            name = setting or title if len(runs) == 1 else name
            varied = {each: columns[each][at] for each in names if each.startswith("model.loss")}
            made = Alternative(title, setting, name, loss | varied, {})
            one = found.setdefault((title, setting), made)
            fold = columns["fold"][at] if "fold" in columns else -1  # no other has these rows
            one.rows[seed, fold] = {each: column[at] for each, column in columns.items()}
    return [*found.values()]


def other_rows(one: Path, other: Path) -> list[str]:
    """The settings by which a run has other rows than another."""
    names = other_settings(one, other, SAME_ROWS)
    return [each for each in names if each.startswith(("data", "folds"))]


def comparisons(every: list[Alternative]) -> list[tuple[Alternative, Alternative]]:
    """Which are compared: runs of the same grid at each setting, or all with the first.

    Raises:
        ValueError: If there is one alone.
    """
    if len(every) == 1:
        raise ValueError(f"{every[0].name!r}: there is nothing to compare it with")
    runs = [*dict.fromkeys(each.run for each in every)]
    settings = [[each.setting for each in every if each.run == run] for run in runs]
    if len(runs) > 1 and all(sorted(each) == sorted(settings[0]) for each in settings):
        first = {each.setting: each for each in every if each.run == runs[0]}
        return [(first[each.setting], each) for each in every if each.run != runs[0]]
    return [(every[0], each) for each in every[1:]]


def compare(runs: Sequence[Path]) -> str:
    """What the first alternative and each other differ in, as a table and in words.

    Raises:
        ValueError: If they have no seeds and folds in common.
    """
    every = alternatives(runs)
    pairs = comparisons(every)
    found = [each for pair in pairs for each in differences(*pair)]
    corrected = holm([each.p for each in found])
    found = [each._replace(p=p) for each, p in zip(found, corrected, strict=True)]
    one, other = pairs[0]
    each_setting = pairs[-1][0] is not one
    head = [f"first: {one.run}, at each setting" if each_setting else f"first: {one.name}"]
    names = [each.other for each in found]
    if len(pairs) == 1:
        head, names = [*head, f"other: {other.name}"], []
    elif each_setting and len({each.run for _, each in pairs}) == 1:
        head.append(f"other: {other.run}")
        names = [name.removeprefix(f"{other.run}, ") for name in names]
    head += cautions(runs, every, pairs)
    if not found:
        return "\n".join([*head, "no other differs from the first in any measure"])
    columns: Columns = {"to": names} if names else {}
    columns |= {
        "measure": [each.measure for each in found],
        "difference": [digits(each.means[1] - each.means[0]) for each in found],
        "95 % interval": [" to ".join(map(digits, each.interval)) for each in found],
        "p": [digits(each.p) for each in found],
        "first": [digits(each.means[0]) for each in found],
        "other": [digits(each.means[1]) for each in found],
    }
    lines = [fill(sentence(each), WIDTH, subsequent_indent="    ") for each in found]
    return "\n".join([*head, "", aligned(columns, keep=("to", "measure", "p")), "", *lines])


def cautions(
    runs: Sequence[Path], every: list[Alternative], pairs: list[tuple[Alternative, Alternative]]
) -> list[str]:
    """What is to be known of runs before their differences are believed."""
    found = [
        f"{run.parent.name}/{run.name} has other rows: {', '.join(names)}"
        for run in runs[1:]
        if (names := other_rows(runs[0], run))
    ]
    found += [
        f"{each.name}: {lost} of {len(each.rows)} diverged, and have no loss"
        for each in every
        if (lost := sum(not np.isfinite(row["loss"]) for row in each.rows.values()))
    ]
    if any(one.loss != other.loss for one, other in pairs):
        found.append("losses that are computed otherwise are not compared")
    return found


def differences(first: Alternative, other: Alternative) -> list[Difference]:
    """The differences of two alternatives, in each measure that both have.

    Raises:
        ValueError: If they have no seed and fold in common.
    """
    keys = sorted(first.rows.keys() & other.rows.keys())
    if not keys:
        why = "have no seed and fold in common; --pool reports them as one"
        raise ValueError(f"{first.name} and {other.name}: {why}")
    pairs = [(first.rows[key], other.rows[key]) for key in keys]
    seeds, folds = (np.unique(each, return_inverse=True)[1] for each in zip(*keys, strict=True))
    # validated on the rows that they are trained on
    both = [each for pair in pairs for each in pair]
    val, train = ([each.get(name, -1) for each in both] for name in ("val_loss", "loss"))
    same = np.array_equal(val, train, equal_nan=True)
    found = []
    for measure in ("solved", *MEASURES):
        values = np.array([[each.get(measure) for each in pair] for pair in pairs], float).T
        finite = np.isfinite(values).all(0)
        one, two = values[:, finite]
        if (same and measure.startswith("val_")) or (one == two).all():  # nothing to say
            continue
        if measure.endswith("loss") and first.loss != other.loss:
            continue
        low, high, p = bootstrap((two - one, seeds[finite], folds[finite]))
        if not measure.endswith("loss"):  # shares are no further apart than 1
            low, high = max(low, -1.0), min(high, 1.0)
        p = mcnemar(one, two) if measure == "solved" and folds.max() == 0 else p
        what = "pairs of seed and fold" if folds.max() else "seeds"
        what = f"{len(one):,} {what}" if len(one) > 1 else "seed"
        means = float(one.mean()), float(two.mean())
        found.append(Difference(other.name, measure, what, means, (low, high), p))
    return found


def bootstrap(pairs: Pairs) -> tuple[float, float, float]:
    """95 % interval of the mean of paired differences, and how likely a mean of 0 is.

    Its standard error is what a bootstrap would find that draws seeds anew, and folds too where
    there are several: the members of a fold share its rows, those of a seed their first weights. It
    is known without drawing. From there on it is Student's t, with as many degrees of freedom as
    the fewer of seeds and folds allow: of seeds alone it is the paired t-test, and with both the
    interval is rather too wide.

    Source: A. B. Owen, The pigeonhole bootstrap, Ann. Appl. Stat. 1 (2007) 386-411; T. C.
    Hesterberg, What Teachers Should Know About the Bootstrap, Am. Stat. 69 (2015) 371-386.
    """
    from scipy.special import stdtr, stdtrit

    values, *groups = pairs
    if len(values) == 1:  # a single pair tells nothing of others
        return -np.inf, np.inf, 1.0
    mean, off = float(values.mean()), values - values.mean()
    sums = [np.bincount(np.unique(each, return_inverse=True)[1], off) for each in groups]
    counts = [len(each) for each in sums]
    squares = off @ off  # of pairs, then of the sums over each seed, and over each fold
    for each, others in zip(sums, counts[::-1], strict=True):
        squares += each @ each * (1 - 1 / others)
    least = min(count for count in counts if count > 1)
    error = max(float(np.sqrt(squares * least / (least - 1))) / len(values), 1e-300)
    half = float(stdtrit(least - 1, 0.975)) * error
    p = float(2 * stdtr(least - 1, -abs(mean) / error))
    # where all are equal, which Student's t takes for sure: as likely as one sign of so many
    return mean - half, mean + half, p if off.any() else max(p, 2.0 ** (1 - least))


def mcnemar(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """McNemar's test, exact: of the pairs that differ, half would go either way by chance."""
    from scipy.stats import binomtest  # takes most of a second

    apart = int((one != two).sum())
    return float(binomtest(int((two > one).sum()), apart).pvalue) if apart else 1.0


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction of several tests.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6
    (1979) 65-70.
    """
    corrected, least = [1.0] * len(values), 0.0
    for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - rank) * values[at]))
        corrected[at] = least
    return corrected


def sentence(found: Difference) -> str:
    """A difference in words."""
    measure = found.measure.replace("val_", "validation ")
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.2g}"
    of_same = f"from the same {found.pairs}"
    if found.p >= SURE:
        return f"{found.other}: no difference in {measure} can be told {of_same} ({p})"
    apart = found.means[1] - found.means[0]
    more = "more" if apart > 0 else "less"
    scale, unit = (1, "") if measure.endswith("loss") else (100, " points")
    size = f"{abs(apart) * scale:.3g}{unit} {more}"
    ends = sorted(each * scale * np.sign(apart) for each in found.interval)
    end = f"{of_same}, {' to '.join(f'{each:.3g}' for each in ends)} ({p})"
    does = f"solves {size}" if measure == "solved" else f"has {size} {measure}"
    return f"{found.other} {does} {end}"


def pool(runs: Sequence[Path]) -> str:
    """What studies of the same settings from other seeds say, as if they were one.

    Raises:
        ValueError: If their settings differ, or they have members in common.
    """
    together: Columns = {}
    for run in runs:
        columns = read_members(run)
        if other := other_settings(runs[0], run, ANOTHER_MACHINES):
            why = f"has other settings than {str(runs[0])!r}: {', '.join(other)}"
            raise ValueError(f"{str(run)!r}: {why}")
        if together and together.keys() != columns.keys():
            raise ValueError(f"{str(run)!r}: has other columns than {str(runs[0])!r}")
        for name, values in columns.items():
            together.setdefault(name, []).extend(values)
    what = [name for name in together if name in ("seed", "fold", *varied_settings(together))]
    members = [*zip(*(together[name] for name in what), strict=True)]
    if len({*members}) < len(members):
        raise ValueError(
            f"{str(runs[0])!r}: has seeds in common with another; they would count twice"
        )
    return members_text(summaries(together))


def members_text(rows: Sequence[Row]) -> str:
    """What members say together, as aligned lines."""
    return "\n\n".join(map(aligned, tables(rows)))


def other_settings(one: Path, other: Path, besides: Sequence[str]) -> list[str]:
    """Names of the settings in which two runs differ, besides some."""
    first, second = map(settings_of, (one, other))
    names = (first.keys() | second.keys()) - {*besides}
    return sorted(name for name in names if first.get(name) != second.get(name))
