"""The program: what it answers itself, the verbs that train nothing, and Lightning's commands."""

import atexit
import csv
import gc
import importlib
import io
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..runs import directories
from ..runs.text import WIDTH, aligned, say, silence
from .errors import PACKAGE, Parser, fail, nearest
from .start import no_such_run

if TYPE_CHECKING:  # seconds, which the verbs that train nothing do not need
    from lightning import LightningModule

# what a command does, as its help says
TRAINER = {
    "fit": "Train: perceptrons fit --config configs/xor.yaml",
    "validate": "Measure a checkpoint on the validation rows.",
    "test": "Measure a checkpoint on the test rows.",
    "predict": "Write what a checkpoint predicts to predictions.csv.",
}
SWEEP = {"sweep": "Run a config with many settings, and find the best."}
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")  # the environment's words for it
VERSIONS = (PACKAGE, "lightning", "torch")
INTERRUPTED = 128  # exit statuses of signals begin there


def main(model: "type[LightningModule] | str | None" = None, args: list[str] | None = None) -> None:
    """Run a command, from ``args`` or else from the command line.

    Args:
        model: The LightningModule that is trained where the settings name no other; as text its
            place in the package, such as ``classifier.Classifier``, imported when it is needed.
        args: The words of the command.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if the run failed, 130 or 143 if it
            was stopped by Ctrl-C or SIGTERM.
    """
    if args is not None:
        return dispatch(args, model)
    prepare()
    try:
        try:
            dispatch(sys.argv[1:], model)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # who reads this has read enough
        silence()
        sys.exit(INTERRUPTED + signal.SIGPIPE)
    except OSError as failure:
        if failure.filename is not None:
            raise
        silence()  # the output's disk is full
        fail(f"output: {failure.strerror}", failure, 1)
    return None


def prepare() -> None:
    """Have what a process of its own needs: open streams, and signals that end it quietly."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # where the shell has closed it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    # of processes that train together the first says what there is to say
    if any(os.environ.get(each) not in (None, "", "0") for each in RANKS):
        silence()

    def stop(number: int, _: FrameType | None) -> None:
        if sys.argv[1:2] == ["sweep"]:  # which has trials to give back
            sys.exit(INTERRUPTED + number)
        os._exit(INTERRUPTED + number)  # an import of a library's makes another of an exception

    for number in (signal.SIGINT, signal.SIGTERM):  # until the training has its own way to stop
        signal.signal(number, stop)
    # TensorBoard's thread, whose file may be too large for its disk: the main one raises that again
    threading.excepthook = lambda failed: (
        None if isinstance(failed.exc_value, OSError) else threading.__excepthook__(failed)
    )
    # what imports make is there to stay: a third of their time is to look through it for garbage
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    # or threads that wait keep the processor that other work needs: ten times as slow beside it
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def dispatch(words: list[str], model: Any) -> None:
    verb = words[0] if words else ""
    if verb in ("-h", "--help"):
        print(overview())
    elif verb == "--version":
        print(versions())
    elif verb == "explain":
        explain(words[1:], model)
    elif verb in VERBS:
        VERBS[verb](words[1:])
    elif verb == "sweep":
        importlib.import_module("..sweeps.main", __package__).main(words[1:], model)
    elif verb in TRAINER:
        # read when jsonargparse is imported: Lightning 2.6 calls it by names since deprecated
        os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
        importlib.import_module(".command", __package__).run(words, model)
    elif not verb:
        fail(f"no command; choose one of {', '.join([*TRAINER, *VERBS, *SWEEP])}")
    elif verb.startswith("-"):
        fail(f"{verb}: goes after the command, as in {PACKAGE} fit {verb}")
    else:
        known = [*TRAINER, *VERBS, *SWEEP]
        fail(f"{verb}: no such command; choose one of {', '.join(known)}{nearest(verb, known)}")


def overview() -> str:
    said = {**TRAINER, **{verb: does.__doc__ or "" for verb, does in VERBS.items()}, **SWEEP}
    lines = [
        f"  {verb:10}{text.splitlines()[0].replace('perceptrons', PACKAGE)}"
        for verb, text in said.items()
    ]
    return "\n".join(
        [
            f"usage: {PACKAGE} COMMAND [settings]",
            "",
            *lines,
            "",
            f"{PACKAGE} COMMAND --help shows a command's settings; {PACKAGE} --version.",
        ]
    )


def versions() -> str:
    try:
        own, *others = (f"{name} {version(name)}" for name in VERSIONS)
    except PackageNotFoundError as missing:
        fail(f"{missing.name}: is not installed; make install does it", missing)
    return f"{own} ({', '.join(others)}, Python {python_version()})"


def compare(words: list[str]) -> None:
    """Compare studies, or a study's settings, of the same seeds and folds."""
    parser = Parser("compare", compare.__doc__ or "")
    parser.add_argument("runs", nargs="+", metavar="run", help="a study, as <name>/version_<n>")
    parser.add_argument("--pool", action="store_true", help="report all of them as one study")
    given = parser.parse_args(words)
    from .verbs import compare as studies  # half a second, which --help does not need

    directories = [run_named(each, "run") for each in given.runs]
    try:
        say((studies.pool if given.pool else studies.compare)(directories))
    except ValueError as mistake:
        fail(str(mistake), mistake)


def explain(words: list[str], model: Any = None) -> None:
    """Spell out one update of a config in numbers, as on paper."""
    parser = Parser("explain", f"{explain.__doc__} It takes all settings of fit, and these.")
    parser.add_argument("--row", type=int, help="of the training rows, from 1 (first without a 0)")
    parser.add_argument("--out", type=Path, help="a Markdown file to write it to as well")
    given, config = parser.parse_known_args(words)
    if not config:
        fail(f"no config; as in {PACKAGE} explain --config configs/xor.yaml")
    from .verbs.explain import explain_config  # seconds, which --help does not need

    explain_config(config, model, given.row, given.out)


