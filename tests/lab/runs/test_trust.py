"""A stranger's checkpoint, or run, runs nothing: each gadget is refused, and leaves no trace."""

import copy
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import subject  # noqa: F401
import torch
import yaml
from children import error_line
from conftest import CONFIGS, Command, Finished

from perceptrons import load_run
from perceptrons.__main__ import main
from perceptrons.lab.cli.start import section_types
from perceptrons.lab.runs import trust, trusted

RUN = Path("lightning_logs", "r", "version_0")
FILE = RUN / "checkpoints" / "last.ckpt"
SHORT = "--data.passes 2 --trainer.max_epochs 1 --figures false"
MARKER = "touched"
# what a stranger may leave in the directory where a command is given
TRAP = f"""
from pathlib import Path
from torch import nn
Path({MARKER!r}).touch()
def touch(*args, **options):
    Path({MARKER!r}).touch()
class Net(nn.Linear):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
"""
HARMLESS = TRAP.replace("touch()", "exists()")
COMMAND = f"touch {MARKER}"
CODE = f"__import__('os').system({COMMAND!r})"
LAMBDA = {"class_path": "sympy.Lambda", "init_args": {"signature": "x", "expr": CODE}}
OF_ALL = "torch.nn.modules.module.torch"


def made_of(class_path: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": class_path, "init_args": settings}


def mlp(**settings: Any) -> dict[str, Any]:
    return made_of("perceptrons.network.MLP", **settings)


def gates(**settings: Any) -> dict[str, Any]:
    return made_of("perceptrons.data.Gates", **settings)


def sgd(**settings: Any) -> dict[str, Any]:
    return made_of("torch.optim.SGD", **settings)


def schedule(name: str, **settings: Any) -> dict[str, Any]:
    return made_of(f"torch.optim.lr_scheduler.{name}", **settings)


# where in the settings, and what: of a checkpoint
GADGETS: dict[str, tuple[str, Any]] = {
    "a module here, for the network": ("model.net", made_of("trap.Net")),
    "a module here, as text": ("model.net", "trap.Net"),
    "a module that is one joke": ("model.net", "antigravity.Net"),
    "this": ("model.net", made_of("this.Net")),
    "a module here, for the loss": ("model.loss", "trap.touch"),
    "a module here, for the data": ("data", made_of("trap.Net")),
    "a function here, for the optimizer": ("model.optimizer", "trap.touch"),
    "os.system": ("model.net", made_of("os.system", command=COMMAND)),
    "os.system, for the optimizer": ("model.optimizer", made_of("os.system", command=COMMAND)),
    "subprocess.Popen": ("model.optimizer", made_of("subprocess.Popen", args=COMMAND, shell=True)),
    "subprocess.Popen, for the data": ("data", made_of("subprocess.Popen", args=COMMAND)),
    "builtins.eval": ("model.loss", made_of("builtins.eval", source=CODE)),
    "functools.partial": ("model.scheduler", made_of("functools.partial", func="trap.touch")),
    "torch.hub.load": ("model.net", made_of("torch.hub.load", repo_or_dir=".", model="net")),
    "torch.utils": ("model.net", made_of("torch.utils.cpp_extension.load", name="x", sources=[])),
    "by attributes, to a function": ("model.net", made_of(f"{OF_ALL}.hub.load", repo_or_dir=".")),
    "by attributes, to a class": ("model.net", made_of(f"{OF_ALL}.nn.Linear", in_features=2)),
    "by attributes, to os": ("model.net", made_of("torch.nn.modules.module.os.system")),
    "by attributes, to sys": ("model.net", "lightning.pytorch.cli.sys.exit"),
    "a function of torch.nn": ("model.net", made_of("torch.nn.utils.clip_grad_norm_")),
    "a function of the package": ("model.net", made_of("perceptrons.__main__.main")),
    "the command line": ("model.net", made_of("lightning.pytorch.cli.LightningCLI")),
    "the command line, for the data": (
        "data",
        made_of("perceptrons.lab.cli.command.Command", args=[]),
    ),
    "a trainer": ("model.net", made_of("lightning.pytorch.Trainer", default_root_dir=MARKER)),
    "what downloads": (
        "data",
        made_of("lightning.pytorch.demos.mnist_datamodule.MNISTDataModule", data_dir=MARKER),
    ),
    "LambdaLR with sympy": ("model.scheduler", schedule("LambdaLR", lr_lambda=LAMBDA)),
    "LambdaLR with several": ("model.scheduler", schedule("LambdaLR", lr_lambda=[LAMBDA])),
    "LambdaLR with a name": ("model.scheduler", schedule("LambdaLR", lr_lambda="trap.touch")),
    "LambdaLR by its short name": ("model.scheduler", made_of("LambdaLR", lr_lambda="trap.touch")),
    "MultiplicativeLR": ("model.scheduler", schedule("MultiplicativeLR", lr_lambda="trap.touch")),
    "CyclicLR": (
        "model.scheduler",
        schedule("CyclicLR", base_lr=0.1, max_lr=1.0, scale_fn="trap.touch"),
    ),
    "a scheduler in a scheduler": (
        "model.scheduler",
        schedule("ChainedScheduler", schedulers=[schedule("LambdaLR", lr_lambda=LAMBDA)]),
    ),
    "a loss that takes a function": (
        "model.loss",
        made_of("torch.nn.TripletMarginWithDistanceLoss", distance_function="trap.touch"),
    ),
    "a network that takes a function": (
        "model.net",
        made_of("torch.nn.TransformerEncoderLayer", d_model=2, nhead=1, activation="trap.touch"),
    ),
    "in a list": ("model.net", mlp(hidden=[LAMBDA])),
    "in a dict": ("model.net", mlp(hidden={"first": LAMBDA})),
    "as text that holds settings": ("model.optimizer", sgd(lr=yaml.safe_dump(LAMBDA))),
    "for a number": ("model.optimizer", sgd(lr=LAMBDA)),
    "for a number, by its name": ("model.optimizer", sgd(lr="trap.touch")),
    "by a keyword that nobody takes": ("model.net", mlp(nobody="trap.touch")),
    "by further keywords": (
        "model.net",
        {"class_path": "perceptrons.network.MLP", "dict_kwargs": {"x": LAMBDA}},
    ),
    "by a key with a dot": ("model", {"net": "MLP", "scheduler.class_path": "trap.touch"}),
    "a file for the network": ("model.net", "gadget.yaml"),
    "a file for the model": ("model", "gadget.yaml"),
    "a file for the arguments": ("model.net.init_args", "gadget.yaml"),
    "a file by @": ("model.net", "@gadget.yaml"),
    "a file named as a loss": ("model.loss", "mse"),
    "a file by its address": ("model.loss", "local://ADDRESS"),
    "a file by another address": ("model.loss", "file://ADDRESS"),
    "a file through a cache": ("model.loss", "simplecache::local://ADDRESS"),
    "content in an address": ("model.loss", "data:;base64,Y2xhc3NfcGF0aDogdHJhcC5OZXQK"),
    "a file by its address, for the network": ("model.net", "local://ADDRESS"),
    "an address in memory": ("model.scheduler", "memory://gadget"),
    "a tag of YAML": ("model.optimizer", f"!!python/object/apply:os.system [{COMMAND}]"),
    "a class without its name": ("model.optimizer", {"init_args": {"lr": LAMBDA}}),
    "for the seed": ("seed_everything", LAMBDA),
    "callbacks": (
        "trainer.callbacks",
        made_of("lightning.pytorch.callbacks.LambdaCallback", on_train_end=LAMBDA),
    ),
    "a logger": (
        "trainer.logger",
        made_of("lightning.pytorch.loggers.CSVLogger", save_dir=MARKER),
    ),
    "a place": ("trainer.default_root_dir", MARKER),
    "a saver's place": ("best.dirpath", MARKER),
    "another config": ("config", "gadget.yaml"),
}
CALLBACK = "lightning.pytorch.callbacks"
# what else is tried by the config.yaml of a run
IN_A_RUN: dict[str, tuple[str, Any]] = {
    **{
        name: each
        for name, each in GADGETS.items()
        if not name.startswith(("a place", "a saver", "callbacks"))
    },
    "LambdaCallback": (
        "trainer.callbacks",
        [made_of(f"{CALLBACK}.LambdaCallback", on_train_end=LAMBDA)],
    ),
    "a callback here": ("trainer.callbacks", ["trap.Net"]),
    "a callback's function": (
        "trainer.callbacks",
        [made_of(f"{CALLBACK}.BackboneFinetuning", lambda_func="trap.touch")],
    ),
    "a callback's place": (
        "trainer.callbacks",
        [made_of(f"{CALLBACK}.ModelCheckpoint", dirpath=MARKER)],
    ),
    "a callback's file outside": (
        "trainer.callbacks",
        [made_of(f"{CALLBACK}.ModelCheckpoint", filename=f"../../../../{MARKER}")],
    ),
    "a profiler's place": (
        "trainer.profiler",
        made_of("lightning.pytorch.profilers.SimpleProfiler", dirpath=".", filename=MARKER),
    ),
    "a strategy's function": (
        "trainer.strategy",
        made_of("lightning.pytorch.strategies.DDPStrategy", ddp_comm_hook="trap.touch"),
    ),
    "a plugin": ("trainer.plugins", ["trap.Net"]),
    "a callback of the lab's": (
        "trainer.callbacks",
        [made_of("perceptrons.lab.figures.board.Board", run=MARKER, settings={})],
    ),
    "a saver's place": ("best.dirpath", f"./{MARKER}"),
    "a saver's file outside": ("best.filename", f"../../../../{MARKER}"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr("sys.argv", ["perceptrons"])
        main(f"fit --config {CONFIGS}/xor.yaml --name r {SHORT}".split())
    return directory


@pytest.fixture
def run(made: Path, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run, in a directory where a stranger's modules and files lie in wait."""
    shutil.copytree(made / "lightning_logs", in_tmp / "lightning_logs")
    Path("trap.py").write_text(TRAP)
    for name in ("gadget.yaml", "gadget", "mse"):
        Path(name).write_text(yaml.safe_dump(made_of("trap.Net")))
    monkeypatch.syspath_prepend(str(in_tmp))
    yield RUN
    sys.modules.pop("trap", None)


@pytest.fixture
def no_trace(run: Path) -> Callable[[], None]:
    """Asserts that nothing was imported, called, or written."""
    seldom = ("trap", "antigravity", "this", "torch.utils.cpp_extension")
    before = [name for name in seldom if name in sys.modules]
    version = sorted(RUN.parent.iterdir())

    def check() -> None:
        assert [name for name in seldom if name in sys.modules] == before
        assert not list(Path.cwd().rglob(f"{MARKER}*"))
        assert sorted(RUN.parent.iterdir()) == version

    return check


def changed(settings: Any, path: str, value: Any) -> Any:
    """Settings with another value somewhere."""
    settings = copy.deepcopy(settings)
    path = path.replace("model.", "model.init_args.", 1) if path.startswith("model.") else path
    if isinstance(value, str):
        value = value.replace("ADDRESS", str(Path("gadget").resolve()))
    *above, last = path.split(".")
    inner = settings
    for key in above:
        inner = inner.setdefault(key, {})
    inner[last] = value
    return settings


def poison(path: str, value: Any) -> None:
    """Put a gadget into the run's checkpoint."""
    content = torch.load(FILE, weights_only=True)
    content["settings"] = changed(content["settings"], path, value)
    torch.save(content, FILE)
    shutil.copy(FILE, FILE.with_name("best.ckpt"))


def loaded(*_: str) -> Finished:
    """A run loaded as a notebook does."""
    try:
        load_run(RUN)
    except ValueError as mistake:
        return Finished(2, "", f"error: {mistake}\n")
    return Finished(0, "", "")


EVERYWHERE = (
    f"validate --ckpt_path {FILE}",
    f"fit --ckpt_path {FILE}",
    f"plot {RUN}",
    f"export {RUN} --format torch",
    "load_run",
)


@pytest.mark.parametrize("name", GADGETS)
def test_a_checkpoint_runs_nothing(
    name: str, command: Command, no_trace: Callable[[], None]
) -> None:
    poison(*GADGETS[name])
    for line in EVERYWHERE:
        finished = (loaded if line == "load_run" else command)(line)
        error_line(finished, 2)
        no_trace()


@pytest.mark.parametrize("name", IN_A_RUN)
def test_a_run_that_is_resumed_runs_nothing(
    name: str, command: Command, no_trace: Callable[[], None]
) -> None:
    file = RUN / "config.yaml"
    settings = changed(yaml.safe_load(file.read_text()), *IN_A_RUN[name])
    file.write_text(yaml.safe_dump(settings))
    error_line(command(f"fit --resume {RUN} --trainer.max_epochs 2"), 2)
    no_trace()


@pytest.mark.parametrize("start", ["local://", "simplecache::local://"])
def test_the_parser_reads_no_address(start: str, run: Path, command: Command) -> None:
    address = f"{start}{Path('gadget').resolve()}"
    error_line(command(f"fit --config {CONFIGS}/xor.yaml --model.loss {address}"), 2)
    assert not Path(MARKER).exists()


# what is trusted


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_settings_of_every_config_are_trusted_as_they_are(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["trainer"] = {"precision": "32-true"}
    place = settings["model"].get("class_path", "perceptrons.classifier.Classifier")
    model = settings["model"].get("init_args", settings["model"])
    settings = {key: settings[key] for key in ("seed_everything", "data", "trainer")}
    settings["model"] = {"class_path": place, "init_args": model}
    supplied = trust.supplied(settings, section_types())
    assert list(trusted.classes_in(supplied))
    assert yaml.safe_load(trusted.as_word(supplied)) == supplied
    assert supplied["model"]["class_path"]
