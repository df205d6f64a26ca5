"""A stranger's checkpoint, or run, runs nothing: each gadget is refused, and leaves no trace."""

import copy
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from children import CONFIGS, error_line
from conftest import Command, Finished
from perceptrons.cli import main
from perceptrons.resume import TAKES

import perceptrons
from perceptrons import checkpoints, load_run, trust

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
    "the command line, for the data": ("data", made_of("perceptrons.cli.CLI", args=[])),
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
    for name in ("gadget.yaml", "mse"):
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
        return Finished(2, "", f"perceptrons: error: {mistake}\n")
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


# what is trusted


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_settings_of_every_config_are_trusted_as_they_are(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["trainer"] = {"precision": "32-true"}
    supplied = trust.supplied(settings, TAKES)
    assert list(trust.chosen(supplied))
    assert yaml.safe_load(trust.as_word(supplied)) == supplied
    assert supplied["model"]["loss"] == settings["model"]["loss"]


def written(run: Path) -> tuple[Any, Any]:
    """The settings in a run's config and in its checkpoint."""
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return yaml.safe_load((run / "config.yaml").read_text()), content["settings"]


@pytest.mark.parametrize(
    "flags",
    [
        "--model.scheduler StepLR --model.scheduler.step_size 5 --best.monitor train/loss",
        "--model.scheduler lightning.pytorch.cli.ReduceLROnPlateau --model.scheduler.monitor"
        " val/loss",
        "--model.optimizer AdamW --trainer.gradient_clip_val 1.0 --trainer.max_time 00:01:00:00",
        "--model.loss torch.nn.BCEWithLogitsLoss --trainer.callbacks+=Timer",
        "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor val/loss",
        "--trainer.callbacks+=LearningRateMonitor --trainer.callbacks+=ModelCheckpoint"
        " --trainer.callbacks.every_n_epochs 2",
        "--model.net.replicas 3 --model.lr_grid [0.1,1.0]",
    ],
)
def test_nothing_of_an_ordinary_run_is_refused_or_changed(
    flags: str, command: Command, run: Path
) -> None:
    config = f"fit --config {CONFIGS}/xor.yaml --name own {SHORT}"
    assert command(f"{config} {flags}").status == 0
    own = Path("lightning_logs", "own", "version_0")
    config_, settings = written(own)
    assert trust.supplied(settings, TAKES) == settings
    assert trust.resumed(config_, TAKES, own) == config_


def test_a_class_in_a_new_file_of_the_package_is_trusted(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("more")
    folder.mkdir()
    (folder / "mine.py").write_text(HARMLESS)
    places = [*perceptrons.__path__, str(folder)]
    monkeypatch.setattr("perceptrons.__path__", places)
    mine = made_of("perceptrons.mine.Net")
    settings = changed(written(RUN)[1], "model.net", mine)
    assert trust.supplied(settings, TAKES)["model"]["net"] == mine
    monkeypatch.delitem(sys.modules, "perceptrons.mine")


VALIDATE = f"validate --ckpt_path {FILE}"
FOREIGN = changed({}, "model.net", made_of("foreign.Net"))


@pytest.fixture
def foreign(run: Path) -> Iterator[None]:
    """A run whose network is of another package."""
    module = ModuleType("foreign")
    exec(HARMLESS, module.__dict__)
    module.Net.__module__ = "foreign"
    sys.modules["foreign"] = module
    content = torch.load(FILE, weights_only=True)
    content["settings"]["model"]["net"] = made_of("foreign.Net")
    weights = {"net.weight": torch.zeros(1, 2), "net.bias": torch.zeros(1)}
    torch.save({**content, "state_dict": weights}, FILE)
    yield
    del sys.modules["foreign"]


@pytest.mark.usefixtures("foreign")
def test_another_class_is_named_with_how_to_trust_it(command: Command) -> None:
    line = error_line(command(VALIDATE), 2)
    assert "model.net='foreign.Net': is of none of perceptrons, torch.nn, torch" in line
    assert '--trust foreign, or trust = ["foreign"] under [tool.perceptrons]' in line


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    "flags",
    ["--trust foreign", "--trust=foreign", "--trust a --trust foreign", "--trust [a,foreign]"],
)
def test_what_a_person_types_is_trusted(flags: str, command: Command) -> None:
    assert command(f"{VALIDATE} {flags}").status == 0


@pytest.mark.usefixtures("foreign")
def test_what_a_persons_own_config_names_is_trusted(command: Command) -> None:
    Path("mine.yaml").write_text(yaml.safe_dump(FOREIGN))
    assert command(f"{VALIDATE} --config mine.yaml").status == 0


@pytest.mark.usefixtures("foreign")
def test_what_the_projects_file_says_is_trusted(command: Command) -> None:
    Path("pyproject.toml").write_text('[tool.perceptrons]\ntrust = ["foreign"]\n')
    assert command(VALIDATE).status == 0
    load_run(RUN)


@pytest.mark.usefixtures("foreign")
def test_a_project_file_in_a_run_says_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (RUN / "pyproject.toml").write_text('[tool.perceptrons]\ntrust = ["foreign"]\n')
    error_line(command(VALIDATE), 2)
    monkeypatch.chdir(RUN)
    error_line(command("validate --ckpt_path checkpoints/last.ckpt"), 2)


@pytest.mark.usefixtures("foreign")
def test_a_notebook_trusts_what_it_is_told_to() -> None:
    assert type(load_run(RUN, trust=["foreign"])[0].net).__name__ == "Net"


def test_trust_is_no_setting(command: Command, run: Path) -> None:
    assert command(f"fit --resume {RUN} --trainer.max_epochs 2 --trust foreign").status == 0
    assert "trust" not in yaml.safe_load((RUN / "config.yaml").read_text())
    Path("mine.yaml").write_text("trust: os")
    assert "trust: no such key" in error_line(command("fit --config mine.yaml"), 2)
    assert "trust: a value is missing" in error_line(command("validate --trust"), 2)


def test_settings_are_not_unfolded_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "MOST", 10_000)
    bomb: Any = [1.0] * 10
    for _ in range(20):
        bomb = [bomb] * 10
    with pytest.raises(trust.TrustError, match="more than 10,000 values"):
        trust.supplied({"model": {"lr_grid": bomb}}, TAKES)
    bomb = []
    bomb.append(bomb)
    with pytest.raises(trust.TrustError, match="nested too deep"):
        trust.supplied({"model": {"lr_grid": bomb}}, TAKES)


