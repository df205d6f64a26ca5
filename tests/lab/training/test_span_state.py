"""Where a loader of spans says that it is, at each place where a run may be stopped."""

from types import SimpleNamespace
from typing import Any

import torch

from perceptrons.lab.data.loader import TableLoader
from perceptrons.lab.training.spans import SpanLoader


def make() -> SpanLoader:
    trainer: Any = SimpleNamespace(max_steps=-1, global_step=0)
    return SpanLoader(TableLoader((torch.arange(8.0)[:, None],), batch_size=1), 2, trainer)


def rows(spans: Any) -> list[float]:
    return [batch[0].item() for span in spans for batch in span.batches]


def test_an_epoch_that_has_not_begun_is_resumed_from_its_first_span() -> None:
    loader, other = make(), make()
    assert len(rows(loader)) == 8
    loader.loader.set_epoch(1)
    other.load_state_dict(loader.state_dict())
    other.loader.set_epoch(1)
    assert len(rows(other)) == 8


def test_an_epoch_is_resumed_after_the_span_that_was_handed_out_last() -> None:
    loader, other = make(), make()
    next(iter(loader))
    other.load_state_dict(loader.state_dict())
    assert rows(other) == [2, 3, 4, 5, 6, 7]
