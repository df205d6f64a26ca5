"""Numbers of other than 32 bits: what goes with them."""

from typing import Any

from lightning.pytorch.plugins.precision import MixedPrecision, Precision

from perceptrons.classifier import Classifier

PURE = "32-true, 64-true, bf16-true or 16-true"


def check_precision(trainer: Any, model: Classifier, asked: Any) -> None:
    """Find a precision that there is not here, or that a way of training does not have.

    Args:
        trainer: The trainer.
        model: The classifier.
        asked: The precision, as it is given.

    Raises:
        ValueError: If it is one.
    """
    plugin = trainer.precision_plugin
    given = f"precision={plugin.precision!r}"
    if str(asked) in ("16", "16-mixed") and plugin.precision == "bf16-mixed":  # Lightning's choice
        raise ValueError(f"precision={asked!r}: needs a GPU; choose bf16-mixed, or {PURE}")
    # what torch would compute in half precision, and scale, these compute otherwise
    if isinstance(plugin, MixedPrecision) and model.replicas is not None:
        raise ValueError(f"{given}: a study is not trained in mixed precision; choose {PURE}")
    if isinstance(plugin, MixedPrecision) and model.gradients == "by_hand":
        raise ValueError(f"{given}: not with gradients by hand; choose {PURE}")
    if type(plugin) is not Precision and model.compile_updates:
        raise ValueError(f"{given}: not with compile=True, which takes 32-true")
