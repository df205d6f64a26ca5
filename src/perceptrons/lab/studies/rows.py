"""The rows of a datamodule of any kind, read into memory once, from the loaders that it has."""

from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from ..data.loader import Rows
from ..data.tables import TableData

PIECE = 4096  # rows that are put together at once
TRIED = 256  # rows that are read twice


class ReadData:
    """What a study needs of its data, read from a datamodule with a DataLoader.

    Args:
        data: The datamodule, set up to fit.
        free: Bytes of memory that the rows may take.

    Attributes:
        split: Rows ``x, y`` to ``train``, ``val``idate, ``test`` and ``predict`` on, read when they
            are first asked for.

    Raises:
        ValueError: If its rows cannot be read so, or are too many.
    """

    passes = 1

    def __init__(self, data: L.LightningDataModule, free: int) -> None:
        self.split = Parts(data, free)
        loader: Any = loader_of(data, "train")
        self.batch_size, self.shuffle = loader.batch_size, isinstance(loader.sampler, RandomSampler)
        if loader.drop_last and len(loader.dataset) % (loader.batch_size or 1):
            raise ValueError(f"seeds: {type(data).__name__}: a study leaves out no rows: drop_last")
        train = self.split["train"]
        if len(train) < 2:
            raise ValueError(f"seeds: {type(data).__name__}: a study needs rows x and y")
        self.split["val"] = self.split["val"] if has(data, "val") else train

    @property
    def predicted(self) -> Tensor:
        """Inputs to predict."""
        return self.split["predict"][0]


class Parts(dict[str, Rows]):
    """Reads the rows of a part when they are first asked for."""

    def __init__(self, data: L.LightningDataModule, free: int) -> None:
        super().__init__()
        self.data, self.free = data, free

    def __missing__(self, part: str) -> Rows:
        self[part] = read(loader_of(self.data, part), type(self.data).__name__, self.free)
        return self[part]


def has(data: Any, part: str) -> bool:
    return is_overridden(f"{part}_dataloader", type(data), L.LightningDataModule)


def loader_of(data: Any, part: str) -> DataLoader[Any]:
    """The loader of a part, as the class of the datamodule makes it.

    Raises:
        ValueError: If it is none whose rows can be read in order.
    """
    name = type(data).__name__
    if not has(data, part):
        raise ValueError(f"seeds: {name} has no {part}_dataloader")
    if part in ("test", "predict"):
        data.setup(part)
    loader: Any = getattr(type(data), f"{part}_dataloader")(data)
    sampler: Any = getattr(loader, "sampler", None)
    if type(sampler) is RandomSampler:
        whole = not sampler.replacement and sampler.num_samples == len(loader.dataset)
    else:
        whole = type(sampler) is SequentialSampler
    if not whole or loader.batch_size is None:
        what = "a study reads the rows of one DataLoader, each once, in order or shuffled"
        raise ValueError(f"seeds: {what}; {part}_dataloader of {name} gives something else")
    return cast(DataLoader[Any], loader)


def read(loader: DataLoader[Any], name: str, free: int) -> Rows:
    """All rows of a loader's dataset, as its ``collate_fn`` puts them together."""
    dataset: Any = loader.dataset
    count = len(dataset)

    def some(rows: range) -> Rows:
        batch = loader.collate_fn([dataset[at] for at in rows])
        return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)

    first = some(range(1))
    if len(first) > 2 or not all(isinstance(each, Tensor) for each in first):
        raise ValueError(f"seeds: {name}: a study needs rows of two tensors, x and y")
    need = count * sum(each.nbytes for each in first)
    if need > free:
        said = f"{count} rows need {need / 2**30:.3g} GiB, and {free / 2**30:.3g} are free"
        raise ValueError(f"seeds: {name}: a study holds all rows in memory; {said}")
    tried = range(0, count, max(1, count // TRIED))
    once, again = some(tried), some(tried)
    if not all(map(torch.equal, once, again)):
        raise ValueError(f"seeds: {name}: its rows are others each time that they are read")
    alone = zip(*(some(tried[at : at + 1]) for at in range(len(tried))), strict=True)
    if not all(map(torch.equal, once, map(torch.cat, alone))):
        raise ValueError(f"seeds: {name}: its collate_fn makes a row's numbers depend on others")
    pieces = [some(range(at, min(at + PIECE, count))) for at in range(0, count, PIECE)]
    return tuple(torch.cat(each) for each in zip(*pieces, strict=True))


Source = TableData | ReadData
