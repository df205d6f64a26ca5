"""What TensorBoard shows of a run beside loss and accuracy; the figures come by another way.

Scalars and histograms at each report, HPARAMS, texts and a layout, by the same names for every run,
so that runs compare.
"""

import math
from typing import Any

import torch
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.tensorboard.summary import hparams

from perceptrons import runs
from perceptrons.loader import TableLoader
from perceptrons.network import MLP
from perceptrons.predictions import columns
from perceptrons.tables import EVALUATION_ROWS, TableData

# charts of the Custom Scalars page: patterns of the tags whose curves they have
LAYOUT = {
    "learning": {
        "loss": ["Multiline", ["^(train|val)/loss$"]],
        "accuracy": ["Multiline", ["^(train|val)/accuracy$"]],
    },
    "steps": {
        "learning rate": ["Multiline", ["^learning_rate$"]],
        "gradient norm": ["Multiline", ["^gradient_norm$"]],
        "weight norms": ["Multiline", ["^weight_norm/"]],
    },
}
# of a study too
LAYOUT_OF_STUDY = {
    "study": {
        "share solved": ["Multiline", ["^train/solved$"]],
        "loss: median, 10 to 90 %": [
            "Margin",
            [f"study/loss_{name}" for name in ("median", "10", "90")],
        ],
    }
}
# replicas at most whose weights a histogram has
BINNED = 2000
# sections of a config that the experiment is in, and settings that HPARAMS shows
OWN = ("seed_everything", "data", "model")
TOLD = (*OWN, "trainer.max_")


class Board(Callback):
    """Writes to a run's loggers what the classifier does not.

    Args:
        settings: The run's settings by their flags, for HPARAMS.
        config: The settings as a config file has them.
        begun: Whether the run goes on, and what is written at its beginning is there already.
    """

    def __init__(self, settings: dict[str, Any], config: str, begun: bool) -> None:
        self.settings, self.config, self.begun = settings, config, begun

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        for writer in writers(trainer) if not self.begun else ():
            # without the first, which says what the columns are: TensorBoard would take one run's
            # for those of all, but without any it takes those that each run has
            _, start, _ = hparams(told(self.settings, pl_module.net), {})  # type: ignore[no-untyped-call]
            writer._get_file_writer().add_summary(start)
            several = pl_module.replicas is not None
            writer.add_custom_scalars(LAYOUT | LAYOUT_OF_STUDY if several else LAYOUT)
            writer.add_text("config", fenced(ordered(self.config), "yaml"))
            writer.add_text("network", described(pl_module.net))

    # before the classifier's own report, which has all that is logged written
    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.state.fn != "fit":
            return
        update, weights = trainer.global_step, layers(pl_module.net)
        scalars = {"learning_rate": pl_module.rates[0]["lr"], **norms(weights, pl_module.replicas)}
        if isinstance(trainer.datamodule, TableData):
            scalars["gradient_norm"] = gradient_norm(pl_module, trainer.datamodule)
        for writer in writers(trainer):
            for name, weight in weights.items():
                weight = few(weight, pl_module.replicas)
                if weight.isfinite().all():  # or else the report ends the training
                    writer.add_histogram(f"weights/{name}", weight, update, bins=30)
        for logger in trainer.loggers:
            logger.log_metrics(scalars, update)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        for writer in writers(trainer):
            _, _, end = hparams({}, {})  # type: ignore[no-untyped-call]
            writer._get_file_writer().add_summary(end)
            # of replicas, and of many outputs, there is more than a table holds
            if isinstance(trainer.datamodule, TableData) and "val" not in pl_module.all_right:
                table = markdown(answers(pl_module, trainer.datamodule))
                writer.add_text("predictions", table, trainer.global_step)


def writers(trainer: Any) -> list[Any]:
    """Where TensorBoard's own kinds of record go; one of several processes writes them."""
    if not trainer.is_global_zero:
        return []
    return [each.experiment for each in trainer.loggers if isinstance(each, TensorBoardLogger)]


