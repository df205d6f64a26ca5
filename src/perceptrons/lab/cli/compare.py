"""``perceptrons compare``: what runs differ in, from the same seeds and folds."""

import csv
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runs.files import read_text, read_yaml
from ..runs.text import WIDTH, aligned
from ..studies.summary import MEASURES, Columns, Row, digits, short, summaries, tables, varied

Pairs = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]

DRAWS, AT_ONCE = 4000, 2**24  # samples of a bootstrap, and numbers of them at once
SURE = 0.05
# settings that may differ between studies that are pooled
ANOTHER_MACHINES = ("seed_everything", "seeds", "name", "config", "trainer", "threads", "resume")


class Alternative(NamedTuple):
    """Members of one run and one setting, by seed and fold."""

    run: str
    setting: str
    rows: dict[tuple[int, int], dict[str, Any]]


class Difference(NamedTuple):
    """How far one alternative is from another in one measure.

    Attributes:
        first: What it is a difference from.
        other: The other.
        pairs: How many seeds both have, or seeds and folds.
        folds: In how many folds.
        low: Lower end of its 95 % interval.
        p: How likely one at least as large is by chance.
    """

    first: str
    other: str
    measure: str
    pairs: int
    folds: int
    one: float
    two: float
    difference: float
    low: float
    high: float
    p: float


def read_members(run: Path) -> Columns:
    """The rows of a study's ``members.csv``, by column.

    Raises:
        ValueError: If there is none, or it holds something else.
    """
    file = run / "members.csv"
    if not file.is_file():
        raise ValueError(f"{str(run)!r}: is no finished study, it has no members.csv")
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
        names, title = varied(columns), f"{run.parent.name}/{run.name}"
        for at, seed in enumerate(columns["seed"]):
            key = title, ", ".join(f"{short(name)}={columns[name][at]:g}" for name in names)
            rows = found.setdefault(key, Alternative(*key, {})).rows
            fold = columns["fold"][at] if "fold" in columns else -1  # no other has these rows
            rows[seed, fold] = {each: column[at] for each, column in columns.items()}
    return [*found.values()]


def compared(every: list[Alternative]) -> list[tuple[str, Alternative, str, Alternative]]:
    """Which are compared, and their names: runs of the same grid at each setting, or all with one.

    Raises:
        ValueError: If there is one alone.
    """
    runs = [*dict.fromkeys(each.run for each in every)]
    settings = [[each.setting for each in every if each.run == run] for run in runs]
    if len(runs) > 1 and len(settings[0]) > 1 and all(each == settings[0] for each in settings):
        first = {each.setting: each for each in every if each.run == runs[0]}
        others = [each for each in every if each.run != runs[0]]
        return [(e.setting, first[e.setting], f"{e.run}, {e.setting}", e) for e in others]
    names = [", ".join(filter(None, (each.run, each.setting))) for each in every]
    if len(runs) == 1:
        names = [each.setting or each.run for each in every]
    if len(every) == 1:
        raise ValueError(f"{names[0]!r}: there is nothing to compare it with")
    pairs = zip(names[1:], every[1:], strict=True)
    return [(names[0], every[0], name, other) for name, other in pairs]


def compare(runs: Sequence[Path]) -> str:
    """What the first alternative and each other differ in, as a table and in words.

    Raises:
        ValueError: If they have no seeds and folds in common.
    """
    pairs = compared(alternatives(runs))
    found = [each for pair in pairs for each in differences(*pair)]
    firsts = [*dict.fromkeys(first for first, *_ in pairs)]
    first = firsts[0] if len(firsts) == 1 else f"{pairs[0][1].run}, at each setting"
    if not found:
        return f"{first}: no other differs from it in any measure"
    corrected = holm([each.p for each in found])
    found = [each._replace(p=p) for each, p in zip(found, corrected, strict=True)]
    columns: Columns = {
        "to": [each.other for each in found] if len(pairs) > 1 else [],
        "measure": [each.measure for each in found],
        "first": [digits(each.one) for each in found],
        "other": [digits(each.two) for each in found],
        "difference": [digits(each.difference) for each in found],
        "95 % interval": [f"{digits(each.low)} to {digits(each.high)}" for each in found],
        "p": [digits(each.p) for each in found],
    }
    head = f"first: {first}" + ("" if len(pairs) > 1 else f"\nother: {pairs[0][2]}")
    table = aligned({name: values for name, values in columns.items() if values}, keep=("p",))
    lines = [fill(said(each), WIDTH, subsequent_indent="    ") for each in found]
    return "\n".join([head, "", table, "", *lines])


def differences(
    name: str, first: Alternative, other_name: str, other: Alternative
) -> list[Difference]:
    """The differences of two alternatives, in each measure that both have."""
    keys = sorted(first.rows.keys() & other.rows.keys())
    if not keys:
        why = "have no seed and fold in common; --pool reports them as one"
        raise ValueError(f"{name} of {first.run} and {other_name}: {why}")
    pairs = [(first.rows[key], other.rows[key]) for key in keys]
    seeds, folds = (np.unique(each, return_inverse=True)[1] for each in zip(*keys, strict=True))
    found = []
    for measure in ("solved", *MEASURES):
        there = [m for m in pairs if all(each.get(measure) is not None for each in m)]
        twice = measure.startswith("val_") and same_rows(pairs)
        if len(there) < len(pairs) or twice:
            continue
        one, two = np.array([[a[measure], b[measure]] for a, b in there], float).T
        finite = np.isfinite(one) & np.isfinite(two)
        if not finite.any():
            continue
        one, two = one[finite], two[finite]
        if (one == two).all():  # nothing to say
            continue
        low, high, p = bootstrap((two - one, seeds[finite], folds[finite]))
        p = mcnemar(one, two) if measure == "solved" and folds.max() == 0 else p
        means = float(one.mean()), float(two.mean())
        apart = means[1] - means[0]
        counts, names = (len(one), len(np.unique(folds))), (name, other_name)
        found.append(Difference(*names, measure, *counts, *means, apart, low, high, p))
    return found


