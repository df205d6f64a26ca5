"""What a network makes of a table that has no plane: of each part of it, and of each input."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .scene import Array, Integers, Part, Scene, chances, winners

if TYPE_CHECKING:
    from .survey import Survey

COUNTED = 20_000  # rows that are counted at most
# rows and inputs that importance is asked of; worst rows, and their inputs, that are shown
ASKED, ASKED_INPUTS, WORST, WORST_INPUTS = 1_000, 60, 8, 5


def with_table(survey: "Survey", scene: Scene) -> Scene:
    """A scene with what is right in each part, and what matters."""
    survey.with_weights(None, lambda: None)
    parts: dict[str, Part] = {}
    split = survey.data.split
    for name in ("train", "val", "test"):
        if all(split[name] is not split[other] for other in parts):
            x, y = (column[:COUNTED] for column in split[name][:2])
            says = chances(survey.say(x.float()), survey.classes)
            parts[name] = Part(survey.right_of(y), says)
    if len(parts) == 1:
        parts = {"all": parts["train"]}
    scene = replace(scene, parts=parts, worst=worst(survey, *[*parts.items()][-1]))
    if scene.inputs > ASKED_INPUTS:
        why = f"{scene.inputs} inputs are too many to shuffle each"
        return replace(scene, missing=scene.missing | {"importance": why})
    return replace(scene, importance=importance(survey, scene))


def importance(survey: "Survey", scene: Scene) -> Array:
    """By how much accuracy falls where an input's values are shuffled between the rows."""
    from sklearn.inspection import permutation_importance

    class Fitted:
        """The network as scikit-learn takes it."""

        def fit(self) -> None: ...

    def accuracy(_: Fitted, points: Array, right: Integers) -> float:
        given = survey.data.from_points(torch.from_numpy(points).float())
        return float((winners(survey.say(given.float()), survey.classes) == right).mean())

    rows = scene.points[:ASKED], scene.right[:ASKED]
    found = permutation_importance(Fitted(), *rows, scoring=accuracy, random_state=0)
    return np.stack([found.importances_mean, found.importances_std], 1)


def worst(survey: "Survey", name: str, part: Part) -> dict[str, list[Any]]:
    """The rows of a part whose right class is least probable, by column."""
    of_right = part.chances[np.arange(len(part.right)), part.right]
    rows = of_right.argsort(kind="stable")[:WORST]
    called = [*map(str, survey.data.class_names or range(survey.classes))]
    inputs = survey.data.named(name, COUNTED)
    return {
        "row": [int(row) + 1 for row in rows],
        "right": [called[part.right[row]] for row in rows],
        "p of right": [float(of_right[row]) for row in rows],
        **{key: [inputs[key][row] for row in rows] for key in [*inputs][:WORST_INPUTS]},
    }
