"""Figures: what there is to see of a run, as arrays; matplotlib; TensorBoard; the HTML page."""
