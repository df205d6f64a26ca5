"""The commands that train nothing, each in a file of its own, imported when it is asked for."""

import importlib

# file, and what `perceptrons --help` says of it
COMMANDS = {
    "runs": ("listing", "List the runs, or compare two."),
    "plot": ("plotting", "Draw a run's figures into files, or compare runs."),
    "sweep": ("sweep", "Run a config with many settings, and find the best."),
    "export": ("export", "Write a run's network for other programs."),
    "export-replica": ("replica", "Write one replica of a study as an ordinary checkpoint."),
    "completion": ("completion", "Print what has a shell complete these commands."),
}


def run(words: list[str]) -> bool:
    """Run the command that the words start with, if it is one of these; whether it was."""
    if not words or words[0] not in COMMANDS:
        return False
    module = importlib.import_module(f"{__package__}.{COMMANDS[words[0]][0]}")
    module.main(words[1:])
    return True
