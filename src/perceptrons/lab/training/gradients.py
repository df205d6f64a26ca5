"""Losses and gradients of a network as functions of its weights: what compiled updates call."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.stateless import _reparametrize_module

from .protocol import dense_layers

FUSED = 4096  # products of rows and weights up to which a compiled loop is faster than a call

Weights = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
# losses and gradients, given weights, buffers, inputs and targets
Gradient = Callable[[Weights, Weights, Tensor, Tensor], tuple[Tensor, list[Tensor]]]


def lean_bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy whose gradient is used.

    That is exact, in a quarter fewer exponentials than torch's, which guards the value too.
    """
    return (F.softplus(logits) - y * logits).mean()


# what is compiled in place of these
LEAN: dict[Loss, Loss] = {F.binary_cross_entropy_with_logits: lean_bce}


def single(module: Any) -> Gradient:
    """Loss and gradients of a module's network."""
    if getattr(module, "hand_gradients", None):
        return single_by_hand(module)
    loss: Loss = LEAN.get(module.loss, module.loss)
    net: nn.Module = module.net
    chain = dense_layers(net) is not None

    def gradient(
        weights: Weights, buffers: Weights, x: Tensor, y: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        with torch.enable_grad():
            leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            if chain and len(x) * sum(each.numel() for each in weights.values()) <= FUSED:
                found = loss(forward(net, leaves, x), y)
            else:
                found = loss(functional_call(net, {**leaves, **buffers}, (x,)), y)
            made = torch.autograd.grad(found, [*leaves.values()], materialize_grads=True)
        return found.detach(), [*made]

    return gradient


def forward(net: nn.Module, weights: Weights, x: Tensor) -> Tensor:
    """Logits of a chain of small layers without a call of the matrix library, twice its work."""
    for name, layer in net.named_children():
        if isinstance(layer, nn.Linear):
            x = (x[:, None] * weights[f"{name}.weight"]).sum(-1)
            x = x if layer.bias is None else x + weights[f"{name}.bias"]
        else:
            x = layer(x)
    return x


def single_by_hand(module: Any) -> Gradient:
    """Loss and gradients of a module's network, as the module has them written out."""

    def gradient(
        weights: Weights, buffers: Weights, x: Tensor, y: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        # as functional_call does, which is for a network's own call alone
        with _reparametrize_module(module.net, {**weights, **buffers}):
            logits, gradients = module.hand_gradients(x, y)
        return module.loss(logits, y), gradients

    return gradient


def with_clipping(
    gradient: Gradient, dimension: int | None, value: float, algorithm: str | None
) -> Gradient:
    """Gradients clipped by their value, or by the norm of all, or of each member's own.

    Args:
        gradient: Makes them.
        dimension: Where members lie; ``None``: there is one network.
        value: What they are clipped to.
        algorithm: ``value``, or else by the norm.
    """

    at = -1 if dimension is None else dimension

    def made(*given: Any) -> tuple[Tensor, list[Tensor]]:
        losses, found = gradient(*given)
        if algorithm == "value":
            return losses, [each.clamp(-value, value) for each in found]
        last = [each.movedim(at, -1) for each in found]
        members = 1 if dimension is None else last[0].shape[-1]
        norms = torch.cat([each.reshape(-1, members) for each in last]).norm(dim=0)
        factors = (value / (norms + 1e-6)).clamp(max=1.0)
        return losses, [(each * factors).movedim(-1, at) for each in last]

    return made
