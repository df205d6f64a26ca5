"""Runs: their directories, checkpoints, resuming, provenance, reports, and the list of them."""
