"""The space of a sweep: what each of some settings may be, by the names of their flags."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, BruteForceSampler, TPESampler

from ..runs.files import read_yaml

Distribution = CategoricalDistribution | IntDistribution | FloatDistribution
Space = dict[str, Distribution]
Values = dict[str, Any]

WAYS = "expected {low: , high: } with step: or log: true, or {choices: [ , ]}, and names in full"
EXAMPLE = "such as 'model.optimizer.lr: {low: 0.01, high: 1.0, log: true}'"
NUMBERS = ("low", "high", "step")
# what a sweep gives each trial itself
NOT_SWEPT = ("config", "name", "resume", "ckpt_path", "trust")
FEW = 1000  # sets of values that a space may have for each to be run once


def read_space(path: str) -> Space:
    """The space that a YAML file holds.

    Raises:
        ValueError: If it cannot be read, or is no space.
    """
    try:
        content = read_yaml(Path(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"space={path!r}: {str(error).removeprefix(f'{path!r}: ')}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"space={path!r}: holds no settings, {EXAMPLE}")
    try:
        return {name: distribution(name, line) for name, line in content.items()}
    except (ValueError, TypeError, UserWarning) as error:
        raise ValueError(f"{str(error).split('. ')[0]} (in {path})") from error


def distribution(name: Any, line: Any) -> Distribution:
    """What a setting may be, as its line in the file says."""
    if not isinstance(name, str) or name in NOT_SWEPT:
        raise ValueError(f"{name}: cannot differ from trial to trial")
    given = set(line) if isinstance(line, dict) else set()
    is_range = {"low", "high"} <= given <= {*NUMBERS, "log"}
    if given != {"choices"} and not is_range:
        raise ValueError(f"{name}={json.dumps(line, default=str)}: {WAYS}")
    if not is_range:
        return choices(name, line["choices"])
    numbers = {key: number(f"{name}.{key}", line[key]) for key in NUMBERS if key in line}
    # whole numbers where all that is given is whole
    whole = all(isinstance(each, int) for each in numbers.values())
    kind = IntDistribution if whole else FloatDistribution
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna would take a range that is not the one given
        try:
            return kind(**numbers, log=line.get("log", False) is True)
        except (ValueError, UserWarning) as error:
            raise ValueError(f"{name}: {error}") from error


def number(name: str, given: Any) -> Any:
    """A number; YAML takes ``1e-3`` for text."""
    try:
        found = given if isinstance(given, int) else float(given)
        if math.isfinite(found) and not isinstance(given, bool):
            return found
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name}={given!r}: expected a number")


def choices(name: str, values: Any) -> CategoricalDistribution:
    """Choices; lists and settings are kept as JSON, as a flag takes them."""
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name}.choices={json.dumps(values, default=str)}: expected a list")
    try:
        found = [json.dumps(each) if isinstance(each, list | dict) else each for each in values]
        texts = [text(each) for each in found]
    except TypeError as error:  # YAML reads 2026-01-31 as a date
        raise ValueError(f"{name}.choices: {error}; put it between quotes") from error
    for at, each in enumerate(texts):
        if each in texts[:at]:
            raise ValueError(f"{name}.choices: {each} is there twice")
    return CategoricalDistribution(found)


def text(value: Any) -> str:
    """A value as a flag takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def flags(values: Values) -> list[str]:
    """Values as flags of ``fit``."""
    return [f"--{name}={text(value)}" for name, value in values.items()]


def ends(space: Space) -> list[Values]:
    """Sets of values in which each end of a range and each choice comes at least once."""
    edges: dict[str, list[Any]] = {
        name: [*each.choices]
        if isinstance(each, CategoricalDistribution)
        else [each.low, each.high]
        for name, each in space.items()
    }
    longest = max(map(len, edges.values()))
    return [{name: at[i % len(at)] for name, at in edges.items()} for i in range(longest)]


def size(space: Space) -> float:
    """How many sets of values there are; infinite, where a range has no steps."""
    return math.prod(size_of(each) for each in space.values())


def size_of(each: Distribution) -> float:
    if isinstance(each, CategoricalDistribution):
        return len(each.choices)
    if each.single():
        return 1
    return math.inf if each.step is None else round((each.high - each.low) / each.step) + 1


def sampler(space: Space, seed: int) -> BaseSampler:
    """What draws from a space: each set of values once where they are few, else by what is good."""
    return BruteForceSampler(seed) if size(space) <= FEW else TPESampler(seed=seed)


def draw(space: Space, trial: optuna.Trial) -> Values:
    """Have Optuna draw a trial's values."""
    suggest: dict[type, Any] = {
        CategoricalDistribution: trial.suggest_categorical,
        IntDistribution: trial.suggest_int,
        FloatDistribution: trial.suggest_float,
    }
    return {name: suggest[type(each)](name, **vars(each)) for name, each in space.items()}
