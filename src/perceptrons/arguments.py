"""What the command line has beside Lightning's: arguments, and other defaults."""

from typing import Any

from perceptrons.commands import COMMANDS

TRAINER_DEFAULTS = {
    "devices": 1,  # more are slower for so small a network
    "max_epochs": 10,
    "log_every_n_steps": 1000,
    "num_sanity_val_steps": -1,  # all of it: the report before any update
    "enable_model_summary": False,
}
SAVER_DEFAULTS = {
    "best.filename": "best",
    "best.monitor": "val/loss",
    "best.enable_version_counter": False,
    "last.filename": "last",
    "last.save_on_train_epoch_end": True,
    "last.enable_version_counter": False,
}
EPILOG = "Further commands: " + " ".join(
    f"{name}: {said.lower().rstrip('.')}." for name, (_, said) in COMMANDS.items()
)
ARGUMENTS: dict[str, tuple[Any, Any, str]] = {
    "seed_everything": (
        int | bool,
        0,
        "Seed of the initial weights and the order of the rows. true: one drawn at random, which"
        " config.yaml records.",
    ),
    "name": (
        str | None,
        None,
        "The run is lightning_logs/<name>/version_<n>. null: the config file's name.",
    ),
    "threads": (
        int | None,
        None,
        "Threads to compute with. null: 1 for a batch too small to share out, or else torch's.",
    ),
    "figures": (
        bool,
        True,
        "fit: whether to draw figures for TensorBoard: the boundary, the neurons, the network.",
    ),
    "replica": (
        str | None,
        None,
        "With --ckpt_path of a study: this replica alone, best or a number from 0.",
    ),
    "resume": (
        str | None,
        None,
        "fit: go on with this run (its directory, or last) in its own directory.",
    ),
    "trust": (
        str | None,
        None,
        "A package whose classes a checkpoint or a resumed run may name; may be there several"
        " times.",
    ),
}
