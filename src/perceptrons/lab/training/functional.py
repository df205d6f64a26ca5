"""The steps of torch's optimizers, without what they have round them, or such as can be traced.

What a traced one computes is a graph of torch's operations, in which the learning rate and the
number of the update are tensors.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from inspect import unwrap
from typing import Any, cast

import torch
from torch import Tensor, optim
from torch.overrides import TorchFunctionMode

State = dict[str, Tensor]

# those whose state is tensors of the weights' shapes, and the count of updates
KNOWN = (
    *(optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad),
    *(optim.Adamax, optim.Adadelta, optim.RAdam),
)
PLAIN = {"foreach": False, "fused": False, "capturable": True}


def check_compiles(optimizer: optim.Optimizer) -> None:
    """Find an optimizer whose updates cannot be compiled.

    Raises:
        ValueError: If it is one.
    """
    if type(optimizer) not in KNOWN:
        known = ", ".join(each.__name__ for each in KNOWN)
        name = type(optimizer).__name__
        raise ValueError(f"compile=True: not with {name}; the optimizers for it are {known}")


class TensorFactors(TorchFunctionMode):
    """Lets the factor of ``add_``, ``addcdiv_`` and ``addcmul_``, a number for torch, be a tensor.

    Optimizers multiply by the learning rate so.
    """

    products: dict[Any, Callable[..., Tensor]] = {  # noqa: RUF012
        Tensor.add_: lambda other: other,
        Tensor.addcdiv_: torch.div,
        Tensor.addcmul_: torch.mul,
    }

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        factor = kwargs.get("alpha", kwargs.get("value"))
        if func in self.products and isinstance(factor, Tensor):
            return args[0].add_(self.products[func](*args[1:]) * factor)
        return func(*args, **kwargs)


def step(
    optimizer: optim.Optimizer,
    parameters: Sequence[Tensor],
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[State],
    rates: Tensor,
    number: Tensor,
) -> None:
    """Update weights and their states in place, as an optimizer would update its own.

    Args:
        optimizer: The optimizer, which is left as it is.
        parameters: What it optimizes.
        weights: What stands for each of these.
        gradients: Their gradients.
        states: What is kept for each, but for the count of updates.
        rates: Learning rate of each group ``(groups,)``.
        number: How many updates there will have been, with this one.
    """
    twin, stands_for = copy.copy(optimizer), dict(zip(map(id, parameters), weights, strict=True))
    twin.state, twin.param_groups = defaultdict(dict), []
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        mine = [stands_for[id(each)] for each in group["params"] if id(each) in stands_for]
        twin.param_groups.append({**group, **PLAIN, "params": mine, "lr": rate})
    for parameter, weight, gradient, state in zip(
        parameters, weights, gradients, states, strict=True
    ):
        weight.grad = gradient if parameter.requires_grad else None
        twin.state[weight] = {**state, "step": number - 1}
    with TensorFactors():
        unwrap(type(twin).step)(twin)  # without what torch notes for a profiler
    for weight in weights:
        weight.grad = None


def step_of(optimizer: Any) -> Callable[[Callable[[], Any]], object]:
    """Makes an update by an optimizer, given what takes the gradients.

    Of torch's own it is the step without what torch does round it, half of its time; but where
    something is to come before each, or a scheduler asks whether there were steps.
    """
    if type(optimizer) not in KNOWN:
        return cast(Callable[[Any], Any], optimizer.step)
    step, hooks = optimizer.step, {}
    if not optimizer._optimizer_step_pre_hooks and "step" not in vars(optimizer):
        bare = descend if descends(optimizer) else unwrap(type(optimizer).step)
        step, hooks = partial(bare, optimizer), optimizer._optimizer_step_post_hooks

    def update(take_gradients: Callable[[], Any]) -> None:
        take_gradients()
        step()
        for hook in hooks.values():
            hook(optimizer, (), {})

    return update


def has_hooks(optimizer: Any, parameters: Iterable[Any] = ()) -> bool:
    """Whether something is to be called at each step, or with each gradient: torch tells no one."""
    steps = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    names = "_backward_hooks", "_post_accumulate_grad_hooks"
    return any(steps) or any(getattr(each, name, None) for each in parameters for name in names)


def descends(optimizer: Any) -> bool:
    """Whether an optimizer moves the weights against their gradients, and does nothing else."""
    more = "momentum", "weight_decay", "dampening", "maximize", "fused"
    return type(optimizer) is optim.SGD and not any(
        group[each] for group in optimizer.param_groups for each in more
    )


def without_autograd(optimizer: optim.Optimizer, by_hand: Any) -> Any:
    """Turns autograd off: for good, a tenth faster, where no state is kept that could need it."""
    return torch.inference_mode() if by_hand and descends(optimizer) else torch.no_grad()


def descend(optimizer: optim.Optimizer) -> None:
    """The step of such an optimizer, of all weights in one call: a third of its time."""
    for group in optimizer.param_groups:
        if moved := [each for each in group["params"] if each.grad is not None]:
            torch._foreach_add_(moved, [each.grad for each in moved], alpha=-group["lr"])


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
    """Whether an optimizer has all of its state, which it makes at its first update."""
    needs_none = all(group.get("momentum") == 0 for group in optimizer.param_groups)
    return bool(optimizer.state) or (isinstance(optimizer, optim.SGD) and needs_none)
