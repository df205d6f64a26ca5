"""Functions of tensors as machine code, which later processes find where torch keeps such.

A function is traced once, with all constants in its graph. That takes some 50 ms, where
``torch.compile``, which follows the Python code, takes seconds in each process: and the graph says
which code of earlier processes serves.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

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


def describe(function: Updates, tensors: list[Tensor]) -> str:
    """All that the machine code of a function depends on."""
    graph = graph_of(function, tensors)
    constants = [value for value in vars(graph).values() if isinstance(value, Tensor)]
    constants += graph.state_dict().values()
    given = [(each.shape, each.stride(), each.dtype, each.device) for each in tensors]
    return f"{graph.code} {[each.tolist() for each in constants]} {given}"


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
