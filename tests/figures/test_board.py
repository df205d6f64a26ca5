"""What TensorBoard shows of a run: read as it reads it, and against the run itself."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from numpy_mlp import NumpyMLP
from outcome import checkpoint, differences, outcome, points
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams

from perceptrons import figures
from perceptrons.board import LAYOUT
from perceptrons.cli import main

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([[0.0], [1.0], [1.0], [0.0]])
SEEN = {
    "xor": "--config configs/xor.yaml --data.passes 100",
    "and": "--config configs/and.yaml --trainer.max_epochs 3",
    "blobs3": "--config configs/blobs3.yaml --data.passes 5 --trainer.max_epochs 2",
    "cut": "--config configs/xor.yaml --data.passes 100 --trainer.max_epochs 4",
    "three": "--config configs/xor.yaml --data.inputs 3 --data.passes 5 --trainer.max_epochs 2",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where some runs with figures are; ``cut`` was stopped after 4 of 10 epochs and resumed."""
    directory = tmp_path_factory.mktemp("seen")
    (directory / "configs").symlink_to(ROOT / "configs")
    lines = [f"fit --figures true --name {name} {flags}" for name, flags in SEEN.items()]
    lines.append("fit --resume lightning_logs/cut/version_0 --trainer.max_epochs 10")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr("sys.argv", ["perceptrons"])
        for line in lines:
            main(line.split())
    figures.wait()
    return directory / "lightning_logs"


def events(run: Path) -> EventAccumulator:
    everything = {"images": 0, "scalars": 0, "tensors": 0, "histograms": 0}
    return EventAccumulator(str(run), everything).Reload()


def text(run: Path, name: str) -> str:
    """The only text of a name that TensorBoard shows."""
    (record,) = events(run).Tensors(f"{name}/text_summary")
    shown: str = record.tensor_proto.string_val[0].decode()
    return shown


def test_there_is_an_image_of_the_boundary_for_each_report(seen: Path) -> None:
    reports = [update for update, _ in points(seen / "xor/version_0")["val/loss"]]
    shown = events(seen / "xor/version_0")
    assert [image.step for image in shown.Images("figures/boundary")] == reports
    assert len(reports) == 11
    for name in ("neurons", "network"):
        steps = [image.step for image in shown.Images(f"figures/{name}")]
        assert {0, 1000} < set(steps) < set(reports)
    assert [image.step for image in shown.Images("figures/loss")] == [1000]


def test_a_resumed_run_has_each_image_and_each_point_once(seen: Path) -> None:
    whole, cut = seen / "xor/version_0", seen / "cut/version_0"
    assert len(list(cut.glob("*.figures"))) == 1
    for name in events(whole).Tags()["images"]:
        first, second = (events(run).Images(name) for run in (whole, cut))
        assert [image.step for image in first] == [image.step for image in second]
    assert not differences(points(whole), points(cut))
    assert not differences(outcome(whole), outcome(cut))


def test_every_run_has_the_same_tags(seen: Path) -> None:
    tags = {}
    for name in ("xor", "and", "blobs3"):
        found = events(seen / name / "version_0").Tags()
        listed = {kind: sorted(each) for kind, each in found.items() if isinstance(each, list)}
        # but for the layers, of which a perceptron has one
        tags[name] = {k: [tag for tag in v if "layer_2" not in tag] for k, v in listed.items()}
    assert tags["xor"] == tags["and"] == tags["blobs3"]
    scalars = {"learning_rate", "gradient_norm", "weight_norm/layer_1"}
    scalars |= {f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "accuracy")}
    assert set(tags["xor"]["scalars"]) == scalars


def test_every_curve_of_the_layout_is_there_and_loss_has_train_and_val_together(
    seen: Path,
) -> None:
    tags = points(seen / "xor/version_0")
    charts = [chart for group in LAYOUT.values() for chart in group.items()]
    found = {
        name: [tag for tag in tags if any(re.search(pattern, tag) for pattern in patterns)]
        for name, (_, patterns) in charts
    }
    assert found["loss"] == ["train/loss", "val/loss"]
    assert sorted(tag for each in found.values() for tag in each) == sorted(tags)