def export(words: list[str]) -> None:
    """Write a run's network as ONNX, verified against PyTorch."""
    parser = Parser("export", export.__doc__ or "")
    parser.add_argument("run", help="a run: its directory, <name>/version_<n>, or last")
    parser.add_argument(
        "--format", choices=("onnx", "torch"), default="onnx", help="torch: for torch.export.load"
    )
    parser.add_argument(
        "--kind", choices=("best", "last"), default="last", help="which of its checkpoints (last)"
    )
    parser.add_argument(
        "--member", help="of a study one member, best or its number (the best setting's mean)"
    )
    parser.add_argument("--out", type=Path, help="the file; by default model.onnx in the run")
    parser.add_argument("--single", action="store_true", help="take float32 in place of float64")
    given = parser.parse_args(words)
    if given.out and given.out.is_dir():
        fail(f"--out={str(given.out)!r}: is a directory")
    given.run = run_named(given.run, "run")
    from .verbs.export import write_export  # seconds, which --help does not need

    write_export(given)


def plot(words: list[str]) -> None:
    """Draw a run's figures into files, or compare runs."""
    parser = Parser("plot", plot.__doc__ or "")
    parser.add_argument(
        "run", nargs="+", help="a run's directory, <name>/version_<n>, or last; several: compared"
    )
    parser.add_argument(
        "--html", action="store_true", help="write one page to play with in place of pictures"
    )
    parser.add_argument("--animate", action="store_true", help="write boundary.gif too")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where: by default figures/ in the (last) run"
    )
    parser.add_argument("--root", type=Path, default=Path(directories.ROOT), help="of the runs")
    given = parser.parse_args(words)
    if given.animate and len(given.run) > 1:
        fail("--animate: only with a single run")
    chosen = [run_named(name, "run", given.root) for name in given.run]
    try:
        for line in (html_page if given.html else figures)(chosen, given):
            say(line)
    except ValueError as mistake:
        fail(str(mistake), mistake)
    except OSError as failure:
        fail(f"{failure.strerror or failure}: {failure.filename}", failure, 1)


def figures(runs: list[Path], given: Any) -> Iterator[str]:
    """Draw a run's figures, or those of several in one; where they are."""
    from ..figures import drawing  # these take seconds
    from ..figures.survey import FRAMES, survey
    from .load import trained_run

    scenes = [survey(trained_run(run), 60 if given.animate else FRAMES) for run in runs]
    yield from drawing.plot(scenes, given.out or runs[-1] / "figures", given.animate)


def html_page(runs: list[Path], given: Any) -> Iterator[str]:
    """Write a page of a run, or one that compares several, by default in the last; where it is."""
    from ..figures.page.page import PAGE, write_page  # these take seconds
    from .load import page_run, trained_run

    file = Path(PAGE if len(runs) == 1 else "figures/compared.html")
    file = given.out / file.name if given.out else runs[-1] / file
    write_page(file, [page_run(trained_run(run), run) for run in runs])
    yield str(file)


def run_named(name: str, argument: str, root: Path = Path(directories.ROOT)) -> Path:
    """A run by its directory, by ``<name>/version_<n>``, or the ``last`` that trained."""
    if run := directories.find_run(name, root):
        try:
            directories.check_inside(run)
        except ValueError as mistake:
            fail(f"{argument}={name!r}: {mistake}", mistake)
        return run
    return fail(f"{argument}={no_such_run(name, root)}")


def runs(words: list[str]) -> None:
    """List the runs, or with --diff what two differ in."""
    parser = Parser("runs", runs.__doc__ or "")
    parser.add_argument("--sort", metavar="COLUMN", help="by this column; =-COLUMN: the other way")
    parser.add_argument("--diff", nargs=2, metavar="RUN", help="only what two runs differ in")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--csv", action="store_true", help="as CSV, all of it")
    formats.add_argument("--json", action="store_true", help="as JSON, all of it")
    parser.add_argument("--root", type=Path, default=Path(directories.ROOT), help="of the runs")
    given = parser.parse_args(words)
    if given.root != Path(directories.ROOT) and not given.root.is_dir():
        fail(f"--root={str(given.root)!r}: no such directory")
    if given.diff and given.sort:
        fail(f"--sort={given.sort!r}: not with --diff, whose rows are settings")
    if given.diff:
        rows = directories.differences(*(run_named(r, "--diff", given.root) for r in given.diff))
    else:
        rows = directories.list_runs(given.root)
    if given.sort and rows:
        known, name = [*rows[0]], given.sort.removeprefix("-")
        if name not in known:
            fail(f"--sort={name!r}: no such column{nearest(name, known)}; --csv has them all")
        rows = directories.sorted_rows(rows, given.sort)
    show(rows, given)


def show(rows: list[dict[str, Any]], given: Any) -> None:
    """Show the rows of a list in the format that is asked for."""
    if given.json:
        say(json.dumps(rows, indent=2, default=str))
    elif given.csv:
        text = io.StringIO()
        writer = csv.DictWriter(text, [*rows[0]] if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        say(text.getvalue().rstrip("\n"))
    elif rows:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        table = aligned(columns, width, keep=columns if given.diff else directories.COLUMNS)
        say(table + " (--csv has all)" * table.splitlines()[-1].startswith("... and"))
    else:
        say("no difference" if given.diff else f"no runs in {given.root}")


VERBS = {
    "runs": runs,
    "compare": compare,
    "plot": plot,
    "explain": explain,
    "export": export,
}
