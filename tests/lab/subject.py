"""The template's subject, which some tests of the lab train: they are skipped without it."""

import pytest

try:
    from perceptrons.classifier import Classifier
    from perceptrons.data import Blobs, Gates
    from perceptrons.network import MLP
except ImportError:
    pytest.skip("the subject has been rewritten", allow_module_level=True)

__all__ = ["MLP", "Blobs", "Classifier", "Gates"]