def layers(net: nn.Module) -> dict[str, Tensor]:
    """The weights of each layer, without its biases, by ``layer_1``, ``layer_2``, ..."""
    weights = [value for name, value in net.named_parameters() if not name.endswith("bias")]
    return {f"layer_{number}": value.detach() for number, value in enumerate(weights, 1)}


def few(weight: Tensor, replicas: int | None) -> Tensor:
    """A layer's weights of evenly chosen replicas, for a histogram that is as good."""
    return weight if replicas is None else weight[..., :: -(-replicas // BINNED)]


def norms(weights: dict[str, Tensor], replicas: int | None) -> dict[str, float]:
    """The length of each layer's weights taken as a vector: of replicas, the root mean square."""
    squares = torch.stack([weight.square().sum() for weight in weights.values()]).tolist()
    return {
        f"weight_norm/{name}": math.sqrt(square / (replicas or 1))
        for name, square in zip(weights, squares, strict=True)
    }


@torch.inference_mode(False)
@torch.enable_grad()
def gradient_norm(model: Any, data: TableData) -> float:
    """Length of the gradient of the loss over all training rows, at the weights as they are.

    Of replicas, the root mean square.
    """
    parameters = [weight for weight in model.net.parameters() if weight.requires_grad]
    total, rows = [torch.zeros_like(weight) for weight in parameters], len(data.split["train"][0])
    for batch in TableLoader(data.on_device("train"), EVALUATION_ROWS):
        x, y = (column.to(parameters[0].dtype) for column in batch)
        if model.replicas is None:
            gradients = torch.autograd.grad(
                model.loss(model.net(x), y), parameters, materialize_grads=True
            )
        else:
            gradients = model.blocks(len(x)).gradients(x, y)[1]
        for sum_, part in zip(total, gradients, strict=True):
            sum_ += part * (len(x) / rows)
    squares = sum(each.square().sum().item() for each in total)
    return math.sqrt(squares / (model.replicas or 1))


@torch.inference_mode()
def answers(model: Any, data: TableData) -> runs.Columns:
    """What the network says of the first rows to validate on, beside what is right."""
    x, y = (column[: runs.SHOWN_ROWS] for column in data.split["val"])
    given = x.to(next(model.parameters()))  # its device and precision
    prediction = model.eval().predict_step((given,))
    inputs = runs.few(data.named("val", len(x)))
    return columns(prediction, inputs, data.class_names, target=model.answers(y))


def told(settings: dict[str, Any], net: nn.Module) -> dict[str, float | str]:
    """What HPARAMS shows: numbers as numbers, all else as text, and nothing for ``null``."""
    shown: dict[str, float | str] = {}
    if isinstance(net, MLP):  # a perceptron too has hidden layers, none
        shown |= {"model.net.hidden": "[]", "model.net.activation": "none"}
    for name, setting in settings.items():
        if setting is not None and name.startswith(TOLD):
            number = isinstance(setting, int | float) and not isinstance(setting, bool)
            shown[name] = setting if number else str(setting)
    return shown


def ordered(config: str) -> str:
    """A config with what is the experiment's own first."""
    settings = yaml.safe_load(config)
    first = {key: settings.pop(key) for key in OWN if key in settings}
    return yaml.safe_dump(first | settings, sort_keys=False)


def described(net: nn.Module) -> str:
    """A network's structure and how many parameters it has."""
    count = sum(weight.numel() for weight in net.parameters())
    rows = [f"| {name} | {list(weight.shape)} |" for name, weight in net.named_parameters()]
    table = "\n".join(["| parameter | shape |", "| --- | --- |", *rows])
    return f"{count:,} parameters\n\n{fenced(str(net))}\n\n{table}"


def fenced(text: str, language: str = "") -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def markdown(table: runs.Columns) -> str:
    """Columns as a Markdown table."""
    rows = [[*map(cell, row)] for row in zip(*table.values(), strict=True)]
    lines = [list(table), ["---"] * len(table), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", "\\|")
