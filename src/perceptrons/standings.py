"""How a sweep stands: a line for each trial that has ended, a progress bar, and a table at last."""

import platform
import sys
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial
from tqdm import tqdm

from perceptrons.listing import aligned
from perceptrons.mistakes import fail
from perceptrons.trials import COMPLETE, FAIL, PRUNED, Trials

BEST_SHOWN = 10
KILLED = "its worker was killed"


class Standings:
    """Shows how a sweep stands, whichever worker ran a trial.

    Args:
        shared: The trials.
        total: Trials that are to be made.
        shown: Whether to show anything.
    """

    def __init__(self, shared: Trials, total: int, shown: bool) -> None:
        self.shared, self.total, self.shown = shared, total, shown
        self.metric = str(shared.settings["metric"])
        self.sign = 1 if shared.settings["direction"] == "minimize" else -1
        trials = shared.all()
        self.said = {trial.number for trial in trials if trial.state.is_finished()}
        if shown:
            done = len(shared.settled(trials))
            print(
                f"sweep {shared.name} in {shared.database.place}: {done} of {total} trials are done"
            )
        self.bar = tqdm(total=total, unit="trial", disable=not (shown and sys.stderr.isatty()))

    def show(self, trials: list[FrozenTrial]) -> None:
        """Show what has ended since the last time."""
        if not self.shown:
            return
        for trial in trials:
            if trial.state.is_finished() and trial.number not in self.said:
                self.said.add(trial.number)
                tqdm.write(self.line(trial))
        sys.stdout.flush()
        self.bar.n = len(self.shared.settled(trials))
        if best := self.ranked(trials)[:1]:
            self.bar.set_postfix_str(f"best {self.metric}={best[0].value:.6g}", refresh=False)
        self.bar.refresh()

    def line(self, trial: FrozenTrial) -> str:
        """What became of a trial."""
        start = f"trial {trial.number}: "
        if trial.state == FAIL:
            return f"{start}failed: {trial.user_attrs.get('reason', KILLED)}"
        early = f" after report {trial.last_step}, ended early" if trial.state == PRUNED else ""
        values = " ".join(f"{name}={value}" for name, value in rounded(trial.params).items())
        return f"{start}{self.metric}={trial.value:.6g}{early} {values} {run_of(trial)}"

    def ranked(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Trials that came to their end, the best first."""
        complete = [trial for trial in trials if trial.state == COMPLETE]
        return sorted(complete, key=lambda trial: self.sign * (trial.value or 0.0))

    def end(self) -> None:
        """Show the best trials.

        Raises:
            SystemExit: With status 1 if there is none, or if trials are left.
        """
        trials = self.shared.all()
        self.show(trials)
        self.bar.close()
        if not self.shown:
            return
        settled, ranked = self.shared.settled(trials), self.ranked(trials)
        counts = {state: sum(trial.state == state for trial in settled) for state in (PRUNED, FAIL)}
        if ranked:
            print(f"\n{aligned([self.row(trial) for trial in ranked[:BEST_SHOWN]])}\n")
        print(
            f"{len(settled)} trials: {len(ranked)} complete, {counts[PRUNED]} ended early,"
            f" {counts[FAIL]} failed"
        )
        if ranked:
            best = Path(run_of(ranked[0]), "config.yaml")
            print(f"the best: perceptrons fit --config {best}")
        if len(settled) < self.total:
            left = self.total - len(settled)
            fail(f"{left} of {self.total} trials are left; the same command goes on", status=1)
        if not ranked:
            fail("no trial came to its end", status=1)

    def row(self, trial: FrozenTrial) -> dict[str, Any]:
        values = {"trial": trial.number, self.metric: trial.value}
        return {**values, **trial.params, "run": run_of(trial)}


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()}


def run_of(trial: FrozenTrial) -> str:
    """A trial's run directory, as seen from here."""
    run, host = trial.user_attrs.get("run"), trial.user_attrs.get("host")
    if run is None:
        return "-"
    if host != platform.node():
        return f"{host}:{run}"
    inside = Path(run).is_relative_to(Path.cwd())
    return str(Path(run).relative_to(Path.cwd())) if inside else str(run)
