"""Where settings come from: the config files that a command names, or its flags."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import yaml

from perceptrons.configs import leaves, read_config, within
from perceptrons.mistakes import fail

# flags that are read before argparse can find that their value is missing
EARLY = ("config", "name", "resume", "ckpt_path", "trust")


class Origins:
    """Where the settings of a command come from.

    Args:
        words: The words of the command.

    Raises:
        SystemExit: If a config file cannot be read, a value is missing, or a flag is for another
            command.
    """

    def __init__(self, words: list[str]) -> None:
        self.all_words = words
        self.flags: dict[str, str] = {}
        for word, after in pairwise([*words, ""]):
            if word.startswith("--"):
                flag, equals, value = word[2:].partition("=")
                if not equals and valueless(flag, after):
                    fail(f"{flag}: a value is missing")
                path = flag.removesuffix("+").replace("init_args.", "")
                self.flags[path] = value if equals else after
        if "resume" in self.flags and "fit" not in words:
            fail("resume: only fit goes on with a run; what it has learned so far: --ckpt_path")
        named = [after for word, after in pairwise(words) if word in ("-c", "--config")]
        named += [word.partition("=")[2] for word in words if word.startswith("--config=")]
        self.configs = {name: read_config(name) for name in named}

    def name(self) -> str | None:
        """Name of the run: as given, or else the config file's."""
        given = self.value("name")
        return (
            str(given)
            if given is not None
            else next((Path(name).stem for name in reversed(self.configs)), None)
        )

    def value(self, path: str) -> Any:
        """A setting as it is given, ``None`` where it is not."""
        if path in self.flags:
            return None if self.flags[path] == "null" else self.flags[path]
        values = [found for config in self.configs.values() for found in within(config, path)]
        return values[-1] if values else None

    def given(self, paths: Iterable[str]) -> dict[str, Any]:
        """Those of some settings that flags give, as YAML reads them."""
        return {path: read(self.flags[path]) for path in paths if path in self.flags}

    def give(self, path: str) -> bool:
        """Whether a setting is given at all."""
        return path in self.flags or any(within(config, path) for config in self.configs.values())

    def every(self) -> dict[str, Any]:
        """All settings that are given, by their paths; of classes in config files not the names."""
        every: dict[str, Any] = {}
        for config in self.configs.values():
            every |= leaves(config)
        return every | self.given(self.flags)

    def without(self, path: str) -> list[str]:
        """The words of the command but for a flag and its value."""
        value_at = [at + 1 for at, word in enumerate(self.all_words) if word == f"--{path}"]
        return [
            word
            for at, word in enumerate(self.all_words)
            if at not in value_at and word.partition("=")[0] != f"--{path}"
        ]

    def of(self, line: str) -> str:
        """`` (in <file>)`` where the setting that a line starts with is from a config file."""
        path = re.split("[=:,]", line, maxsplit=1)[0]
        if line.endswith(": missing"):  # what lacks it may be there
            path = path.rpartition(".")[0]
        files = [name for name, settings in self.configs.items() if within(settings, path)]
        return f" (in {files[-1]})" if files and path not in self.flags else ""

    def refuse(self, line: str, cause: BaseException | None = None, status: int = 2) -> NoReturn:
        """End with a line that starts with a setting, and the file that the setting is from."""
        fail(line + self.of(line), cause, status)


def valueless(flag: str, after: str) -> bool:
    """Whether a flag that needs a value is followed by none."""
    needs_one = flag in EARLY or ("." in flag and not flag.endswith(".help"))
    return needs_one and (not after or after.startswith("--"))


def read(text: str) -> Any:
    """The value of a flag, as YAML reads it."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
