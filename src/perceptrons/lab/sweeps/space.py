"""The space of a sweep: what each of some settings may be, by the names of their flags."""

import json
import math
import random
import warnings
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Space = dict[str, BaseDistribution]
Values = dict[str, Any]

EXAMPLE = "such as 'model.optimizer.lr: {low: 0.01, high: 1.0, log: true}'"
WAYS = "expected {low: , high: } with step: or log: true, or {choices: [ , ]}"
# what a sweep gives each trial itself
NOT_SWEPT = ("config", "name", "resume", "ckpt_path", "trust")
NUMBERS = ("low", "high", "step")
LISTED = 1000  # sets of values that a space may have for each to be run once


def read_space(path: str) -> Space:
    """Read a space from a YAML file.

    Args:
        path: The file.

    Raises:
        ValueError: If it cannot be read, or is no space.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"space={path!r}: no such file") from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"space={path!r}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"space={path!r}: holds no settings, {EXAMPLE}")
    try:
        return {checked_name(name): distribution(name, line) for name, line in content.items()}
    except ValueError as error:
        raise ValueError(f"{error} (in {path})") from error


def checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{name}: no such setting; names are text, {EXAMPLE}")
    if name in NOT_SWEPT:
        raise ValueError(f"{name}: is the same in all trials")
    return name


def distribution(name: str, line: Any) -> BaseDistribution:
    """What a setting may be, as its line in the file says.

    Args:
        name: The setting.
        line: Its line: a range of numbers, or choices.

    Raises:
        ValueError: If a line cannot say that.
    """
    if not isinstance(line, dict):
        raise ValueError(f"{name}={json.dumps(line, default=str)}: {WAYS}")
    allowed = ("choices",) if "choices" in line else (*NUMBERS, "log")
    for key in line:
        if key not in allowed:
            raise ValueError(f"{name}.{key}: no such key; {WAYS}, and names in full")
    if "choices" in line:
        return choices(name, line["choices"])
    for key in ("low", "high"):
        if key not in line:
            raise ValueError(f"{name}.{key}: missing; {WAYS}")
    if not isinstance(line.get("log", False), bool):
        raise ValueError(f"{name}.log={line['log']!r}: expected true or false")
    return numbers(name, line)


def numbers(name: str, line: Values) -> BaseDistribution:
    """A range of numbers: whole ones where all that is given is whole."""
    given = {key: number(f"{name}.{key}", line[key]) for key in NUMBERS if key in line}
    log = line.get("log", False)
    low, high, step = given["low"], given["high"], given.get("step")
    if low > high:
        raise ValueError(f"{name}.low={low}: is above high, which is {high}")
    if log and low <= 0:
        raise ValueError(f"{name}.low={low}: must be above 0 for its logarithm")
    if log and step is not None:
        raise ValueError(f"{name}.step={step}: not with log")
    if step is not None and step <= 0:
        raise ValueError(f"{name}.step={step}: must be above 0")
    whole = all(isinstance(each, int) for each in given.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna would take a range that is not the one given
        try:
            if whole:
                return IntDistribution(int(low), int(high), log, int(step or 1))
            return FloatDistribution(low, high, log, step)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{name}: {error}") from error
        except UserWarning as error:
            raise ValueError(f"{name}.step={step}: does not lead from {low} to {high}") from error


def number(name: str, given: Any) -> float:
    """A number; YAML takes ``1e-3`` for text."""
    try:
        found = given if isinstance(given, int) else float(given)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(given, bool) or not abs(found) < 1e300:
        raise ValueError(f"{name}={given!r}: expected a number")
    return found


def choices(name: str, values: Any) -> CategoricalDistribution:
    """Choices; lists and settings are kept as JSON, as a flag takes them."""
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name}.choices={json.dumps(values, default=str)}: expected a list")
    try:
        found = [json.dumps(it) if isinstance(it, list | dict) else it for it in values]
        texts = [text(it) for it in found]
    except (TypeError, ValueError) as error:  # YAML reads 2026-01-31 as a date
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
    edges = {
        name: [*each.choices] if isinstance(each, CategoricalDistribution) else [each.low, each.high]
        for name, each in space.items()
    }
    longest = max(map(len, edges.values()))
    return [{name: at[i % len(at)] for name, at in edges.items()} for i in range(longest)]


def size(space: Space) -> float:
    """How many sets of values there are."""
    return math.prod(map(count, space.values()))


def count(each: BaseDistribution) -> float:
    if isinstance(each, CategoricalDistribution):
        return len(each.choices)
    assert isinstance(each, IntDistribution | FloatDistribution)
    if each.low == each.high:
        return 1
    return math.inf if each.step is None else round((each.high - each.low) / each.step) + 1


def listed(space: Space) -> list[Values] | None:
    """All sets of values in an order by chance; ``None`` where there are more than ``LISTED``."""
    if size(space) > LISTED:
        return None
    sets = [dict(zip(space, each, strict=True)) for each in product(*map(values, space.values()))]
    random.Random(0).shuffle(sets)
    return sets


def values(each: BaseDistribution) -> list[Any]:
    """All values of a setting that has an end of them."""
    if isinstance(each, CategoricalDistribution):
        return [*each.choices]
    assert isinstance(each, IntDistribution | FloatDistribution)
    if isinstance(each, IntDistribution):
        return [*range(each.low, each.high + 1, each.step)]
    low, step = Decimal(str(each.low)), Decimal(str(each.step or 1))
    return [float(low + step * at) for at in range(int(count(each)))]


def draw(space: Space, trial: optuna.Trial) -> Values:
    """Have Optuna draw a trial's values."""
    drawn: Values = {}
    for name, each in space.items():
        if isinstance(each, CategoricalDistribution):
            drawn[name] = trial.suggest_categorical(name, each.choices)
        elif isinstance(each, IntDistribution):
            drawn[name] = trial.suggest_int(name, each.low, each.high, step=each.step, log=each.log)
        elif isinstance(each, FloatDistribution):
            drawn[name] = trial.suggest_float(
                name, each.low, each.high, step=each.step, log=each.log
            )
    return drawn
