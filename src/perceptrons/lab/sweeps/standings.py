"""How a sweep stands: a line for each trial that has ended, and a table at last."""

import platform
from collections import Counter
from pathlib import Path
from shlex import quote

from optuna.trial import FrozenTrial, TrialState

from ..cli.errors import PACKAGE, relative_path
from ..runs.text import Columns, aligned, cell, say
from ..studies.summary import short_names
from .trials import Trials, shown

BEST_SHOWN = 10
KILLED = "its worker was killed"


class Standings:
    """Shows how a sweep stands, whichever worker ran a trial.

    Args:
        trials: The trials.
    """

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.metric = str(trials.settings["metric"])
        self.said = {trial.number for trial in trials.all() if trial.state.is_finished()}
        say(f"{len(trials.settled())} of {trials.total} trials are done in {shown(trials.url)}")

    def show(self) -> None:
        """Show what has ended since the last time."""
        for trial in self.trials.all():
            if trial.state.is_finished() and trial.number not in self.said:
                self.said.add(trial.number)
                say(self.line(trial))

    def line(self, trial: FrozenTrial) -> str:
        """What became of a trial."""
        if trial.state == TrialState.FAIL:
            return f"trial {trial.number}: failed: {trial.user_attrs.get('reason', KILLED)}"
        pruned = f" pruned at report {trial.last_step}" * (trial.state == TrialState.PRUNED)
        names = short_names([*trial.params])
        values = " ".join(f"{names[key]}={cell(value)}" for key, value in trial.params.items())
        value = cell(trial.value)
        return f"trial {trial.number}: {self.metric}={value}{pruned} {values} {name_of(trial)}"

    def end(self) -> str | None:
        """Show the best trials; returns what is left undone, if anything is."""
        self.show()
        settled, total = self.trials.settled(), self.trials.total
        counts = Counter(trial.state.name for trial in settled)
        complete = [trial for trial in settled if trial.state == TrialState.COMPLETE]
        last_first = self.trials.settings["direction"] == "maximize"
        ranked = sorted(complete, key=lambda trial: trial.value or 0.0, reverse=last_first)
        if ranked:
            say(f"\n{aligned(self.table(ranked[:BEST_SHOWN]))}\n")
        ends = f"{counts['COMPLETE']} complete, {counts['PRUNED']} pruned, {counts['FAIL']} failed"
        say(f"{len(settled)} trials: {ends}")
        if ranked:
            config = quote(str(Path(run_of(ranked[0]), "config.yaml")))
            say(f"the best: {PACKAGE} fit --config {config}")
        if (left := total - len(settled)) > 0:
            return f"{left} of {total} trials are left; the same command resumes the sweep"
        return None if ranked else "no trial came to its end"

    def table(self, ranked: list[FrozenTrial]) -> Columns:
        names = short_names([*self.trials.space])
        return {
            "trial": [trial.number for trial in ranked],
            self.metric: [trial.value for trial in ranked],
            "run": [name_of(trial) for trial in ranked],
            **{names[name]: [trial.params.get(name) for trial in ranked] for name in names},
        }


def name_of(trial: FrozenTrial) -> str:
    """A trial's run as ``<name>/version_<n>``."""
    return "/".join(Path(run_of(trial)).parts[-2:])


def run_of(trial: FrozenTrial) -> str:
    """A trial's run directory, as seen from here."""
    run, host = trial.user_attrs.get("run", "-"), trial.user_attrs.get("host")
    if host not in (None, platform.node()):
        return f"{host}:{run}"
    return relative_path(Path(run))
