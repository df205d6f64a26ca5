"""What TensorBoard shows of a run beside its metrics; the figures come by another way.

Scalars and histograms at each report, HPARAMS, texts and a layout, by the same names for every run,
so that runs compare.
"""

import math
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.tensorboard.summary import hparams

from ..data.tables import EVALUATION_ROWS, TableData
from ..runs.files import yaml_text
from ..studies.study import StudyModule
from ..training.protocol import Trainable
from .drawing import escape

# address at which TensorBoard smooths no curve: of Time Series, and of Scalars and Custom Scalars
ADDRESS = "http://localhost:6006/?smoothing=0#timeseries&_smoothingWeight=0"
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
STUDIED = {
    "study": {
        "share solved": ["Multiline", ["^train/solved$"]],
        "loss: median, 10 to 90 %": [
            "Margin",
            [f"study/loss_{name}" for name in ("median", "10", "90")],
        ],
    }
}
# what the columns of HPARAMS are: by itself TensorBoard shows others, and no result
SETTINGS = {"data": "", "net": "", "hidden": "", "lr": 0.0, "seed": 0.0}
METRICS = dict.fromkeys(("val/accuracy", "val/loss", "train/loss"), 0.0)
WIDEST = 2_000_000  # weights of a layer that a histogram is made of
SHOWN_ROWS = 100


