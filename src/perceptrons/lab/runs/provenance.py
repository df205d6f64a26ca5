"""Where a run comes from: its settings, its command, and what it ran with."""

import platform
import re
import shlex
import subprocess
from datetime import UTC, datetime
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import torch
import yaml

from .files import read_json, remove_partial, write_json, write_whole

PACKAGE = __package__.partition(".")[0]


def begin(run: Path, words: list[str], config: str, trainer: Any) -> None:
    """Write down a new run's settings and where it comes from.

    Args:
        run: The run's directory.
        words: The words of the command.
        config: All settings, as YAML.
        trainer: What trains.
    """
    write_whole(run / "config.yaml", config.encode())
    device = trainer.strategy.root_device
    needed = [
        re.split(r"[^\w-]", need)[0] for need in requires(PACKAGE) or [] if "extra" not in need
    ]
    record = {
        "verb": words[0],
        "command": shlex.join([PACKAGE, *words]),
        "git": git_state(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in (PACKAGE, *needed)},
        "cpu": cpu(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "processes": trainer.world_size,
        "start": now(),
        "resumed": [],
        "end": None,
    }
    write_json(run / "provenance.json", record)


def extend(run: Path, words: list[str], settings: dict[str, Any]) -> None:
    """Note that a run is resumed, and with which settings otherwise than it began."""
    remove_partial(run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    for path, value in settings.items():
        section, _, name = path.partition(".")
        config.setdefault(section, {})[name] = value
    write_whole(run / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())
    record = read_json(run / "provenance.json")
    again = {"command": shlex.join([PACKAGE, *words]), "start": now()}
    record["resumed"] = [*record.get("resumed", []), again]
    write_json(run / "provenance.json", record)


def end(run: Path) -> None:
    """Note in a run's provenance that it has ended."""
    write_json(run / "provenance.json", {**read_json(run / "provenance.json"), "end": now()})


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_state() -> dict[str, Any] | None:
    """Commit that is checked out here and whether nothing is changed; ``None`` outside git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout

    try:
        return {
            "commit": git("rev-parse", "HEAD").strip(),
            "clean": not git("status", "--porcelain"),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()