def numpy_of(state: dict[str, torch.Tensor]) -> NumpyMLP:
    arrays = [value.double().numpy() for value in state.values()]
    matrices = [np.vstack([w.T, b]) for w, b in zip(arrays[::2], arrays[1::2], strict=True)]
    return NumpyMLP(matrices, "sigmoid", bias=True)


def test_norms_are_those_that_numpy_has_of_the_last_weights(seen: Path) -> None:
    state = checkpoint(seen / "xor/version_0")["state_dict"]
    shown = {name: values[-1][1] for name, values in points(seen / "xor/version_0").items()}
    slopes = numpy_of(state).gradients(CORNERS, XOR, "bce")
    length = np.sqrt(sum((slope**2).sum() for slope in slopes))
    assert shown["gradient_norm"] == pytest.approx(length, rel=1e-4)
    assert shown["weight_norm/layer_2"] == pytest.approx(
        np.linalg.norm(state["net.layers.2.weight"].numpy()), rel=1e-6
    )
    assert shown["learning_rate"] == 1.0


def told(run: Path) -> Any:
    """The settings that HPARAMS shows, and the kind of each."""
    content = events(run).SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    start = hparams.parse_session_start_info_plugin_data(content)
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


def test_hparams_are_numbers_where_settings_are_and_the_metrics_those_of_the_last_report(
    seen: Path,
) -> None:
    shown = told(seen / "xor/version_0")
    config = yaml.safe_load((seen / "xor/version_0/config.yaml").read_text())
    assert shown["seed_everything"] == config["seed_everything"] == 777.0
    assert shown["model.optimizer.lr"] == 1.0
    assert shown["data.passes"] == 100.0
    assert shown["data.gate"] == "xor"
    assert shown["model.net.hidden"] == "[2]"
    assert told(seen / "and/version_0")["model.net.hidden"] == "[]"
    assert "None" not in shown.values()
    # TensorBoard takes the metrics from the last point of each curve
    metrics = json.loads((seen / "xor/version_0/metrics.json").read_text())
    last = {name: values[-1][1] for name, values in points(seen / "xor/version_0").items()}
    assert {name: last[name] for name in metrics if "/" in name} == {
        name: value for name, value in metrics.items() if "/" in name
    }


def test_the_texts_have_the_config_the_network_and_the_truth_table(seen: Path) -> None:
    run = seen / "xor/version_0"
    fence, *lines, end = text(run, "config").splitlines()
    assert (fence, end) == ("```yaml", "```")
    config = yaml.safe_load("\n".join(lines))
    assert config == yaml.safe_load((run / "config.yaml").read_text())
    assert list(config)[:3] == ["seed_everything", "data", "model"]
    assert "9 parameters" in text(run, "network")
    assert "Linear(in_features=2, out_features=2, bias=True)" in text(run, "network")
    rows = [line.strip("| ").split(" | ") for line in text(run, "predictions").splitlines()]
    assert rows[0] == ["x1", "x2", "logit", "probability", "class", "target"]
    assert [row[:2] + row[-1:] for row in rows[2:]] == [
        ["0", "0", "0"],
        ["0", "1", "1"],
        ["1", "0", "1"],
        ["1", "1", "0"],
    ]
    logits = numpy_of(checkpoint(run)["state_dict"]).sums(CORNERS)[-1]
    assert [float(row[2]) for row in rows[2:]] == pytest.approx(logits[:, 0], rel=1e-4)


def test_a_figure_that_is_left_out_is_named_with_the_reason(seen: Path) -> None:
    (record,) = events(seen / "three/version_0").Tensors("figures")
    said = record.tensor_proto.string_val[0].decode()
    assert "**neurons** is left out: 3 inputs have no plane" in said
    assert "figures/neurons" not in events(seen / "three/version_0").Tags()["images"]