class Board(Callback):
    """Writes to a run's TensorBoard what its module does not.

    Args:
        config: The run's settings, as its config file has them.
        resumed: Whether the run is resumed, and has what is written at its start.
    """

    def __init__(self, config: Mapping[str, Any], resumed: bool = False) -> None:
        self.config, self.resumed = config, resumed

    def on_fit_start(self, trainer: Any, pl_module: L.LightningModule) -> None:
        charts = LAYOUT | STUDIED if isinstance(pl_module, StudyModule) else LAYOUT
        settings = shown_settings(self.config, pl_module)
        # the columns are the same in every run: TensorBoard takes those of any run for all
        records = hparams(SETTINGS, METRICS)[0], hparams(settings, {})[1]  # type: ignore[no-untyped-call]
        for writer in [] if self.resumed else writers(trainer):
            writer.add_text("config", code_block(yaml_text(self.config), "yaml"))
            writer.add_text("network", description(pl_module))
            writer.add_custom_scalars(charts)
            for record in records:
                writer.file_writer.add_summary(record)

    def on_validation_end(self, trainer: Any, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or not trainer.optimizers:
            return
        update, weights = trainer.global_step, layers(pl_module)
        scalars = {"learning_rate": trainer.optimizers[0].param_groups[0]["lr"], **norms(weights)}
        if isinstance(pl_module, Trainable) and isinstance(trainer.datamodule, TableData):
            scalars["gradient_norm"] = gradient_norm(pl_module, trainer.datamodule)
        for writer in writers(trainer):
            for name, weight in weights.items():
                if weight.numel() <= WIDEST and weight.isfinite().all():
                    writer.add_histogram(f"weights/{name}", weight, update, bins=30)
        for logger in trainer.loggers:
            logger.log_metrics(scalars, update)

    def on_train_end(self, trainer: Any, pl_module: L.LightningModule) -> None:
        for writer in writers(trainer):
            if answered := answers(pl_module, trainer.datamodule):
                writer.add_text("predictions", markdown(answered), trainer.global_step)


def writers(trainer: Any) -> list[Any]:
    """Where TensorBoard's own kinds of record go; one of several processes writes them."""
    if not trainer.is_global_zero:
        return []
    return [each.experiment for each in trainer.loggers if isinstance(each, TensorBoardLogger)]


def layers(module: nn.Module) -> dict[str, Tensor]:
    """The weights of each layer, without its biases, by ``layer_1``, ``layer_2``, ..."""
    if isinstance(module, StudyModule) and len(module.groups) > 1:
        return {}  # those of each setting and fold would be too many to look at
    named = (getattr(module, "net", None) or module).named_parameters()
    weights = [value for name, value in named if not name.endswith("bias")]
    return {f"layer_{number}": value.detach() for number, value in enumerate(weights, 1)}


def norms(weights: dict[str, Tensor]) -> dict[str, float]:
    """The length of each layer's weights taken as a vector."""
    return {f"weight_norm/{name}": float(weight.norm()) for name, weight in weights.items()}


@torch.inference_mode(False)
@torch.enable_grad()
def gradient_norm(module: Any, data: TableData) -> float:
    """Length of the gradient of the loss over the training rows, at the weights as they are.

    Of a large table, over its first 65,536 rows.
    """
    parameters = [weight for weight in module.net.parameters() if weight.requires_grad]
    if not parameters:
        return 0.0
    x, y = (column[:EVALUATION_ROWS].to(parameters[0].device) for column in data.split["train"][:2])
    targets = getattr(module, "targets", None)
    logits = module.net(x.to(parameters[0].dtype))
    loss = module.loss(logits, targets(y).to(logits.dtype) if targets else y)
    if not isinstance(loss, Tensor):  # which ends the training, with its reason
        return 0.0
    gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
    return math.sqrt(sum(each.square().sum().item() for each in gradients))


@torch.inference_mode()
def answers(module: Any, data: Any) -> dict[str, list[Any]]:
    """What the network says of the first validation rows, beside what is right."""
    said = getattr(module, "predictions", None)
    if said is None or not isinstance(data, TableData) or data.outputs > 10:
        return {}
    x, y = (column[:SHOWN_ROWS] for column in data.split["val"][:2])
    net, given = module.net.eval(), x.to(next(module.parameters()))  # its device and precision
    table = {name: values[:SHOWN_ROWS] for name, values in data.named("val", SHOWN_ROWS).items()}
    for name, values in {**said(net(given)), "target": y.reshape(len(y), -1)}.items():
        several = values.shape[1] > 1
        for number, column in enumerate(values.mT):
            table[f"{name}_{number}" if several else name] = column.float().tolist()
    return table


def shown_settings(config: Mapping[str, Any], module: nn.Module) -> dict[str, Any]:
    """The settings of a run that HPARAMS shows, those that it has."""
    net = network_of(module)
    found: dict[str, Any] = {"net": type(net).__name__}
    data = config.get("data")
    if isinstance(data, Mapping) and data.get("class_path"):
        found["data"] = str(data["class_path"]).rpartition(".")[2]
        gate = (data.get("init_args") or {}).get("gate")
        found["data"] += f" {gate}" if gate else ""
    flat_linear = [each for each in net.modules() if isinstance(each, nn.Linear)]
    found["hidden"] = str([each.out_features for each in flat_linear[:-1]])
    rate = setting(config.get("model"), "lr")
    for name, value in (("lr", rate), ("seed", config.get("seed_everything"))):
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def setting(settings: Any, name: str) -> Any:
    """The first setting of a name, at any depth."""
    if not isinstance(settings, Mapping):
        return None
    if name in settings:
        return settings[name]
    inner = (setting(each, name) for each in settings.values())
    return next((each for each in inner if each is not None), None)


def network_of(module: Any) -> nn.Module:
    """A module's network, of a study that of a member, or else all that it has."""
    own = module.user_module if isinstance(module, StudyModule) else module
    net: nn.Module = getattr(own, "net", None) or module
    return net


def description(module: nn.Module) -> str:
    """A network's structure and how many parameters it has."""
    net = network_of(module)
    count = sum(weight.numel() for weight in net.parameters())
    return f"{count:,} parameters\n\n{code_block(str(net))}"


def code_block(text: str, language: str = "") -> str:
    """Text as a block of code, which shows every sign as it is and cannot end early."""
    return f"``````{language}\n{text.rstrip().replace('``````', '')}\n``````"


def markdown(table: Mapping[str, list[Any]]) -> str:
    """Columns as a Markdown table."""
    rows = [[*map(cell, row)] for row in zip(*table.values(), strict=True)]
    lines = [[*map(escape, table)], ["---"] * len(table), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else escape(value)