# the size of a file

MUCH = 10_000_000


def repacked(compression: int) -> None:
    with zipfile.ZipFile(FILE) as old:
        content = {each.filename: old.read(each) for each in old.infolist()}
    with zipfile.ZipFile(FILE, "w", compression) as new:
        for name, each in content.items():
            new.writestr(name, each)


class Reduced:
    """Is pickled as a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


BOMBS: dict[str, Callable[[], Any]] = {
    "one number, shown often": lambda: torch.zeros(1).expand(MUCH),
    "a length": lambda: Reduced(bytearray, (MUCH,)),
    "a length of numbers": lambda: Reduced(torch.FloatStorage, (MUCH,)),
    "without numbers": lambda: torch.zeros(MUCH, device="meta"),
    "sparse": lambda: torch.sparse_coo_tensor(
        torch.zeros(1, 1), torch.zeros(1), (MUCH,), check_invariants=False
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_would_become_much_larger_is_refused(
    name: str, command: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = torch.load(FILE, weights_only=True)
    torch.save({**content, "measured": {"bomb": BOMBS[name]()}}, FILE)
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("it is loaded"))
    error_line(command(VALIDATE), 2)


def test_a_compressed_file_is_refused(command: Command, run: Path) -> None:
    repacked(zipfile.ZIP_STORED)
    assert command(VALIDATE).status == 0
    repacked(zipfile.ZIP_DEFLATED)
    assert "is compressed, which no checkpoint is" in error_line(command(VALIDATE), 2)


def test_views_of_the_same_numbers_count_each(run: Path) -> None:
    content = torch.load(FILE, weights_only=True)
    numbers = torch.zeros(1000)
    views = [numbers[at:] for at in range(900)]
    torch.save({**content, "measured": {"bomb": views}}, FILE)
    with pytest.raises(checkpoints.CheckpointError, match=r"would take .* bytes"):
        checkpoints.read(FILE)


def test_a_pickle_that_calls_something_is_refused(run: Path) -> None:
    content = torch.load(FILE, weights_only=True)
    torch.save({**content, "measured": Reduced(eval, (CODE,))}, FILE)
    with pytest.raises(checkpoints.CheckpointError, match="would run code"):
        checkpoints.read(FILE)
    FILE.write_bytes(pickle.dumps(content))
    with pytest.raises(checkpoints.CheckpointError, match="no checkpoint"):
        checkpoints.read(FILE)
    assert not Path(MARKER).exists()
