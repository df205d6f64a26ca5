"""How a sweep draws from a space that has an end: no set of values twice.

The same settings give the same run, so that to draw them again would be to learn nothing.
"""

import random
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial

from perceptrons.space import Space

TRIES = 10  # draws by what the trials have shown, before those by chance
CHANCES = 1000


def draw(
    space: Space,
    distributions: dict[str, BaseDistribution],
    trials: list[FrozenTrial],
    direction: optuna.study.StudyDirection,
) -> dict[str, Any]:
    """A set of values that no trial has had yet; there must be one.

    Args:
        space: What is drawn from; with an end.
        distributions: The same, as Optuna has it.
        trials: The trials that there are.
        direction: Whether less or more is better.
    """
    seen = {numbers(space, trial.params) for trial in trials if trial.params.keys() == space.keys()}
    # a study in memory, where draws that are not taken leave nothing behind
    study = optuna.create_study(direction=direction, sampler=TPESampler(seed=len(trials)))
    study.add_trials(trial for trial in trials if trial.state.is_finished())
    for _ in range(TRIES):
        drawn = study.ask(distributions).params
        if numbers(space, drawn) not in seen:
            return drawn
    sizes = [int(each.size) for each in space.values()]
    chosen = by_chance(sizes, seen, random.Random(len(trials)))
    pairs = zip(space.items(), chosen, strict=True)
    return {name: each.drawn(number) for (name, each), number in pairs}


def numbers(space: Space, drawn: dict[str, Any]) -> tuple[int, ...]:
    """Which of its values each setting has."""
    return tuple(each.number(drawn[name]) for name, each in space.items())


def by_chance(
    sizes: list[int], seen: set[tuple[int, ...]], chance: random.Random
) -> tuple[int, ...]:
    """Numbers below the sizes that have not been seen together."""
    for _ in range(CHANCES):
        drawn = tuple(chance.randrange(size) for size in sizes)
        if drawn not in seen:
            return drawn
    return next(each for each in product(*map(range, sizes)) if each not in seen)
