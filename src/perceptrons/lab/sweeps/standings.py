"""How a sweep stands: a line for each trial that has ended, a progress bar, and a table at last."""

import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from ..runs.text import Columns, aligned, cell, escaped
from .storage import shown
from .trials import Trials

BEST_SHOWN = 10
KILLED = "its worker was killed"
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


class Standings:
    """Shows how a sweep stands, whichever worker ran a trial.

    Args:
        trials: The trials.
        total: How many are to be made.
        visible: Whether to show anything.
    """

    def __init__(self, trials: Trials, total: int, visible: bool = True) -> None:
        self.trials, self.total, self.visible = trials, total, visible
        self.metric = str(trials.settings["metric"])
        self.sign = 1 if trials.settings["direction"] == "minimize" else -1
        known = trials.all()
        self.said = {trial.number for trial in known if trial.state.is_finished()}
        if visible:
            done = len(trials.settled(known))
            where = f"sweep {trials.name} in {shown(trials.url)}"
            print(escaped(f"{where}: {done} of {total} trials are done"), flush=True)
        self.bar = tqdm(total=total, unit="trial", disable=not (visible and sys.stderr.isatty()))

    def show(self, trials: list[FrozenTrial]) -> None:
        """Show what has ended since the last time."""
        if not self.visible:
            return
        for trial in trials:
            if trial.state.is_finished() and trial.number not in self.said:
                self.said.add(trial.number)
                tqdm.write(escaped(self.line(trial)))
        sys.stdout.flush()
        self.bar.n = len(self.trials.settled(trials))
        if best := self.ranked(trials)[:1]:
            self.bar.set_postfix_str(f"best {self.metric}={cell(best[0].value)}", refresh=False)
        self.bar.refresh()

    def line(self, trial: FrozenTrial) -> str:
        """What became of a trial."""
        start = f"trial {trial.number}: "
        if trial.state == FAIL:
            return f"{start}failed: {trial.user_attrs.get('reason', KILLED)}"
        early = f" pruned at report {trial.last_step}" if trial.state == PRUNED else ""
        values = " ".join(f"{name}={cell(value)}" for name, value in trial.params.items())
        return f"{start}{self.metric}={cell(trial.value)}{early} {values} {run_of(trial)}"

    def ranked(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Trials that came to their end, the best first."""
        complete = [trial for trial in trials if trial.state == COMPLETE]
        return sorted(complete, key=lambda trial: self.sign * (trial.value or 0.0))

    def end(self) -> str | None:
        """Show the best trials.

        Returns:
            What is left undone, or ``None``.
        """
        trials = self.trials.all()
        self.show(trials)
        self.bar.close()
        if not self.visible:
            return None
        settled, ranked = self.trials.settled(trials), self.ranked(trials)
        counts = {state: sum(trial.state == state for trial in settled) for state in (PRUNED, FAIL)}
        if ranked:
            print(f"\n{aligned(self.table(ranked[:BEST_SHOWN]), keep=('run',))}\n")
        print(
            f"{len(settled)} trials: {len(ranked)} complete, {counts[PRUNED]} pruned,"
            f" {counts[FAIL]} failed"
        )
        if ranked:
            best = quote(str(Path(run_of(ranked[0]), "config.yaml")))
            print(f"the best: {Path(sys.argv[0]).name} fit --config {best}")
        if len(settled) < self.total:
            left = self.total - len(settled)
            return f"{left} of {self.total} trials are left; the same command resumes the sweep"
        return None if ranked else "no trial came to its end"

    def table(self, ranked: list[FrozenTrial]) -> Columns:
        columns: Columns = {
            "trial": [trial.number for trial in ranked],
            self.metric: [trial.value for trial in ranked],
        }
        for name in self.trials.space:
            columns[name] = [trial.params.get(name) for trial in ranked]
        return columns | {"run": [run_of(trial) for trial in ranked]}


def run_of(trial: FrozenTrial) -> str:
    """A trial's run directory, as seen from here."""
    known: Mapping[str, Any] = trial.user_attrs
    run, host = known.get("run"), known.get("host")
    if run is None:
        return "-"
    if host != platform.node():
        return f"{host}:{run}"
    inside = Path(run).is_relative_to(Path.cwd())
    return str(Path(run).relative_to(Path.cwd())) if inside else str(run)
