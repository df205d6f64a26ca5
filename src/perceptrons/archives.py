"""Files that ``torch.save`` wrote: what would be in memory once one is read, looked at before.

A file of a megabyte can be made to become gigabytes: by compression, by tensors that show one
number a billion times, or by objects that are made of a length alone.
"""

import collections
import math
import pickle
import zipfile
from typing import IO, Any, NamedTuple

# bytes of a number, by the kind of storage
SIZES = {
    **dict.fromkeys(("Byte", "Char", "Bool", "Untyped"), 1),
    **dict.fromkeys(("Short", "Half", "BFloat16"), 2),
    **dict.fromkeys(("Int", "Float"), 4),
    **dict.fromkeys(("Long", "Double", "ComplexFloat"), 8),
    "ComplexDouble": 16,
}
DTYPES = ("float", "int", "uint", "bfloat", "bool", "complex", "double", "half", "long", "short")
# a weight may be in a file under several names, but not under any number of them
TIMES, AT_LEAST = 8, 1 << 20
# what torch.save does not write, and what makes objects of a length or a number alone
LEFT_OUT = {
    *(pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.FRAME),
    *(pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4),
}


class ArchiveError(ValueError):
    """A file that would become much more in memory than it is."""


class Storage(NamedTuple):
    """Numbers that a file holds: how many, and bytes of each."""

    numbers: int
    size: int


class Reader(pickle._Unpickler):
    """Reads the outline of a pickle: tensors without numbers, and no code but its own.

    Python's own rather than C's, which can be made to set aside memory for objects that are not
    there.

    Args:
        file: The pickle.
        sizes: Bytes of each storage, by its key.
    """

    dispatch = {  # noqa: RUF012  as the class has it
        code: read
        for code, read in pickle._Unpickler.dispatch.items()
        if bytes([code]) not in LEFT_OUT
    }

    def __init__(self, file: IO[bytes], sizes: dict[str, int]) -> None:
        super().__init__(file, encoding="utf-8")
        self.sizes, self.bytes = sizes, 0

    def find_class(self, module: str, name: str) -> Any:
        known = {
            "collections.OrderedDict": collections.OrderedDict,
            "collections.Counter": collections.Counter,
            "builtins.set": set,
            "builtins.complex": complex,
            "builtins.bytearray": length,
            "_codecs.encode": length,
            "torch.Size": tuple,
            "torch.device": length,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": lambda data, *_: data,
        }
        found = known.get(f"{module.replace('__builtin__', 'builtins')}.{name}")
        if found is None and module == "torch":
            kind = name.removesuffix("Storage")
            found = SIZES.get(kind) if kind != name else name.startswith(DTYPES) or None
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> Storage:
        _, size, key, _, count = pid
        if not 0 <= count * size <= self.sizes[key]:
            raise pickle.UnpicklingError("more numbers than there are")
        return Storage(count, size)

    def tensor(self, storage: Storage, offset: int, shape: Any, stride: Any, *_: Any) -> None:
        """Note what a tensor would take that is copied."""
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if min(0, offset, *shape, *stride) < 0 or (math.prod(shape) and last >= storage.numbers):
            raise pickle.UnpicklingError("numbers that are not there")
        self.bytes += math.prod(shape) * storage.size


def length(given: Any, *_: Any) -> int:
    """What stands for bytes; those that are made of a number, without content, are refused."""
    if not isinstance(given, str | bytes | list):
        raise pickle.UnpicklingError("a length")
    return len(given)


def check(file: IO[bytes]) -> None:
    """Find out what a file would become, by what it says and not by reading it all.

    Raises:
        ArchiveError: If it would become much more than it is.
        Exception: Of any kind, if it is no such file.
    """
    whole = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ArchiveError("is compressed, which no checkpoint is")
        if sum(max(entry.file_size, entry.compress_size) for entry in entries) > whole:
            raise ArchiveError("says to hold more than it is large")
        names = [entry.filename for entry in entries]
        tops = {name.partition("/")[0] for name in names}
        if len(names) != len({*names}) or len(tops) != 1 or archive.comment:
            raise ArchiveError("holds other files than a checkpoint does")
        (top,) = tops
        sizes = {
            entry.filename.removeprefix(f"{top}/data/"): entry.file_size
            for entry in entries
            if entry.filename.startswith(f"{top}/data/")
        }
        with archive.open(f"{top}/data.pkl") as content:
            reader = Reader(content, sizes)
            reader.load()
    if reader.bytes > TIMES * whole + AT_LEAST:
        raise ArchiveError(f"would take {reader.bytes:,} bytes, and is one of {whole:,}")
    file.seek(0)
