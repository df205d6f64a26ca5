"""What a command has found, written into its run and shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch

from perceptrons import runs, study
from perceptrons.board import answers
from perceptrons.classifier import Classifier
from perceptrons.predictions import Prediction, columns, numbered
from perceptrons.tables import TableData


def write_study(directory: Path, results: dict[str, Any], rows: Sequence[study.Row]) -> None:
    """Write down the replicas one by one; show what they come to, and add it to the results."""
    by_name = {name: [row[name] for row in rows] for name in rows[0]}
    runs.write_csv(directory / "replicas.csv", by_name)
    results["study"] = study.summary(rows)
    print(f"\n{study.table(results['study'])}")


def show_answers(model: Classifier, data: L.LightningDataModule) -> None:
    """Show what a trained network says of the first rows, or how many of many outputs it has."""
    if "val" in model.all_right:
        solved = model.all_right["val"]
        print(f"\nlearned: {int(solved.sum())} of {len(solved)} outputs")
    elif isinstance(data, TableData):
        print(f"\n{runs.text(answers(model, data), of=len(data.split['val'][0]))}")


def show_measures(trainer: L.Trainer) -> None:
    """Show what was measured, each once: Lightning has them once for each of several tables."""
    # with all of their digits: they are compared with what fit has written
    found = {name: str(value.item()) for name, value in trainer.callback_metrics.items()}
    if trainer.is_global_zero:
        print(runs.text({"measure": [*found], "value": [*found.values()]}))


def write_predictions(
    batches: Sequence[Any], data: L.LightningDataModule, directory: Path | None
) -> None:
    """Show the first rows of what was predicted, and write them all to ``predictions.csv``."""
    prediction = Prediction(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    inputs: runs.Columns = numbered(prediction.x)
    names: Sequence[str] = ()
    if isinstance(data, TableData):
        inputs, names = data.named(rows=len(prediction.x)), data.class_names
    print(runs.text(columns(prediction, runs.few(inputs), names)))
    if directory:
        runs.write_csv(directory / "predictions.csv", columns(prediction, inputs, names))
        print(f"\nall rows: {directory / 'predictions.csv'}")
