"""What TensorBoard shows of a run: read as it reads it, and against the run itself."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from small_modules import CORNERS, XOR, Plain, Points, dense, trainer, xor
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams
from torch import Tensor, nn

from perceptrons.lab.figures import board
from perceptrons.lab.figures.board import LAYOUT, Board
from perceptrons.lab.studies.plan import Plan, make_study

HOSTILE = "<img src=http://127.0.0.1:9/x>|`````` [a](b)"
CONFIG = {
    "seed_everything": 777,
    "data": {"class_path": "perceptrons.data.Gates", "init_args": {"gate": "xor"}},
    "model": {"init_args": {"optimizer": {"class_path": "SGD", "init_args": {"lr": 0.5}}}},
}


class Told(Plain):
    """It says of the rows what it thinks."""

    def predictions(self, logits: Tensor) -> dict[str, Tensor]:
        return {"logit": logits, "class": (logits > 0).int()}


class Deep(nn.Sequential):
    """Whose name in TensorBoard's text would be a request."""

    def extra_repr(self) -> str:
        return HOSTILE


def fitted(root: Path, name: str = "one", net: nn.Module | None = None, data: Any = None) -> Any:
    """A run with TensorBoard's records, and the module that it trained."""
    run = root / name / "version_0"
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    module = Told(net or dense(2, 2, 1), rate=0.5)
    logger = TensorBoardLogger(run, "", "", default_hp_metric=False)
    beside = Board(CONFIG | {"note": HOSTILE})
    trainer(3, beside, logger=logger).fit(module, datamodule=data or xor())
    logger.experiment.close()
    return run, module


def events(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), {"scalars": 0, "tensors": 0, "histograms": 0}).Reload()


def text(run: Path, name: str) -> str:
    """The only text of a name that TensorBoard shows."""
    (record,) = events(run).Tensors(f"{name}/text_summary")
    shown: str = record.tensor_proto.string_val[0].decode()
    return shown


def test_norms_are_those_of_the_last_weights_and_of_their_gradient(tmp_path: Path) -> None:
    run, module = fitted(tmp_path)
    shown = events(run)
    last = {name: shown.Scalars(name)[-1] for name in shown.Tags()["scalars"]}
    x, y = xor().split["train"]
    module.zero_grad()
    module.loss(module.net(x), y).backward()
    length = np.sqrt(sum(each.grad.square().sum().item() for each in module.parameters()))
    assert last["gradient_norm"].value == pytest.approx(length, rel=1e-5)
    for number, layer in enumerate((module.net[0], module.net[2]), 1):
        norm = layer.weight.detach().norm().item()
        assert last[f"weight_norm/layer_{number}"].value == pytest.approx(norm, rel=1e-5)
    assert last["learning_rate"].value == 0.5
    assert [point.step for point in shown.Scalars("learning_rate")] == [1, 2, 3]
    assert set(shown.Tags()["histograms"]) == {"weights/layer_1", "weights/layer_2"}


def content(run: Path, tag: str) -> Any:
    return events(run).SummaryMetadata(tag).plugin_data.content


def test_hparams_are_numbers_where_settings_are(tmp_path: Path) -> None:
    run, _ = fitted(tmp_path)
    start = hparams.parse_session_start_info_plugin_data(
        content(run, hparams.SESSION_START_INFO_TAG)
    )
    shown = {name: getattr(each, each.WhichOneof("kind")) for name, each in start.hparams.items()}
    assert shown == {
        "data": "Gates xor",
        "net": "Sequential",
        "hidden": "[2]",
        "lr": 0.5,
        "seed": 777.0,
    }


def test_a_study_has_the_settings_of_its_members() -> None:
    study = make_study(Plan(0, 2, {}), xor(), lambda _: Plain(dense(2, 3, 1)), None, (None, None))
    assert board.shown_settings({}, study) == {"net": "Sequential", "hidden": "[3]"}
    assert board.description(study).startswith("13 parameters")


def test_every_run_says_the_same_of_what_the_columns_of_hparams_are(tmp_path: Path) -> None:
    records = []
    for name, net in (("one", dense(2, 1)), ("two", dense(2, 3, 1))):
        run, _ = fitted(tmp_path, name, net)
        records.append(hparams.parse_experiment_plugin_data(content(run, hparams.EXPERIMENT_TAG)))
    first, second = records
    assert first.hparam_infos == second.hparam_infos
    assert {info.name for info in first.hparam_infos} == {"data", "net", "hidden", "lr", "seed"}
    for record in records:
        tags = [info.name.tag for info in record.metric_infos]
        assert tags == ["val/accuracy", "val/loss", "train/loss"]


def test_the_texts_have_the_config_the_network_and_the_truth_table(tmp_path: Path) -> None:
    run, module = fitted(tmp_path)
    fence, *lines, end = text(run, "config").splitlines()
    assert (fence, end) == ("``````yaml", "``````")
    config = yaml.safe_load("\n".join(lines))
    assert {name: config[name] for name in CONFIG} == CONFIG
    assert "9 parameters" in text(run, "network")
    rows = [line.strip("| ").split(" | ") for line in text(run, "predictions").splitlines()]
    assert rows[0] == ["x1", "x2", "logit", "class", "target"]
    assert [[int(cell) for cell in row[:2]] for row in rows[2:]] == [
        [*map(int, c)] for c in CORNERS
    ]
    assert [float(row[4]) for row in rows[2:]] == XOR
    with torch.no_grad():
        logits = module.net(torch.tensor(CORNERS))[:, 0]
    assert [float(row[2]) for row in rows[2:]] == pytest.approx(logits.tolist(), rel=1e-4)


def test_nothing_of_a_config_a_class_or_a_cell_is_more_than_text(tmp_path: Path) -> None:
    class Named(Points):
        def named(self, part: Any = None, rows: Any = None) -> dict[str, list[Any]]:
            return {"a|b<i>": [HOSTILE] * 4}

    run, _ = fitted(tmp_path, net=Deep(nn.Linear(2, 1)), data=Named(CORNERS, XOR))
    table = text(run, "predictions").splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}
    assert "<" not in text(run, "predictions")
    for name in ("config", "network"):
        outside = re.sub(r"``````.*?\n``````(\n|$)", "", text(run, name), flags=re.DOTALL)
        assert "<img" not in outside
        assert text(run, name).count("``````") == 2


def test_every_curve_of_a_run_is_in_the_layout(tmp_path: Path) -> None:
    run, _ = fitted(tmp_path)
    patterns = [tags[0] for charts in LAYOUT.values() for _, tags in charts.values()]
    names = {name for name in events(run).Tags()["scalars"] if name != "epoch"}
    assert {name for name in names if any(re.search(each, name) for each in patterns)} == names


def test_a_module_without_net_and_loss_has_what_can_be_had_of_it(tmp_path: Path) -> None:
    class Bare(Plain):
        def __init__(self) -> None:
            super().__init__(dense(2, 1))
            self.body = self.net
            del self.net, self.loss

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return nn.functional.mse_loss(self.body(batch[0]), batch[1])

        validation_step = training_step  # type: ignore[assignment]

    logger = TensorBoardLogger(tmp_path / "run", "", "", default_hp_metric=False)
    (tmp_path / "run").mkdir()
    beside = Board({})
    trainer(1, beside, logger=logger).fit(Bare(), datamodule=xor())
    logger.experiment.close()
    scalars = set(events(tmp_path / "run").Tags()["scalars"])
    assert {"learning_rate", "weight_norm/layer_1"} <= scalars
    assert "gradient_norm" not in scalars
