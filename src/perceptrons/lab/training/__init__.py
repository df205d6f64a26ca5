"""Training: what the lab needs of a model, and many updates in one Lightning step."""
