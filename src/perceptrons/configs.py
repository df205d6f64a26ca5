"""Settings as config files and flags have them: read, looked up, and written out as flags."""

import json
from pathlib import Path
from typing import Any

import yaml

from perceptrons.mistakes import PACKAGE, fail, nearest, parameters, shown

# keys that hold further settings, by their last part
GROUPS = ("model", "trainer", "best", "last", "init_args")


def read_yaml(path: str, argument: str) -> Any:
    """What the YAML file holds that an argument names.

    Raises:
        SystemExit: If it cannot be read.
    """
    file = Path(path)
    start = f"{argument}={path!r}"
    if path and file.is_dir():
        fail(f"{start}: is a directory")
    if not file.is_file():
        asked = str(file.with_suffix(".yaml")) if path else ""
        fail(f"{start}: no such file{nearest(asked, map(str, file.parent.glob('*.yaml')))}")
    try:
        text = file.read_text()
        if again := repeated(yaml.compose(text, yaml.SafeLoader)):
            fail(f"{start}: is not clear: {again}")
        return yaml.safe_load(text)
    except UnicodeDecodeError as mistake:
        fail(f"{start}: is not text", mistake)
    except RecursionError as mistake:
        fail(f"{start}: refers to itself", mistake)
    except yaml.YAMLError as mistake:
        mark = getattr(mistake, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(getattr(mistake, "problem", mistake)).removeprefix("but ")
        fail(f"{start}: is not YAML{where}: {problem}", mistake)


def repeated(node: yaml.Node | None) -> str:
    """Which key a YAML mapping has twice, of which the last would count; empty where none."""
    if not isinstance(node, yaml.CollectionNode):
        return ""
    inner = node.value
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, value in node.value:
            if keys.count(key.value) > 1:
                return f"{key.value} is there twice, again in line {value.start_mark.line + 1}"
        inner = [value for _, value in node.value]
    return next(filter(None, map(repeated, inner)), "")


def read_config(path: str) -> Any:
    """The settings of a config file.

    Raises:
        SystemExit: If it cannot be read, or has not the outline of one.
    """
    settings = read_yaml(path, "config")
    if not isinstance(settings, dict):
        fail(f"config={path!r}: holds no settings, such as 'seed_everything: 777'")
    if found := misplaced(settings) or misshapen(settings):
        fail(f"{found} (in {path})")
    return settings


def misplaced(settings: dict[Any, Any]) -> str:
    """What a config file may not hold; empty where it does not."""
    if "config" in settings:
        return "config: no such key; a config is complete on its own"
    if settings.get("resume") is not None:
        return "resume: no such key; a run is gone on with by the flag, fit --resume"
    if settings.get("trust") is not None:
        return "trust: no such key; it is typed, --trust, or stands in pyproject.toml"
    return ""


def misshapen(settings: Any, path: str = "") -> str:
    """What is wrong with the outline of a config file; empty where nothing is."""
    if not isinstance(settings, dict):
        holds_more = path.rpartition(".")[2] in GROUPS
        return f"{path}={shown(str(settings))}: expected settings, a line for each" * holds_more
    for key in settings:
        if not isinstance(key, str):
            return f"{path}.{key}".lstrip(".") + ": no such key; keys are text"
    keys = ("class_path", "init_args", "dict_kwargs")
    if not settings.keys().isdisjoint(keys):
        for key in settings.keys() - keys:
            return f"{path}.{key}: no such key; a class has class_path and init_args"
    found = (misshapen(each, f"{path}.{key}".lstrip(".")) for key, each in settings.items())
    return next(filter(None, found), "")


def within(settings: Any, path: str) -> list[Any]:
    """The values at a path such as ``model.net.hidden`` of a config file, if it is there."""
    found = [settings]
    for key in path.split("."):
        found = [inner[key] for outer in found for inner in mappings(outer) if key in inner]
    return found


def mappings(settings: Any) -> list[dict[str, Any]]:
    """Where the keys of some settings are: in themselves, in a class's, in those of a list."""
    if isinstance(settings, list):
        return [inner for each in settings for inner in mappings(each)]
    if not isinstance(settings, dict):
        return []
    return [settings, *mappings(settings.get("init_args"))]


def leaves(settings: Any, path: str = "") -> dict[str, Any]:
    """The values of a config file by their paths, those in lists of classes too."""
    inner = mappings(settings)
    if not inner:
        return {path: settings}
    found: dict[str, Any] = {}
    for mapping in inner:
        for key, value in mapping.items():
            if key not in ("class_path", "init_args"):
                found |= leaves(value, f"{path}.{key}" if path else str(key))
    return found


def flat(settings: dict[str, Any], start: str = "", whole: bool = False) -> dict[str, Any]:
    """Settings by the names of their flags.

    Args:
        settings: The settings.
        start: What stands before each name.
        whole: Also the arguments that a class has by default. To know those it is imported.
    """
    flags: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and "class_path" in value:
            path = value["class_path"]
            flags[start + key] = path.rpartition(".")[2] if path.startswith(PACKAGE) else path
            defaults = {} if whole else parameters(path)
            differing = {
                name: each
                for name, each in value.get("init_args", {}).items()
                if name not in defaults or each != written(defaults[name].default)
            }
            flags |= flat(differing, f"{start}{key}.", whole)
        elif isinstance(value, dict):
            flags |= flat(value, f"{start}{key}.", whole)
        else:
            flags[start + key] = value
    return flags


def written(default: Any) -> Any:
    """A default as YAML has it."""
    return [*default] if isinstance(default, tuple) else default


def as_flags(settings: dict[str, Any]) -> list[str]:
    """The settings that differ from the defaults, as flags that give them again."""
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"
        for key, value in flat(settings).items()
    ]
