"""torch's optimizers in their functional forms, which ``torch.compile`` takes in one graph.

``optimizer.step()`` breaks a compiled function at every step; what it calls does not.
"""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, optim
from torch.optim.adadelta import adadelta
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.adamax import adamax
from torch.optim.radam import radam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

State = dict[str, Tensor]

# each optimizer with its functional form
FUNCTIONS: dict[type[optim.Optimizer], Callable[..., None]] = {
    optim.SGD: sgd,
    optim.Adam: adam,
    optim.AdamW: adam,
    optim.RMSprop: rmsprop,
    optim.Adagrad: adagrad,
    optim.Adamax: adamax,
    optim.Adadelta: adadelta,
    optim.RAdam: radam,
}
# what they call lists of tensors, and the optimizers what they keep for one
STATES = {
    "momentum_buffer_list": "momentum_buffer",
    "exp_avgs": "exp_avg",
    "exp_avg_sqs": "exp_avg_sq",
    "max_exp_avg_sqs": "max_exp_avg_sq",
    "exp_infs": "exp_inf",
    "square_avgs": "square_avg",
    "grad_avgs": "grad_avg",
    "acc_deltas": "acc_delta",
    "state_sums": "sum",
}
# what they are told otherwise than the optimizers are
TOLD: dict[str, bool | None] = {"capturable": True, "foreach": False, "fused": False}
TOLD |= {"differentiable": False, "has_complex": False, "has_sparse_grad": False}
TOLD |= {"grad_scale": None, "found_inf": None}


def check_compiles(optimizer: optim.Optimizer) -> None:
    """Find an optimizer that has no functional form here.

    Raises:
        ValueError: If it is one.
    """
    if type(optimizer) not in FUNCTIONS:
        known = ", ".join(each.__name__ for each in FUNCTIONS)
        name = type(optimizer).__name__
        raise ValueError(f"compile=True: not with {name}; the optimizers for it are {known}")


class Rule:
    """What an optimizer does to the weights of one of its groups.

    Args:
        kind: Class of the optimizer.
        group: Settings of the group.
    """

    def __init__(self, kind: type[optim.Optimizer], group: dict[str, Any]) -> None:
        self.function = FUNCTIONS[kind]
        names = [*inspect.signature(self.function).parameters][2:]
        self.states = {name: STATES[name] for name in names if name in STATES}
        self.counts = "state_steps" in names
        given = {**group, **TOLD}
        given["beta1"], given["beta2"] = group.get("betas", (0, 0))
        chosen = [name for name in names if name in given and name != "lr"]
        self.settings = {name: given[name] for name in chosen}

    def apply(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        states: list[State],
        rate: Tensor,
        number: Tensor,
    ) -> None:
        """Update weights and their states in place.

        Args:
            weights: The weights.
            gradients: Their gradients.
            states: What the optimizer keeps for each.
            rate: Learning rate.
            number: How many updates there will have been, with this one.
        """
        lists: dict[str, Any] = {
            name: [state[key] for state in states if key in state]
            for name, key in self.states.items()
        }
        if self.counts:
            lists["state_steps"] = [number - 1 for _ in weights]
        self.function(weights, gradients, **lists, **self.settings, lr=rate)


def states_of(optimizer: optim.Optimizer, weight: Tensor) -> State:
    """What an optimizer keeps for a weight, but for the count of updates."""
    kept = optimizer.state.get(weight, {})
    return {key: value for key, value in kept.items() if isinstance(value, Tensor) and value.ndim}


def count_updates(optimizer: optim.Optimizer, made: int) -> None:
    for state in optimizer.state.values():
        if "step" in state:
            state["step"] += made


def updates_made(optimizer: optim.Optimizer) -> int:
    state: dict[str, Any] = next(iter(optimizer.state.values()), {})
    return int(state.get("step", 0))


def is_ready(optimizer: optim.Optimizer) -> bool:
    """Whether an optimizer has all of its state, which some make at their first update."""
    kept = STATES.keys() & inspect.signature(FUNCTIONS[type(optimizer)]).parameters.keys()
    needs = any(group.get("momentum", 1) for group in optimizer.param_groups)
    return bool(optimizer.state) or not (kept and needs)
