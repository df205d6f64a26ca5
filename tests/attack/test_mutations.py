"""Two hundred mutated configs: each trains, or ends with one line and status 2, and no run."""

import copy
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from children import Child, error_line
from conftest import CONFIGS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.attack
FILES = sorted([*CONFIGS.glob("*.yaml"), *CONFIGS.glob("studies/*.yaml")])
ODD: list[Any] = [
    *(None, "", " ", "x", float("nan"), float("inf"), -1, 0, 1e308, 10**30, 1e-320, True, [], {}),
    *([[1, "a"], None], {"class_path": "x"}, {"class_path": "MLP", "init_args": 3}, {1: 2}, "MLP"),
    *("torch.optim.SGD", "\x1b[31mred", "a\nb", "\u202e", "e" * 300, "1_000", "${oc.env:HOME}"),
    *("!include x", "/etc/passwd", "../x", "2024-12-31", "{", {"class_path": ["a"]}, [1] * 1000),
]
SMALL = {"max_epochs": 2, "max_steps": 60}
Keys = tuple[str, ...]


def paths(content: Any, above: Keys = ()) -> Iterator[Keys]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*above, key)
            yield from paths(value, (*above, key))


def small(file: Path) -> dict[str, Any]:
    """A config whose training ends at once."""
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    content["trainer"] = {**content.get("trainer", {}), **SMALL}
    if "seeds" in content:
        content["seeds"] = 3
    return content


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    content = copy.deepcopy(small(draw(st.sampled_from(FILES))))
    kept = [path for path in paths(content) if path[-1] not in SMALL]
    *above, last = draw(st.sampled_from(kept))
    inner = content
    for key in above:
        inner = inner[key]
    how = draw(st.sampled_from(("put", "put", "put", "delete", "rename")))
    value = inner.pop(last)
    if how == "put":
        inner[last] = draw(st.sampled_from(ODD))
    elif how == "rename":
        at = draw(st.integers(0, len(last) - 1))
        inner[last[:at] + draw(st.sampled_from("xyz_.-")) + last[at + 1 :]] = value
    return content


@settings(
    max_examples=200,
    deadline=None,
    phases=set(Phase) - {Phase.shrink},  # a config is short, and each takes seconds
    suppress_health_check=list(HealthCheck),
)
@given(mutated())
def test_a_mutated_config_trains_or_is_one_line(content: dict[str, Any]) -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        said, here = directory / "said", directory / "here"
        said.mkdir()
        here.mkdir()
        (here / "configs").symlink_to(CONFIGS)
        (here / "odd.yaml").write_text(yaml.safe_dump(content))
        finished = Child("fit --config odd.yaml --figures false", here, said=said).wait()
        if finished.status:
            error_line(finished, 2)
            assert sorted(path.name for path in here.iterdir()) == ["configs", "odd.yaml"]
        assert "Traceback" not in finished.err
    finally:
        shutil.rmtree(directory)
