"""Functions of tensors as machine code, which later processes find where torch keeps such.

``torch.compile``, which follows the Python code, takes seconds in each process, and to trace a
function takes 50 ms. Here it is called once, and what it does with its tensors is written down, in
1 ms: that says which code of earlier processes serves.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

Updates = Callable[..., Tensor]  # of tensors in a row
Function = Callable[[list[Tensor]], Sequence[Tensor]]


@contextmanager
def as_if_compiling() -> Iterator[None]:
    """Lets torch's optimizers, and what else asks, know that what they do is traced."""
    asked = torch.compiler.is_compiling
    torch.compiler.is_compiling = lambda: True
    try:
        yield
    finally:
        torch.compiler.is_compiling = asked


def graph_of(function: Updates, tensors: list[Tensor]) -> GraphModule:
    """What a function does with tensors like these, in torch's operations.

    Raises:
        Exception: If that depends on the numbers in them.
    """
    with as_if_compiling(), torch.no_grad(), isolate_rng():
        return make_fx(function)(*tensors)


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down which of torch's operations are called with what.

    Args:
        tensors: Those whose numbers do not matter. They and what is made of them are told apart by
            their places in memory; of any others the numbers are written down.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines = [str([(e.shape, e.stride(), e.dtype, e.device) for e in tensors])]
        self.found: dict[Any, tuple[int, Tensor]] = {}  # kept, or others could get their places
        tree_map_only(Tensor, self.keep, tensors)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.lines.append(f"{func} {tree_map_only(Tensor, self.named, (args, kwargs))}")
        return tree_map_only(Tensor, self.keep, func(*args, **(kwargs or {})))

    def keep(self, tensor: Tensor) -> Tensor:
        place = tensor.data_ptr(), tensor.shape, tensor.stride()
        self.found.setdefault(place, (len(self.found), tensor))
        return tensor

    def named(self, tensor: Tensor) -> Any:
        place = tensor.data_ptr(), tensor.shape, tensor.stride()
        if place in self.found:
            return self.found[place][0]
        return tensor.tolist(), tensor.dtype, tensor.stride()


def describe(function: Updates, tensors: list[Tensor]) -> str:
    """All that the machine code of a function depends on."""
    recorder = Recorder(tensors)
    with as_if_compiling(), torch.no_grad(), isolate_rng(), recorder:
        function(*tensors)
    return "\n".join(recorder.lines)


def compile_or_load(function: Updates, tensors: list[Tensor], name: str) -> Function:
    """A function as machine code.

    Args:
        function: The function.
        tensors: What it takes.
        name: Says all that the code depends on but for torch and the processor.

    Raises:
        Exception: If there is no compiler, or it fails.
    """
    if tensors[0].device.type != "cpu":
        made = torch.compile(graph_of(function, tensors), fullgraph=True, dynamic=False)
        made(*tensors)
        return lambda given: [made(*given)]
    file = place_of(name)
    if not zipfile.is_zipfile(file):  # or one that a crash has cut short
        graph = graph_of(function, tensors)
        program = torch.export.export(graph, tuple(tensors), strict=False)
        part = str(file.with_suffix(f".{os.getpid()}.pt2"))  # which torch compares with a string
        torch._inductor.aoti_compile_and_package(program, package_path=part)
        os.replace(part, file)  # whole or not at all
    run: Function = torch._inductor.aoti_load_package(file).loader.run
    return run


def place_of(name: str) -> Path:
    """File of the code of that name, by this torch, for such a processor and so many threads."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    machine = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    depends = f"{torch.__version__} {machine} {name}"
    directory = Path(cache_dir(), "updates")
    directory.mkdir(exist_ok=True)
    return directory / f"{hashlib.sha256(depends.encode()).hexdigest()}.pt2"
