"""Many runs of one config, with settings that Optuna draws, on any number of processes."""
