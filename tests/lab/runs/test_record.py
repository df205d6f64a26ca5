"""What a run writes down of itself loads again."""

import inspect
import os
from typing import Any

import pytest

os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

import lightning as L
import yaml
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks import Callback

from perceptrons.lab.cli.parser import SettingsParser
from perceptrons.lab.runs.record import loadable

REQUIRED: dict[str, dict[str, Any]] = {
    "BasePredictionWriter": {},
    "BatchSizeFinder": {},
    "EarlyStopping": {"monitor": "val/loss"},
    "OnExceptionCheckpoint": {"dirpath": "x"},
}
NAMES = [
    name
    for name in callbacks.__all__
    if inspect.isclass(made := getattr(callbacks, name))
    and issubclass(made, Callback)
    and not inspect.isabstract(made)
]


@pytest.mark.parametrize("name", NAMES)
def test_a_config_with_any_of_lightnings_callbacks_loads_again(name: str) -> None:
    parser = SettingsParser()
    parser.add_lightning_class_args(L.Trainer, "trainer")
    given = REQUIRED.get(name, {})
    needed = [
        each.name
        for each in inspect.signature(getattr(callbacks, name).__init__).parameters.values()
        if each.default is each.empty
        and each.kind is each.POSITIONAL_OR_KEYWORD
        and each.name not in ("self", *given)
    ]
    if needed:
        pytest.skip(f"has no defaults: {', '.join(needed)}")
    words = [f"--trainer.callbacks.{key}={value}" for key, value in given.items()]
    settings = parser.parse_args([f"--trainer.callbacks+={name}", *words])
    written = loadable(parser.dump(settings))
    assert "Unable to serialize" not in written
    parser.parse_object(yaml.safe_load(written))


def test_what_could_not_be_written_down_is_left_out_of_a_config() -> None:
    unwritten = "Unable to serialize instance cpu"
    config = f"{{a: {{b: '{unwritten}', c: [1, '{unwritten}']}}, d: 2}}"
    assert loadable(config) == "a:\n  c:\n  - 1\nd: 2\n"
    assert loadable("a:   1") == "a:   1"