def same_rows(pairs: Sequence[Any]) -> bool:
    """Whether members are validated on the rows that they are trained on."""
    return all(each["val_loss"] == each["loss"] for pair in pairs for each in pair)


def bootstrap(pairs: Pairs) -> tuple[float, float, float]:
    """95 % interval of the mean of paired differences, and how likely a mean of 0 is.

    Seeds are drawn anew, and folds too where there are several: the members of a fold share its
    rows, those of a seed their first weights. The interval is expanded to Student's quantiles, or a
    few seeds or folds would look surer than they are.

    Source: T. C. Hesterberg, What Teachers Should Know About the Bootstrap, Am. Stat. 69 (2015)
    371-386.
    """
    from scipy.stats import norm, t  # takes most of a second

    values, seeds, folds = pairs
    draw, means = np.random.default_rng(0), []
    counts = seeds.max() + 1, folds.max() + 1
    size = max(1, AT_ONCE // len(values))
    for start in range(0, DRAWS, size):
        draws = min(size, DRAWS - start)
        weights = draw.multinomial(counts[0], [1 / counts[0]] * counts[0], draws)[:, seeds]
        if counts[1] > 1:
            weights = (
                weights * draw.multinomial(counts[1], [1 / counts[1]] * counts[1], draws)[:, folds]
            )
        total = weights.sum(1)
        means.append((weights @ values)[total > 0] / total[total > 0])
    found = np.concatenate(means)
    least = min([count for count in counts if count > 1], default=1)
    if least == 1:  # a single pair tells nothing of others
        return -np.inf, np.inf, 1.0
    wider = np.sqrt(least / (least - 1))
    tail = norm.cdf(wider * t.ppf(0.025, least - 1))
    low, high = np.quantile(found, [tail, 1 - tail])
    off = abs(values.mean()) / max(wider * found.std(), 1e-300)
    return float(low), float(high), float(2 * t.sf(off, least - 1))


def mcnemar(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """McNemar's test, exact: of the pairs that differ, half would go either way by chance."""
    from scipy.stats import binomtest  # takes most of a second

    only_one, only_two = int((one > two).sum()), int((two > one).sum())
    if not only_one + only_two:
        return 1.0
    return float(binomtest(only_two, only_one + only_two).pvalue)


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


def said(found: Difference) -> str:
    """A difference in words."""
    measure = found.measure.replace("val_", "validation ")
    what = "pairs of seed and fold" if found.folds > 1 else "seeds"
    of_same = f"from the same {found.pairs:,} {what}" if found.pairs > 1 else "from the same seed"
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.2g}"
    if found.p >= SURE:
        return f"{found.other}: no difference in {measure} can be told {of_same} ({p})"
    more = "more" if found.difference > 0 else "less"
    scale = 1 if measure.endswith("loss") else 100
    ends = sorted(abs(each) * scale for each in (found.low, found.high))
    interval = " to ".join(f"{each:.3g}" for each in ends)
    apart = f"{abs(found.difference) * scale:.3g}"
    if measure == "solved":
        return f"{found.other} solves {apart} points {more} {of_same}, {interval} ({p})"
    unit = "" if scale == 1 else " points"
    return f"{found.other} has {apart}{unit} {more} {measure} {of_same}, {interval} ({p})"


def pool(runs: Sequence[Path]) -> str:
    """What studies of the same settings from other seeds say, as if they were one.

    Raises:
        ValueError: If their settings differ, or they have members in common.
    """
    together: Columns = {}
    for run in runs:
        columns = read_members(run)
        if wrong := other_settings(runs[0], run):
            raise ValueError(f"{str(run)!r}: has other settings than {str(runs[0])!r}: {wrong}")
        if together and together.keys() != columns.keys():
            raise ValueError(f"{str(run)!r}: has other columns than {str(runs[0])!r}")
        for name, values in columns.items():
            together.setdefault(name, []).extend(values)
    what = [name for name in together if name in ("seed", "fold", *varied(together))]
    members = [*zip(*(together[name] for name in what), strict=True)]
    if len({*members}) < len(members):
        raise ValueError(
            f"{str(runs[0])!r}: has seeds in common with another; they would count twice"
        )
    return shown(summaries(together))


def shown(rows: Sequence[Row]) -> str:
    """What members say together, as aligned lines."""
    return "\n\n".join(map(aligned, tables(rows)))


def other_settings(one: Path, other: Path) -> str:
    """Names of the settings in which two runs differ."""
    first, second = (read_yaml(run / "config.yaml") or {} for run in (one, other))
    names = (first.keys() | second.keys()) - {*ANOTHER_MACHINES}
    return ", ".join(sorted(name for name in names if first.get(name) != second.get(name)))
