"""Run every study of ``configs/studies/``, and write what they found into ``docs/studies.md``.

Ends with status 1 if a share is another than a plain loop found from other seeds, by more than
chance.
"""

import json
import math
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from perceptrons.__main__ import main as perceptrons
from perceptrons.lab.studies.summary import Row

ROOT = Path(__file__).parent.parent
STUDIES = ROOT / "configs" / "studies"
PAGE = ROOT / "docs" / "studies.md"
# of each experiment: what one published run showed, and what share of 2,000 seeds, others than
# here, a plain loop without this package found to solve it
PUBLISHED: dict[str, tuple[str, float | None]] = {
    "xor": ("learned", None),
    "xor_wide": ("learned", None),
    "xor_mse": ("learned", 0.69),
    "xor_numpy": ("learned", 0.70),
    "xor_online_mse": ("not learned", 0.95),
    "xor_online_bce": ("learned", 0.89),
}
SEEDS, ROUNDED = 2000, 0.005
HEAD = """\
| study | seeds | solved (95 % interval) | updates to solve: 10 %, median, 90 % \
| final loss: 10 %, median, 90 % | seconds | the one run published | a plain loop |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
# colours that stay apart for every kind of colour blindness (Okabe and Ito), dashes for print
LINES = (
    ("#000000", "-"),
    ("#e69f00", "--"),
    ("#0072b2", "-"),
    ("#009e73", "-."),
    ("#d55e00", "--"),
    ("#cc79a7", "-"),
)


class Found(NamedTuple):
    """What a study found.

    Attributes:
        name: Of the experiment.
        rows: The summary, a row for each setting.
        seconds: That it took.
        updates: At which there was a report.
        shares: Share of members that were solved at each.
    """

    name: str
    rows: list[Row]
    seconds: float
    updates: list[int]
    shares: list[float]


def run(name: str, words: str = "") -> Found:
    """Run a study."""
    with redirect_stdout(said := StringIO()):
        perceptrons(["fit", f"--config={STUDIES / name}.yaml", *shlex.split(words)])
    (directory,) = re.findall(r"^run:  (.+)$", said.getvalue(), re.M)
    metrics = json.loads(Path(directory, "metrics.json").read_text())
    points = EventAccumulator(directory).Reload().Scalars("train/solved")
    updates, shares = [point.step for point in points], [point.value for point in points]
    return Found(name, metrics["study"], metrics["seconds"], updates, shares)


def chance(share: float, other: float, of: int = SEEDS) -> bool:
    """Whether two shares of so many seeds, the other rounded, differ by no more than chance.

    The difference of two such shares is normal, near enough; 5 % of differences are larger.
    """
    mean = (share + other) / 2
    return abs(share - other) <= 1.959964 * math.sqrt(2 * mean * (1 - mean) / of) + ROUNDED


def percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def line(found: Found) -> str:
    """A study as a row of the page's table."""
    row: dict[str, Any] = found.rows[0]
    single, again = PUBLISHED[found.name]
    interval = f"({percent(row['share_low'])[:-2]} to {percent(row['share_high'])})"
    updates = [f"{row[f'updates_{at}']:,.0f}" for at in ("10", "median", "90")]
    losses = [f"{row[f'loss_{at}']:.2g}" for at in ("10", "median", "90")]
    cells = [
        f"[{found.name}](../configs/studies/{found.name}.yaml)",
        f"{row['members']:,}",
        f"{percent(row['share'])} {interval}",
        ", ".join(updates),
        ", ".join(losses),
        f"{found.seconds:.0f}",
        single,
        "" if again is None else f"{again:.0%}".replace("%", " %"),
    ]
    return "| " + " | ".join(cells) + " |"


def curves(all_found: Sequence[Found]) -> Figure:
    """The share solved of each study over its updates."""
    figure = Figure(figsize=(7.2, 3.6), dpi=110, layout="constrained", facecolor="white")
    axes = figure.subplots()
    for found, (color, style) in zip(all_found, LINES, strict=True):
        axes.plot(found.updates, found.shares, color=color, linestyle=style, label=found.name)
    axes.set_xscale("log")
    axes.set_xlim(100, 40_000)
    axes.xaxis.set_major_formatter(lambda updates, _: f"{updates:,.0f}")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}".replace("%", " %"))
    axes.set_xlabel("updates")
    axes.set_ylabel("share of 2,000 seeds that is solved")
    axes.grid(color="#dddddd")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def replaced(page: str, name: str, text: str) -> str:
    """A page with other text between the comments that a name marks."""
    found = re.search(rf"(?<=<!-- {name} -->\n).*?(?=\n<!-- end of {name} -->)", page, re.S)
    assert found
    return page[: found.start()] + text + page[found.end() :]


def main() -> None:
    sys.argv[1:] = []
    all_found = []
    for name, (_, again) in PUBLISHED.items():
        found = run(name)
        all_found.append(found)
        share = found.rows[0]["share"]
        agrees = again is None or chance(share, again)
        print(f"{line(found)}{'' if agrees else '  DIFFERS'}", flush=True)
    PAGE.write_text(replaced(PAGE.read_text(), "studies", "\n".join([HEAD, *map(line, all_found)])))
    picture = PAGE.parent / "images" / "studies.png"
    curves(all_found).savefig(picture, pil_kwargs={"optimize": True})
    differ = (
        again is not None and not chance(found.rows[0]["share"], again)
        for found, (_, again) in zip(all_found, PUBLISHED.values(), strict=True)
    )
    sys.exit(any(differ))


if __name__ == "__main__":
    main()
