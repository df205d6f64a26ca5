"""Who may import whom: the rooms of the package, and that the guard at their doors can fail."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import perceptrons

FILES = {path.stem: path for path in Path(perceptrons.__path__[0]).glob("*.py")}

# what another process draws with
DRAWING = {"panels", "plots", "diagrams", "drawing"}

# what only `perceptrons sweep` needs, with libraries of its own
SWEEP = {"database", "sampling", "space", "standings", "sweep", "trials", "watched", "workers"}
# what of the package each file may import
OURS: dict[str, set[str]] = {
    "__init__": {"notebook"},
    "__main__": {"cli", "commands", "mistakes"},
    "commands": set(),
    "memory": set(),
    "network": {"memory"},
    "backprop": {"network"},
    "loader": {"shares"},
    "shares": set(),
    "precision": {"classifier"},
    "processes": {"classifier", "fused", "mistakes"},
    "tables": {"loader", "shares"},
    "data": {"loader", "tables"},
    "shapes": {"loader", "tables"},
    "columns": {"loader", "mistakes", "tables"},
    "datafile": {"columns", "mistakes"},
    "predictions": set(),
    "losses": set(),
    "measures": {"losses"},
    "blocks": {"network", "backprop", "losses"},
    "optimizers": set(),
    "rules": set(),
    "compiled": {"blocks", "rules"},
    "classifier": {
        *("network", "backprop", "losses", "measures", "blocks", "optimizers", "rules"),
        *("compiled", "predictions"),
    },
    "fused": set(),
    "scene": set(),
    "panels": {"scene"},
    "plots": {"panels", "scene"},
    "diagrams": {"panels", "plots", "scene"},
    "drawing": {"diagrams", "mistakes", "plots", "scene"},
    "survey": {"network", "scene", "study", "tables"},
    "figures": {"runs", "scene", "study", "survey"},
    "callbacks": set(),
    "board": {"loader", "network", "predictions", "runs", "tables"},
    "runs": set(),
    "archives": set(),
    "trust": set(),
    "checkpoints": {"archives", "runs"},
    "mistakes": {"commands"},
    "configs": {"mistakes"},
    "origins": {"configs", "mistakes"},
    "verbs": {"mistakes"},
    "listing": {"commands", "configs", "runs", "mistakes", "verbs"},
    "parser": {"mistakes", "origins"},
    "raised": {"mistakes"},
    "failures": {"configs", "mistakes", "origins", "parser", "raised"},
    "study": {"tables"},
    "provenance": {"runs"},
    "arguments": {"commands"},
    "results": {"board", "classifier", "predictions", "runs", "study", "tables"},
    "replica": {"checkpoints", "commands", "mistakes", "runs", "study", "verbs"},
    "resume": {
        *("checkpoints", "classifier", "configs", "runs", "mistakes", "origins", "replica"),
        "trust",
    },
    "trial": {"classifier", "tables"},
    "preflight": {
        "commands",
        *("checkpoints", "classifier", "failures", "mistakes", "origins", "parser", "raised"),
        *("runs", "tables"),
    },
    "export": {
        *("classifier", "commands", "mistakes", "notebook", "predictions", "runs"),
        *("tables", "verbs"),
    },
    "completion": {"cli", "commands", "data", "mistakes", "parser", "verbs"},
    "notebook": {"checkpoints", "classifier", "cli", "preflight", "tables"},
    "cli": set(FILES)
    - {"__main__", "completion", "export", "notebook", "plotting"}
    - DRAWING
    - SWEEP,
    "plotting": {"checkpoints", "commands", "drawing", "figures", "listing", "mistakes"}
    | {"notebook", "plots", "resume", "runs", "scene", "survey", "verbs"},
    "space": {"configs", "mistakes"},
    "sampling": {"space"},
    "database": set(),
    "trials": {"database", "sampling", "space"},
    "watched": {"classifier", "cli", "measures", "mistakes", "preflight", "trials"},
    "standings": {"listing", "mistakes", "trials"},
    "workers": {"runs", "space", "standings", "trials", "watched"},
    "sweep": set(FILES) - {"__main__", "notebook"},
}
# which libraries, beside Python's own; a file without a row here may import any
LIBRARIES = {
    "archives": set(),
    "trust": {"yaml"},
    "memory": set(),
    "network": {"torch"},
    "backprop": {"torch"},
    "data": {"torch", "sklearn", "numpy"},
    "shapes": {"torch", "sklearn", "numpy"},
    "columns": {"torch", "numpy"},
    "datafile": {"sklearn", "numpy", "pandas"},
    "tables": {"torch", "sklearn", "numpy", "lightning"},
    "loader": {"torch", "numpy"},
    "predictions": {"torch"},
    "export": {"torch", "onnxruntime"},
    "losses": {"torch"},
    "measures": {"torch", "torchmetrics"},
    "blocks": {"torch"},
    "optimizers": {"torch"},
    "rules": {"torch"},
    "compiled": {"torch"},
    "fused": {"torch", "lightning"},
    "scene": {"numpy"},
    "panels": {"numpy", "matplotlib"},
    "plots": {"numpy", "matplotlib"},
    "diagrams": {"numpy", "matplotlib", "contourpy"},
    # not torch: it takes longer to be imported than the figures to be drawn
    "drawing": {"numpy", "matplotlib", "PIL", "tensorboard"},
}


def imported(source: str) -> Iterator[str]:
    """Full names of the modules, or of things in modules, that a source imports anywhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = ["perceptrons"] if node.level else []
            parts += [node.module] if node.module else []
            yield from (".".join([*parts, alias.name]) for alias in node.names)


def trespasses(room: str, source: str) -> set[str]:
    """What a file imports and may not."""
    found = set()
    for name in imported(source):
        top, _, rest = name.partition(".")
        if top == "perceptrons":
            ours = rest.partition(".")[0]
            found |= {ours} - OURS[room] - {""}
        elif top not in sys.stdlib_module_names:
            found |= {top} - LIBRARIES.get(room, {top})
    return found


@pytest.mark.parametrize("room", sorted(FILES))
def test_a_file_imports_only_what_it_may(room: str) -> None:
    assert room in OURS, f"{room}.py has no row in OURS: say what it may import"
    assert not trespasses(room, FILES[room].read_text())


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("network", "import lightning as L", {"lightning"}),
        ("network", "from lightning.pytorch import Trainer", {"lightning"}),
        ("network", "import math\nimport torch.nn.functional as F", set()),
        ("classifier", "from perceptrons.data import Gates", {"data"}),
        ("classifier", "from perceptrons import backprop, data", {"data"}),
        ("classifier", "from .data import Gates", {"data"}),
        ("classifier", "from . import network, data", {"data"}),
        ("classifier", "import perceptrons.data", {"data"}),
        ("data", "def f():\n    from perceptrons.classifier import Batch", {"classifier"}),
        ("data", "if TYPE_CHECKING:\n    import pandas", {"pandas"}),
        ("runs", "from perceptrons.cli import main", {"cli"}),
        ("plots", "import torch", {"torch"}),
        ("cli", "import perceptrons\nfrom perceptrons import data, runs", set()),
    ],
)
def test_the_guard_sees_a_forbidden_import(room: str, source: str, found: set[str]) -> None:
    assert trespasses(room, source) == found


def test_no_file_is_a_place_for_whatever_has_none() -> None:
    assert not {"utils", "util", "base", "common", "core", "helpers", "misc"} & set(FILES)
