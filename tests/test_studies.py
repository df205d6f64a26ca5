"""The studies: what their configs say, and that their replicas are what a program alone gets."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import studies
import torch
import yaml
from conftest import ROOT, Command
from numpy.typing import NDArray
from outcome import checkpoint
from perceptrons.preflight import quiet
from torch import nn

from perceptrons import load_run

Array = NDArray[np.float64]

CONFIGS = sorted((ROOT / "configs" / "studies").glob("*.yaml"))
PAGE = (ROOT / "docs" / "studies.md").read_text()
RUN = Path("lightning_logs", "r", "version_0")


def settings(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(config.read_text())
    return found


def test_every_study_is_run_by_make_studies() -> None:
    assert {config.stem for config in CONFIGS} == set(studies.PUBLISHED)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_study_is_short_and_opens_with_its_command_and_the_share_it_solves(config: Path) -> None:
    lines = config.read_text().splitlines()
    assert len(lines) <= 25
    assert all(line.startswith("#") for line in lines[:2])
    command = rf"perceptrons fit --config configs/studies/{config.name}"
    said = re.fullmatch(rf"#\s+{command}\s+-> solved: (.+)", lines[1])
    assert said
    (row,) = (line for line in PAGE.splitlines() if f"[{config.stem}]" in line)
    assert said[1] in row


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_study_is_its_experiment_from_2000_seeds(config: Path) -> None:
    study, experiment = settings(config), settings(ROOT / "configs" / config.name)
    lengths = []
    for each in (study, experiment):
        passes = each["data"]["init_args"].pop("passes")
        lengths.append(passes * each["trainer"].pop("max_epochs"))
        del each["seed_everything"]
    assert lengths[0] == lengths[1]
    assert study.pop("name") == f"{config.stem}_study"
    assert study["model"]["net"]["init_args"].pop("replicas") == studies.SEEDS
    study["model"].pop("compile", None)
    assert study == experiment


# an independent program


def sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


def delta_rule(seed: int, rate: float, passes: int) -> list[Array]:
    """Weights of the published online program, in NumPy: half the squared error, row by row."""
    torch.manual_seed(seed)
    drawn = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 1, bias=False))
    for weight in drawn.parameters():
        nn.init.uniform_(weight, -1, 1)
    first, second = (weight.detach().double().numpy() for weight in drawn.parameters())
    for _ in range(passes):
        for inputs, target in (((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 0)):
            x = np.array([*inputs, 1.0])
            hidden = sigmoid(first @ x)
            output = sigmoid(second @ hidden)
            delta = (target - output) * output * (1 - output)
            delta_hidden = (second.T @ delta) * hidden * (1 - hidden)
            second = second + rate * np.outer(delta, hidden)
            first = first + rate * np.outer(delta_hidden, x)
    return [first, second]


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_each_of_forty_replicas_is_what_a_numpy_program_gets_from_its_seed(
    compiled: bool, command: Command
) -> None:
    line = "fit --config configs/studies/xor_online_mse.yaml --name r --seed_everything 3"
    line += " --model.net.replicas 40 --data.passes 30 --trainer.max_epochs 2"
    assert command(f"{line} --model.compile {compiled}").status == 0
    found = [weight.double().numpy() for weight in checkpoint(RUN)["state_dict"].values()]
    for number in range(40):
        for mine, its in zip(found, delta_rule(3 + number, 0.9, 60), strict=True):
            np.testing.assert_allclose(mine[..., number].T, its, rtol=1e-4, atol=1e-5)


def test_a_study_of_one_replica_is_the_single_run(command: Command) -> None:
    line = "fit --config configs/xor.yaml --name r --data.passes 50 --trainer.max_epochs 2"
    assert command(f"{line} --model.net.replicas 1").status == 0
    assert command(line).status == 0
    many, one = (load_run(run)[0].net for run in (RUN, RUN.with_name("version_1")))
    for mine, its in zip(many.parameters(), one.parameters(), strict=True):
        first = mine[..., 0]
        torch.testing.assert_close(first.mT if its.ndim == 2 else first, its)


# make studies


def test_shares_differ_by_chance_as_two_samples_of_2000_do() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.binomial(2000, 0.7, (2, 4000)) / 2000
    held = [studies.chance(a, round(b, 2)) for a, b in zip(one, other, strict=True)]
    assert 0.95 <= np.mean(held) <= 0.99  # a bit more than 95 %, for one of the two is rounded
    assert not studies.chance(0.75, 0.69)
    assert not studies.chance(0.9, 0.95)


def test_what_a_study_found_is_written_between_its_comments() -> None:
    page = "a\n<!-- x -->\nold\nold\n<!-- end of x -->\nb"
    assert studies.replaced(page, "x", "new") == "a\n<!-- x -->\nnew\n<!-- end of x -->\nb"
    for name in ("studies", "grids"):
        assert "here" in studies.replaced(PAGE, name, "here")


def test_a_study_is_run_and_shown(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["perceptrons"])
    quiet()
    words = "--model.net.replicas 20 --data.passes 300 --trainer.max_epochs 3"
    found = studies.run("xor", words)
    assert found.updates == [0, 300, 600, 900]
    assert found.shares[0] == 0 < found.shares[-1]
    assert found.shares[-1] == pytest.approx(found.rows[0]["share"])  # TensorBoard has 32 bits
    assert f"| 20 | {found.shares[-1]:.1%}".replace("%", " %") in studies.line(found)
    grid = studies.grid("--model.lr_grid '[1, 2]'", found)
    assert "--config configs/studies/xor.yaml --model.lr_grid '[1, 2]'\n" in grid
    figure = studies.curves([found] * len(studies.LINES))
    figure.savefig("curves.png")
    (axes,) = figure.axes
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.lines] == [found.shares] * 6
    assert figure.get_facecolor() == (1, 1, 1, 1)
