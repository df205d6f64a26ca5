"""The space of a sweep: what each of some settings may be, by the names of their flags."""

import json
import math
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from perceptrons.configs import read_yaml
from perceptrons.mistakes import fail

Values = dict[str, Any]

# what each trial is told otherwise
NOT_SWEPT = ("config", "name", "resume", "ckpt_path")
EXAMPLE = "such as 'model.optimizer.lr: {low: 0.01, high: 1.0, log: true}'"


class Range(NamedTuple):
    """All numbers from ``low`` to ``high``, both included; whole ones where all given are.

    Attributes:
        low: The lowest.
        high: The highest.
        step: Distance between two neighbours; ``None``: 1 of whole numbers, or else none.
        log: Whether it is their logarithm that is drawn evenly.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        given = (self.low, self.high, self.step or 1)
        return all(isinstance(number, int) for number in given)

    @property
    def ends(self) -> list[Any]:
        return [self.low, self.high]

    @property
    def size(self) -> float:
        """How many numbers it has."""
        step = self.step or (1 if self.whole else None)
        return math.inf if step is None else round((self.high - self.low) / step) + 1

    def number(self, value: Any) -> int:
        """Which of its numbers a value is, from 0; of an endless range, 0."""
        return 0 if self.size == math.inf else round((value - self.low) / (self.step or 1))

    def drawn(self, number: int) -> Any:
        """The value of that number, as a trial draws it."""
        return self.low + number * (self.step or 1)


class Choices(NamedTuple):
    """Some values.

    Attributes:
        values: The values, whatever a config can hold.
    """

    values: list[Any]

    @property
    def labels(self) -> list[Any]:
        """The values as a database keeps them: lists and settings as JSON."""
        return [json.dumps(v) if isinstance(v, list | dict) else v for v in self.values]

    @property
    def ends(self) -> list[Any]:
        return self.values

    @property
    def size(self) -> float:
        return len(self.values)

    def number(self, value: Any) -> int:
        return self.labels.index(value)

    def drawn(self, number: int) -> Any:
        return self.labels[number]


Space = dict[str, Range | Choices]


def read_space(path: str) -> Space:
    """The space that a YAML file holds.

    Raises:
        SystemExit: If the file cannot be read, or says what no space can be.
    """
    content = read_yaml(path, "space")
    if not isinstance(content, dict) or not content:
        fail(f"space={path!r}: holds no settings, {EXAMPLE}")
    try:
        return {checked_name(name): parsed(name, value) for name, value in content.items()}
    except ValueError as mistake:
        fail(f"{mistake} (in {path})", mistake)


def checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{name}: no such setting; names are text, {EXAMPLE}")
    if name in NOT_SWEPT:
        raise ValueError(f"{name}: is the same in all trials")
    return name


def parsed(name: str, given: Any) -> Range | Choices:
    """What a setting may be, as its line in the file says.

    Raises:
        ValueError: If that is not what a line can say.
    """
    ways = "{low: , high: } with step: or log: true, or {choices: [ , ]}"
    if not isinstance(given, dict):
        raise ValueError(f"{name}={json.dumps(given, default=str)}: expected {ways}")
    allowed = ("choices",) if "choices" in given else ("low", "high", "step", "log")
    for key in given:
        if key not in allowed:
            raise ValueError(f"{name}.{key}: no such key; expected {ways}, and names in full")
    if "choices" in given:
        return choices(name, given["choices"])
    for key in ("low", "high"):
        if key not in given:
            raise ValueError(f"{name}.{key}: missing; expected {ways}")
    numbers = {key: number(f"{name}.{key}", given[key]) for key in allowed[:3] if key in given}
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"{name}.log={log!r}: expected true or false")
    return sensible(name, Range(log=log, **numbers))


def number(name: str, given: Any) -> float:
    """A number; YAML takes ``1e-3`` for text."""
    try:
        found = given if isinstance(given, int) else float(given)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(given, bool) or not math.isfinite(found):
        raise ValueError(f"{name}={given!r}: expected a number")
    return found


def sensible(name: str, range_: Range) -> Range:
    """A range, if it has numbers in it and can be drawn from."""
    low, high, step, log = range_
    if low > high:
        raise ValueError(f"{name}.low={low}: is above high, which is {high}")
    if log and low <= 0:
        raise ValueError(f"{name}.low={low}: must be above 0 for its logarithm")
    if step is None:
        return range_
    if log:
        raise ValueError(f"{name}.step={step}: not with log")
    if step <= 0:
        raise ValueError(f"{name}.step={step}: must be above 0")
    if (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
        raise ValueError(f"{name}.step={step}: does not lead from {low} to {high}")
    return range_


def choices(name: str, values: Any) -> Choices:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name}.choices={json.dumps(values, default=str)}: expected a list")
    found = Choices(values)
    if any(isinstance(value, date) for value in values):  # YAML reads 2026-01-31 as one
        raise ValueError(f"{name}.choices: a date is text, between quotes")
    for at, label in enumerate(found.labels):
        if label in found.labels[:at]:
            raise ValueError(f"{name}.choices: {label} is there twice")
    return found


def ends(space: Space) -> list[Values]:
    """Sets of values in which each end of a range and each choice comes at least once."""
    longest = max(len(each.ends) for each in space.values())
    return [
        {name: each.ends[at % len(each.ends)] for name, each in space.items()}
        for at in range(longest)
    ]


def size(space: Space) -> float:
    """How many sets of values there are."""
    return math.prod(each.size for each in space.values())


def values_of(space: Space, drawn: Values) -> Values:
    """The values that a trial drew, choices by their labels."""
    found = {}
    for name, value in drawn.items():
        each = space[name]
        found[name] = each.values[each.number(value)] if isinstance(each, Choices) else value
    return found


def flags(values: Values) -> list[str]:
    """Values as flags of ``perceptrons fit``."""
    return [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
    ]
