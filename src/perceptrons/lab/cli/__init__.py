"""The command line: one file for the trainer's commands, one for each verb that trains nothing."""
