"""The figures of a fit: what they need is noted at each report, and drawn when it has ended."""

import atexit
import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from perceptrons import runs
from perceptrons.scene import Scene
from perceptrons.study import Study
from perceptrons.survey import Note, flat, survey

# reports that are kept: when there are more, every second one is
MOST = 60
# processes that draw, by the run whose figures they are
BESIDE: dict[Path, "subprocess.Popen[bytes]"] = {}


class Figures(Callback):
    """Notes the weights and the measures at each report, for figures of how they came about.

    They are in each checkpoint, so that a run that is gone on with has those of its first part.

    Args:
        begun: Whether the run goes on, and the checkpoint that it is taken up from has its notes.
    """

    def __init__(self, begun: bool) -> None:
        self.begun = begun
        self.reports, self.stride = 0, 1
        self.notes: list[Note] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit":
            return
        if self.reports % self.stride == 0:
            measured, weights = dict(pl_module.measured), flat(pl_module.net)
            self.notes.append(Note(trainer.global_step, measured, weights))
        self.reports += 1
        if len(self.notes) > MOST:
            self.notes, self.stride = self.notes[::2], 2 * self.stride

    # not its own state: Lightning would then miss it where a run is evaluated without figures
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        updates, measured, weights = zip(*self.notes, strict=True) if self.notes else ((), (), ())
        checkpoint["figures"] = {
            "reports": self.reports,
            "stride": self.stride,
            "updates": list(updates),
            "measured": list(measured),
            "weights": torch.stack(weights) if weights else torch.zeros(0, 0),
        }

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint.get("figures")
        if state and self.begun:
            self.reports, self.stride = state["reports"], state["stride"]
            self.notes = notes_of(checkpoint)

    def draw(self, trainer: Any, run: Path) -> None:
        """Have the notes drawn, now that all else of the run is written."""
        study = next((each for each in trainer.callbacks if isinstance(each, Study)), None)
        scene = survey(
            trainer.lightning_module,
            trainer.datamodule,
            self.notes,
            trainer.global_step,
            title_of(run),
            study.state_dict() if study else None,
        )
        draw_beside(replace(scene, shares=shares_of(run)), run)


def notes_of(checkpoint: dict[str, Any]) -> list[Note]:
    """The notes that a checkpoint holds."""
    state = checkpoint.get("figures", {"updates": [], "measured": [], "weights": []})
    columns = state["updates"], state["measured"], list(state["weights"])
    return [Note(*each) for each in zip(*columns, strict=True)]


def title_of(run: Path) -> str:
    """What a run is called in its figures, as in TensorBoard."""
    return "/".join(run.parts[-2:])


def shares_of(run: Path) -> list[dict[str, Any]]:
    """What a run has found out of its replicas; nothing where it is no study."""
    rows: list[dict[str, Any]] = runs.read_json(run / "metrics.json").get("study", [])
    return rows


def draw_beside(scene: Scene, run: Path) -> None:
    """Have a scene drawn for TensorBoard by a process of its own.

    This one goes on meanwhile; only when it ends does it wait, so that after a command its figures
    are there. The other needs neither torch nor Lightning, which take seconds to be imported.
    """
    if run in BESIDE:  # or else the figures of before could come last
        BESIDE[run].wait()
    paths = os.pathsep.join(filter(None, sys.path))
    with tempfile.TemporaryFile() as file:
        pickle.dump(scene, file)
        file.seek(0)
        BESIDE[run] = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.drawing", str(run)],
            stdin=file,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )


@atexit.register
def wait() -> None:
    """Wait until all figures are drawn."""
    with suppress(KeyboardInterrupt, SystemExit):  # Ctrl-C: the other processes have had it too
        for process in BESIDE.values():
            process.wait()
