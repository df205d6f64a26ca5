"""What the lab needs of a LightningModule, and why.

Any LightningModule gets runs, resume, errors, TensorBoard and sweeps. What trains a network without
Lightning's training step needs to know its parts: studies train many networks in one, compiled
updates make several in one function. For these a module has the attributes of :class:`Trainable`,
and may have those of :class:`Described`, by which reports, figures and predictions say more.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

# activations that work number by number, so that members of a study can lie in any dimension
ELEMENTWISE = (
    *(nn.Sigmoid, nn.Tanh, nn.ReLU, nn.LeakyReLU, nn.Identity, nn.ELU, nn.SELU, nn.GELU),
    *(nn.SiLU, nn.Mish, nn.Softplus, nn.Hardtanh, nn.ReLU6, nn.LogSigmoid, nn.Softsign),
)

Optimizers = Callable[[Any], torch.optim.Optimizer]
Schedulers = Callable[[torch.optim.Optimizer], Any]


@runtime_checkable
class Trainable(Protocol):
    """A network and how it is trained.

    Attributes:
        net: Logits ``(rows, outputs)`` from ``x (rows, inputs)``.
        loss: Mean over the rows of a batch, given logits and targets.
        optimizer: Makes the optimizer of some parameters.
        scheduler: Makes its scheduler, which is stepped at each update; or ``None``.
    """

    net: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Optimizers
    scheduler: Schedulers | None


class Described(Protocol):
    """What a module may have besides; each is asked for by ``getattr(module, name, None)``.

    Attributes:
        hand_gradients: Logits, and the gradient of each parameter, given ``x`` and ``y``, where
            autograd is off, at times by ``torch.inference_mode``; ``None``: autograd makes them.
        measured_loss: The loss as reports give it, given logits and targets.
        targets: Targets ``(rows, outputs)`` as the loss takes them, given those of a batch.
        predictions: What logits say, each ``(rows, n)`` by its name, such as ``probability``.
        correct: Which answers are right ``(rows, n)``, given logits and targets.
        classes: Number of classes.
        measuring_hooks: Names of those hooks of the class that has this attribute which change
            nothing of the training, so that a study need not call them.
    """

    hand_gradients: Callable[[Tensor, Tensor], tuple[Tensor, list[Tensor]]] | None
    measured_loss: Callable[[Tensor, Tensor], Tensor]
    targets: Callable[[Tensor], Tensor]
    predictions: Callable[[Tensor], dict[str, Tensor]]
    correct: Callable[[Tensor, Tensor], Tensor]
    classes: int
    measuring_hooks: tuple[str, ...]


def dense_layers(net: nn.Module) -> list[tuple[nn.Linear, nn.Module | None]] | None:
    """Each linear layer of a network with the activation after it, where it has nothing else.

    ``None`` where the network is not an ``nn.Sequential`` of linear layers and elementwise
    activations: then nobody can say what it computes without calling it.
    """
    if not isinstance(net, nn.Sequential) or type(net).forward is not nn.Sequential.forward:
        return None
    layers: list[tuple[nn.Linear, nn.Module | None]] = []
    for layer in net:
        if type(layer) is nn.Linear:
            layers.append((layer, None))
        elif type(layer) in ELEMENTWISE and layers and layers[-1][1] is None:
            layers[-1] = (layers[-1][0], layer)
        else:
            return None
    return layers or None
