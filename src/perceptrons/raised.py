"""What a class has raised: the message, the calls that led to it, the user's code among them."""

import linecache
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException

from perceptrons.mistakes import reason

# errors whose message says enough without their name
PLAIN = (ValueError, TypeError, RuntimeError, OSError, MisconfigurationException)
# files of the package that only call what is at fault
CALLERS = {"cli", "fused", "preflight", "raised", "trial", "watched"}
TRACEBACK = "PERCEPTRONS_DEBUG=1 shows the traceback"
PACKAGE = Path(__file__).parent
# where libraries are installed
LIBRARIES = {"site-packages", "dist-packages"}


class Maker:
    """Makes objects of classes, and keeps what one of them raises: the parser may lose it."""

    failure: Exception | None = None

    def __call__(self, class_: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return class_(*args, **kwargs)
        except Exception as failure:
            self.failure = failure
            raise

    def refused(self, failure: Exception) -> Exception:
        """What a class has raised, if that is all that an error is about."""
        own = [each for each in chain_of(failure) if not by_jsonargparse(each)]
        return failure if own or self.failure is None else self.failure


class Raised:
    """An error, without what jsonargparse puts round it.

    Args:
        failure: The error.
        classes: The classes that may be at fault, by their paths.

    Attributes:
        said: Its message.
        plain: Whether that says enough by itself.
        owner: Path of the class in one of whose methods it was raised; empty where it is none's.
        frames: The calls that led to it and to its causes, each with its line, the innermost last;
            from the owner's first one on.
    """

    def __init__(self, failure: BaseException, classes: Sequence[tuple[str, type]] = ()) -> None:
        chain = chain_of(failure)
        error = next((each for each in chain if not by_jsonargparse(each)), failure)
        self.said = reason(str(error))
        self.plain = bool(self.said) and isinstance(error, PLAIN)
        if not self.plain:
            self.said = f"{type(error).__name__}: {self.said}".removesuffix(": ")
        frames = [call for each in chain for call in traceback.walk_tb(each.__traceback__)]
        owners = [owner_of(frame, classes) for frame, _ in frames]
        self.owner = next(filter(None, reversed(owners)), "")
        self.frames = frames[owners.index(self.owner) if self.owner else 0 :]

    def library_code(self) -> str:
        """Where it was raised and the code there, if that is a library's."""
        frame, line = self.frames[-1]
        file = frame.f_code.co_filename
        return "" if of_project(file) else f"{file}: {linecache.getline(file, line)}"

    def place(self) -> str:
        """Where in the user's code it was raised; empty where it was not."""
        for frame, line in reversed(self.frames):
            file = Path(frame.f_code.co_filename)
            if of_project(str(file)) and not (file.parent == PACKAGE and file.stem in CALLERS):
                return f"; at {file_shown(file)}:{line} in {frame.f_code.co_name}; {TRACEBACK}"
        return ""


def chain_of(failure: BaseException) -> list[BaseException]:
    """An error and its causes."""
    return [failure, *(chain_of(failure.__cause__) if failure.__cause__ else [])]


def by_jsonargparse(failure: BaseException) -> bool:
    """Whether an error is one of the parser's own."""
    last = [frame for frame, _ in traceback.walk_tb(failure.__traceback__)][-1:]
    return any(frame.f_globals["__name__"].startswith("jsonargparse") for frame in last)


def owner_of(frame: FrameType, classes: Sequence[tuple[str, type]]) -> str:
    """Path of the class that a call is a method of; empty where it is of none."""
    me = type(frame.f_locals.get("self"))
    return next((path for path, class_ in classes if class_ is me), "")


def of_project(file: str) -> bool:
    """Whether a file belongs to this project or the user, and not to a library."""
    path = Path(file)
    in_library = LIBRARIES & set(path.parts) or path.is_relative_to(sysconfig.get_path("stdlib"))
    return path.is_relative_to(PACKAGE) or bool(path.is_absolute() and not in_library)


def file_shown(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)
