"""One HTML file of some runs, which needs nothing else: no network, no server, no other file."""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, TypedDict

import numpy as np

from ..drawing import SAYS, pictures
from ..scene import Scene, evenly_changed

# bytes of weights in all frames of a run, past which frames are left out: a page stays small
MOST_BYTES = 100_000
MOST_PAGE = 1_000_000
PAGE = "figures/page.html"  # in a run
STILL = ("boundary", "predicted", "loss")  # pictures of a run that can be played with
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
UNREAD = re.compile(r"^ *(?://|/?\*).*\n|^ +", re.MULTILINE)  # comments, and what indents
EXPORT = re.compile(r"^export (?=(?:const|function|class) (\w+))", re.MULTILINE)


class Frame(TypedDict):
    """A network at one moment."""

    update: int  # how many updates it has had
    weights: Any  # all its numbers, layer by layer, weight (outputs, inputs) before bias


class Run(TypedDict, total=False):
    """What a page shows of a run; only its title must be there."""

    title: str
    settings: dict[str, Any]  # flat, by their names
    curves: dict[str, list[list[float]]]  # points [update, value], by names such as "val/loss"
    frames: list[Frame]  # in order; none: only curves and pictures are shown
    widths: list[int]  # inputs, hidden layers, outputs
    activations: list[str]  # of each hidden layer
    bias: bool  # whether layers have biases
    loss: str  # bce, mse (of probabilities), cross_entropy (softmax) or squared_error (of numbers)
    target: dict[str, Any] | None  # of numbers: their name, mean and std, as rows have neither
    # name (SGD, Adam or AdamW), lr and torch's other settings; bias_lr_factor; clip, its value and
    # algorithm; state after the last frame: step, and as flat lists like the weights momentum, or
    # mean, square, largest
    optimizer: dict[str, Any]
    inputs: list[str]  # names of the numbers of a point, 1 to 3
    features: list[str]  # names of the network's inputs, where these are others
    encode: dict[str, Any] | None  # how they follow from a point: matrix, offset; None: as they are
    class_names: list[str]  # empty: by their numbers
    rows: dict[str, dict[str, Any]]  # by train and val, lists x of points and y of targets
    batch_size: int | None  # None: all rows
    shuffle: bool  # whether each pass has an order of its own
    command: list[str]  # arguments of fit that make the run again
    note: str  # why something is missing
    training_note: str  # in what training on differs from the run
    pictures: dict[str, tuple[str, int]]  # by their names, as data: addresses, and their width


EMPTY: Run = {"settings": {}, "curves": {}, "rows": {}, "widths": [], "activations": []}
EMPTY |= {"inputs": [], "class_names": []}


def write_page(path: str | Path, runs: Sequence[Run]) -> None:
    """Write a page of one run, or of several beside each other.

    Raises:
        ValueError: If there is no run, or they make a page of more than 1 MB.
        OSError: If the file cannot be written.
    """
    text = page(runs)
    if len(text.encode()) > MOST_PAGE:
        raise ValueError(f"{len(runs)} runs: the page would have more than 1 MB; take fewer")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def add_pictures(run: Run, scene: Scene) -> Run:
    """A run with pictures of its scene."""
    return {**run, "pictures": pictures(scene, STILL if run.get("frames") else [*SAYS])}


def page(runs: Sequence[Run]) -> str:
    """The page as text."""
    if not runs:
        raise ValueError("runs=[]: a page shows at least one")
    room = files(__package__)
    script = bundle()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # nothing may be asked for from anywhere, and no other script may run
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline';"
        f" script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    title = ", ".join(run["title"] for run in runs)
    return Template((room / "page.html").read_text("utf-8")).substitute(
        policy=policy,
        title=html.escape(title),
        style=(room / "page.css").read_text("utf-8"),
        still="\n".join(map(still, runs, range(len(runs)))),
        runs=escaped([pack(run) for run in runs]),
        script=script,
    )


def still(run: Run, number: int) -> str:
    """The pictures of a run, which a page shows without JavaScript or where that has no more."""
    title = html.escape(run["title"])
    shown = (
        f'<img src="{address}" width="{width}" alt="{name} of {title}" data-name="{name}"'
        f' data-picture="{number}">'
        for name, (address, width) in run.get("pictures", {}).items()
    )
    return "\n".join(shown)


def bundle() -> str:
    """All modules of the page in one, each in a function of its own, after those it imports from.

    A browser imports no module from a file beside a page that was opened from disk.
    """
    room = files(__package__) / "script"
    done: dict[str, str] = {}

    def add(name: str) -> None:
        text = (room / f"{name}.js").read_text("utf-8")
        for _, other in IMPORT.findall(text):
            if other not in done:
                add(other)
        body = EXPORT.sub("", IMPORT.sub(r"const {\1} = \2_js;\n", text))
        names = ", ".join(EXPORT.findall(text))
        done[name] = f"const {name}_js = (() => {{\n{body}return {{ {names} }};\n}})();\n"

    add("main")
    return UNREAD.sub("", "\n".join(done.values()))


def escaped(value: Any) -> str:
    """JSON that may stand in HTML: it neither ends its element nor begins another."""
    text = json.dumps(value, separators=(",", ":"), default=str, allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def pack(run: Run) -> dict[str, Any]:
    """A run with its weights as base64, and frames left out where they are too many."""
    frames = run.get("frames", [])
    width = len(frames[0]["weights"]) if frames else 0
    most = max(2, MOST_BYTES // max(1, 6 * width))
    weights = np.array([frame["weights"] for frame in frames], float)
    kept = [frames[at] for at in evenly_changed(weights, most)] if frames else []
    program = __package__.partition(".")[0]
    optimizer = dict(run.get("optimizer", {}))
    optimizer["state"] = {
        name: value if isinstance(value, int) else floats(value)
        for name, value in (optimizer.get("state") or {}).items()
    }
    shown: dict[str, Any] = {
        **EMPTY,
        **run,
        "pictures": None,
        "optimizer": optimizer,
        "program": program,
    }
    shown["frames"] = {
        "width": width,
        "updates": [frame["update"] for frame in kept],
        "weights": floats([frame["weights"] for frame in kept]),
    }
    result: dict[str, Any] = finite(shown)
    return result


def floats(numbers: Any) -> str:
    return base64.b64encode(np.asarray(numbers, "<f4").tobytes()).decode()


def finite(value: Any) -> Any:
    """The same without numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(name): finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
