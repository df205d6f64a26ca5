"""What an optimizer does to a weight, written out, for functions that ``torch.compile`` compiles.

torch's own optimizers break such a function at every step. The rules are as the documentation of
``torch.optim`` states them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
Settings = dict[str, Any]


def sgd(
    weight: Tensor, gradient: Tensor, state: State, rate: Tensor, n: Tensor, by: Settings
) -> Tensor:
    if by["weight_decay"]:
        gradient = gradient + by["weight_decay"] * weight
    if by["momentum"]:
        kept: Tensor = by["momentum"] * state["momentum_buffer"] + (1 - by["dampening"]) * gradient
        state["momentum_buffer"] = kept
        gradient = gradient + by["momentum"] * kept if by["nesterov"] else kept
    return weight - rate * gradient


def adam(
    weight: Tensor, gradient: Tensor, state: State, rate: Tensor, n: Tensor, by: Settings
) -> Tensor:
    (beta1, beta2), decay = by["betas"], by["weight_decay"]
    if by["decoupled_weight_decay"]:
        weight = weight * (1 - rate * decay)
    elif decay:
        gradient = gradient + decay * weight
    first: Tensor = beta1 * state["exp_avg"] + (1 - beta1) * gradient
    second: Tensor = beta2 * state["exp_avg_sq"] + (1 - beta2) * gradient**2
    state["exp_avg"], state["exp_avg_sq"] = first, second
    spread: Tensor = (second / (1 - beta2**n)).sqrt() + by["eps"]
    step: Tensor = rate / (1 - beta1**n)
    return weight - step * first / spread


def rmsprop(
    weight: Tensor, gradient: Tensor, state: State, rate: Tensor, n: Tensor, by: Settings
) -> Tensor:
    if by["weight_decay"]:
        gradient = gradient + by["weight_decay"] * weight
    square: Tensor = by["alpha"] * state["square_avg"] + (1 - by["alpha"]) * gradient**2
    state["square_avg"] = square
    change: Tensor = gradient / (square.sqrt() + by["eps"])
    if by["momentum"]:
        change = state["momentum_buffer"] = by["momentum"] * state["momentum_buffer"] + change
    return weight - rate * change


Rule = Callable[[Tensor, Tensor, State, Tensor, Tensor, Settings], Tensor]
RULES: dict[type[torch.optim.Optimizer], Rule] = {
    torch.optim.SGD: sgd,
    torch.optim.Adam: adam,
    torch.optim.AdamW: adam,
    torch.optim.RMSprop: rmsprop,
}
# settings with which the rules are others
OTHERWISE = ("amsgrad", "centered", "maximize")


def rule_of(optimizer: torch.optim.Optimizer) -> Rule:
    """The rule of an optimizer.

    Raises:
        ValueError: If it is not written out here.
    """
    name, known = type(optimizer).__name__, ", ".join(each.__name__ for each in RULES)
    if type(optimizer) not in RULES:
        raise ValueError(f"compile=True: not with {name}; the optimizers for it are {known}")
    for setting in OTHERWISE:
        if any(group.get(setting) for group in optimizer.param_groups):
            raise ValueError(f"compile=True: not with {name}'s {setting}")
    return RULES[type(optimizer)]
