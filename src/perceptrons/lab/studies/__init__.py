"""Studies: many seeds, settings and folds of one experiment, trained at once."""
