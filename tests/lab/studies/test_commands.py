"""Studies through the command line: members against runs, resuming, mistakes, one of many."""

import csv
import json
import re
import warnings
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CONFIGS, Command, Finished
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from subject import Classifier
from torch import Tensor, nn

from perceptrons.lab.cli.load import load_run
from perceptrons.lab.runs import trust

Array = NDArray[np.float64]

RUN = Path("lightning_logs", "r", "version_0")
FIT = "fit --config configs/xor.yaml --name r --data.passes 100 --trainer.max_epochs 3"
STUDY = f"{FIT} --seeds 5"
GRID = '{"model.optimizer.lr":[0.3,3],"model.net.init_scale":[0.5,2]}'
# how a study may be trained, in words that a single run takes too
WAYS = {
    "autograd": "",
    "by hand": "--model.gradients by_hand",
    "cross-wise": "--model.loss mse --model.bias_lr_factor 0.25",
    "Adam": "--model.optimizer torch.optim.Adam --model.optimizer.lr 0.01",
    "RMSprop": "--model.optimizer torch.optim.RMSprop --model.optimizer.lr 0.001",
    "shuffled": "--data.batch_size 2 --data.shuffle true --model.optimizer.lr 0.3",
    "scheduled": "--model.scheduler torch.optim.lr_scheduler.ExponentialLR"
    " --model.scheduler.gamma 0.99",
    "own network": "--model.net test_commands.Residual --data.passes 2",
    "three classes": "--config configs/blobs3.yaml --data.passes 10 --data.batch_size 50",
}


class Residual(nn.Module):
    """Not an MLP: a layer that adds to what it is given, and a norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up, self.across = nn.Linear(inputs, 8), nn.Linear(8, 8)
        self.norm, self.down = nn.LayerNorm(8), nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        z = self.up(x)
        out: Tensor = self.down(self.norm(z + torch.tanh(self.across(z))))
        return out


def done(finished: Finished) -> Finished:
    assert finished.status == 0, finished.err
    return finished


def rows(run: Path = RUN) -> list[dict[str, Any]]:
    with (run / "members.csv").open() as file:
        return list(csv.DictReader(file))


def metrics(run: Path = RUN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


def newest() -> Path:
    return max(RUN.parent.iterdir(), key=lambda path: int(path.name.rpartition("_")[2]))


def weights(run: Path) -> dict[str, Tensor]:
    file = run / "checkpoints" / "last.ckpt"
    state: dict[str, Tensor] = torch.load(file, weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("way", WAYS)
def test_a_member_is_the_run_with_its_seed(
    way: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "PREFIXES", (*trust.PREFIXES, "test_commands"))
    done(command(f"{STUDY} {WAYS[way]}"))
    study: Any = load_run(RUN)[0]
    for number in (0, 4):
        seed = int(rows()[number]["seed"])
        done(command(f"{FIT} {WAYS[way]} --seed_everything {seed}"))
        single: Any = load_run(newest())[0]
        pairs = zip(study.members[number].parameters(), single.net.parameters(), strict=True)
        for mine, its in pairs:
            torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)
        found = metrics(newest())["train/loss"]
        assert float(rows()[number]["loss"]) == pytest.approx(found, rel=1e-3)


class Whole(L.LightningModule):
    """Makes its network by itself."""

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
        self.loss, self.scheduler = nn.BCEWithLogitsLoss(), None
        self.optimizer = partial(torch.optim.SGD, lr=rate)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return cast(Tensor, self.loss(self.net(batch[0]), batch[1]))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> Any:
        return self.optimizer(self.parameters())


def test_a_module_that_makes_its_network_by_itself_is_trained_from_many_seeds(
    command: Command,
) -> None:
    fit = "fit --name r --data Gates --data.passes 50 --trainer.max_epochs 2 --figures false"
    fit += " --model test_commands.Whole"
    done(command(f"{fit} --seeds 3 --seed_everything 5 " + '--grid {"model.rate":[0.5,2]}'))
    done(command(f"{fit} --seed_everything 6 --model.rate 2"))
    found = metrics(newest())["val/loss"]
    assert float(rows()[4]["loss"]) == pytest.approx(found, rel=1e-3)


def test_a_grid_trains_every_setting_with_every_seed(command: Command) -> None:
    done(command(f"{STUDY} --grid {GRID}"))
    names = ("model.optimizer.lr", "model.net.init_scale")
    kinds = [(float(r[names[0]]), float(r[names[1]]), int(r["seed"])) for r in rows()]
    assert kinds == [(lr, s, 777 + n) for lr in (0.3, 3) for s in (0.5, 2) for n in range(5)]
    assert [row["model.optimizer.lr"] for row in metrics()["study"]] == [0.3, 0.3, 3, 3]
    single = "--seed_everything 779 --model.optimizer.lr 3 --model.net.init_scale 2"
    done(command(f"{FIT} {single}"))
    loss = float(rows()[kinds.index((3.0, 2.0, 779))]["loss"])
    assert loss == pytest.approx(metrics(newest())["train/loss"], rel=1e-3)


def test_what_counts_as_solved_is_what_answers_every_row_right(command: Command) -> None:
    said = done(command(f"{STUDY} --data.passes 1000")).out
    loaded: Any = load_run(RUN)
    study, data = loaded
    x, y = data.split["train"]
    solved = [bool(((net(x) > 0) == (y > 0)).all()) for net in study.members]
    assert [row["solved"] == "1" for row in rows()] == solved
    assert metrics()["train/solved"] == np.mean(solved)
    assert f"{np.mean(solved):.1%}" in said
    assert max(map(len, said[said.index("members  solved") :].splitlines())) <= 80


def test_a_study_stopped_and_resumed_is_the_longer_one(command: Command) -> None:
    adam = "--model.optimizer torch.optim.Adam --model.optimizer.lr 0.01"
    fit = f"{STUDY} --data.batch_size 2 --data.shuffle true {adam}"
    done(command(f"{fit} --trainer.max_epochs 5"))
    done(command(fit))
    shorter = newest()
    done(command(f"fit --resume {shorter} --trainer.max_epochs 5"))
    mine, its = weights(shorter), weights(RUN)
    assert all(torch.equal(mine[name], value) for name, value in its.items())
    assert rows(shorter) == rows(RUN)
    # a finished one has its results written anew from what its checkpoint holds
    (RUN / "members.csv").unlink()
    done(command(f"fit --resume {RUN}"))
    assert rows(shorter) == rows(RUN)
    mine, its = ({**metrics(run), "seconds": 0} for run in (shorter, RUN))
    assert mine == its


def test_one_member_is_tested_and_predicted_with(command: Command) -> None:
    done(command(f"{STUDY} --data.passes 1000"))
    best = min(rows(), key=lambda row: float(row["loss"]))
    for asked in ("best", best["member"]):
        said = done(command(f"predict --ckpt_path {RUN} --member {asked}")).out
        table = (RUN / "predictions.csv").read_text().splitlines()[1:]
        assert [int(line.rpartition(",")[2]) for line in table] == [0, 1, 1, 0], said
    assert (
        f"{float(best['loss']):.4g}"[:5]
        in done(command(f"test --ckpt_path {RUN} --member {best['member']}")).out
    )
    said = done(command(f"test --ckpt_path {RUN}")).out
    assert "test/ensemble_accuracy" in said
    assert "test/ensemble_calibration" in said
    for wrong in ("5", "-1", "x", "1.5"):
        finished = command(f"predict --ckpt_path {RUN} --member={wrong}")
        assert (finished.status, finished.err.count("\n")) == (2, 1)
        assert "best, or a number from 0 to 4" in finished.err


def test_folds_validate_each_row_once_and_nothing_leaks(command: Command) -> None:
    data = "--config configs/blobs.yaml --name r --data.passes 5 --trainer.max_epochs 1"
    done(command(f"fit {data} --seeds 2 --folds 4"))
    assert [int(row["fold"]) for row in rows()] == [0, 0, 1, 1, 2, 2, 3, 3]
    study: Any = load_run(RUN)[0]
    assert "to test on: each fold's own are taken" in command(f"test --ckpt_path {RUN}").out
    held_out = [group.data.split["val"][0] for group in study.groups]
    every = torch.cat(held_out)
    assert (
        len(torch.unique(every, dim=0)) == len(every) == len(study.groups[0].data.split["all"][0])
    )
    for group in study.groups:
        train, val = (group.data.split[part][0] for part in ("train", "val"))
        assert not (train[:, None] == val[None]).all(-1).any()


def test_a_grid_predicts_and_is_tested_by_the_members_of_its_best_setting(
    command: Command,
) -> None:
    data = "--config configs/blobs.yaml --name r --data.passes 2 --trainer.max_epochs 1"
    fit = f"fit {data} --data.test_fraction 0.2 --seeds 4 --folds 2 --seed_everything 2"
    done(command(fit + ' --grid {"model.optimizer.lr":[0.000001,0.5]}'))
    study, table = cast(Any, load_run(RUN))
    best = study.members[8:]  # the other hardly learns
    with torch.no_grad():
        points = table.from_points(table.as_points())
        probability = torch.stack([net(points).sigmoid() for net in best]).mean(0)
    said = done(command(f"predict --ckpt_path {RUN}")).out
    assert "the mean of 8 members with optimizer.lr 0.5, the best of 2 by loss" in said
    found = pd.read_csv(RUN / "predictions.csv")["probability"]
    np.testing.assert_allclose(found, probability[:, 0], atol=1e-5)
    each = [command(f"test --ckpt_path {RUN} --member {n}").out for n in range(8, 16)]
    assert "member 15: seed 5, optimizer.lr 0.5, fold 1" in each[-1]
    accuracies = [float(re.findall(r"test/accuracy +([\d.]+)%", out)[0]) for out in each]
    (tested,) = re.findall(r"test/accuracy +([\d.]+)%", command(f"test --ckpt_path {RUN}").out)
    assert float(tested) == pytest.approx(np.mean(accuracies), abs=0.01)


def test_diverged_members_are_counted_and_left_out_of_what_a_study_predicts(
    command: Command,
) -> None:
    data = "--config configs/diabetes.yaml --name r --data.passes 5 --trainer.max_epochs 3"
    fit = f"fit {data} --model.optimizer SGD --seeds 8 --figures false"
    said = done(command(fit + ' --grid {"model.optimizer.lr":[1000000.0,0.5]}')).out
    finite = np.isfinite([float(row["loss"]) for row in rows()]).reshape(2, 8)
    assert not finite[0].any()
    good = np.flatnonzero(finite[1])
    assert 0 < len(good) < 8
    lines = [line.split() for line in said.splitlines()]
    assert ["lr", "members", "diverged"] in lines
    assert ["0.5", "8", str(8 - len(good))] in lines
    assert "val loss" not in said
    said = done(command(f"predict --ckpt_path {RUN}")).out
    more = f"({8 - len(good)} more diverged) with optimizer.lr 0.5, the best of 2 by loss"
    assert f"the mean of {len(good)} members {more}" in said
    found = pd.read_csv(RUN / "predictions.csv")
    each = []
    for member in good:
        done(command(f"predict --ckpt_path {RUN} --member {8 + member}"))
        each.append(predictions())
    np.testing.assert_allclose(found["prediction"], np.mean(each, 0), rtol=1e-4)
    np.testing.assert_allclose(found["standard deviation"], np.std(each, 0, ddof=1), rtol=1e-3)


class Scaled(nn.Module):
    """A loss whose own setting says nothing of how good a network is."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return self.factor * nn.functional.binary_cross_entropy_with_logits(logits, y)


def test_settings_of_a_loss_are_ranked_by_accuracy(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "PREFIXES", (*trust.PREFIXES, "test_commands"))
    data = "--config configs/blobs.yaml --name r --data.passes 20 --trainer.max_epochs 1"
    fit = f"fit {data} --seeds 4 --model.loss test_commands.Scaled"
    done(command(fit + ' --grid {"model.loss.factor":[0.000001,1.0]}'))
    losses = [float(row["val_loss"]) for row in rows()]
    assert max(losses[:4]) < min(losses[4:])  # of those that have hardly learned
    said = "with loss.factor 1.0, the best of 2 by accuracy"
    assert said in done(command(f"predict --ckpt_path {RUN}")).out
    assert "loss.factor 1.0" in done(command(f"predict --ckpt_path {RUN} --member best")).out


@pytest.mark.filterwarnings("ignore")
def test_a_study_is_exported_as_the_mean_of_its_members_or_as_one_of_them(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ort = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(trust, "PREFIXES", (*trust.PREFIXES, "test_commands"))
    data = "--config configs/blobs.yaml --name r --data.passes 5 --trainer.max_epochs 1"
    done(command(f"fit {data} --seeds 3 --folds 2 --model.net test_commands.Residual"))
    study, table = cast(Any, load_run(RUN))
    points = table.as_points().double()
    with torch.no_grad():
        each = [net(table.from_points(points).float()).sigmoid() for net in study.members]
    chances = torch.stack(each).numpy()
    done(command(f"export {RUN}"))
    mean, deviation = ort.InferenceSession(RUN / "model.onnx").run(None, {"x": points.numpy()})
    np.testing.assert_allclose(mean, chances.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deviation, chances.std(0, ddof=1), rtol=1e-4, atol=1e-5)
    done(command(f"export {RUN} --member 4"))
    _, chance = ort.InferenceSession(RUN / "member_4.onnx").run(None, {"x": points.numpy()})
    np.testing.assert_allclose(chance, chances[4], rtol=1e-4, atol=1e-5)
    assert "a number from 0 to 5" in command(f"export {RUN} --member 6").err


def numbers(path: str, seed: int, shift: float) -> tuple[Array, Array]:
    """Write a table of numbers with gaps in one column; its features and target."""
    draw = np.random.default_rng(seed)
    x = draw.normal(shift, 1 + shift, (40, 2))
    y = 3 * x[:, 0] - x[:, 1] + draw.normal(size=40)
    x[::7, 1] = np.nan
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y})
    frame.to_csv(path, index=False)
    return x, y


def of_folds(study: Any, x: Array, y: Array, other: Array) -> tuple[Array, Array]:
    """What six members in three folds say of other rows, encoded by scikit-learn; their spread."""
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    said = []
    for fold, (train, _) in enumerate(KFold(3, shuffle=True, random_state=0).split(x)):
        encoder = make_pipeline(SimpleImputer(), StandardScaler()).fit(x[train])
        rows = torch.tensor(encoder.transform(other)).float()
        for net in study.members[2 * fold : 2 * fold + 2]:
            with torch.no_grad():
                said.append(net(rows)[:, 0].numpy() * y[train].std() + y[train].mean())
    return np.mean(said, 0), np.std(said, 0, ddof=1)


REGRESSION = (
    "fit --data Table --data.path one.csv --data.target y --data.missing impute --name r"
    " --data.random_state 0 --data.passes 30 --trainer.max_epochs 1 --model Regressor"
    " --model.net test_commands.Residual --figures false"
)


def predictions(run: Path = RUN) -> Array:
    return np.asarray(pd.read_csv(run / "predictions.csv")["prediction"])


@pytest.mark.filterwarnings("ignore")
def test_each_fold_encodes_other_tables_too_by_its_own_training_rows(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "PREFIXES", (*trust.PREFIXES, "test_commands"))
    ort = pytest.importorskip("onnxruntime")
    x, y = numbers("one.csv", 0, 0.0)
    other, _ = numbers("other.csv", 1, 50.0)
    done(command(f"{REGRESSION} --seeds 2 --folds 3"))
    study: Any = load_run(RUN)[0]
    for words, rows in (("", x), ("--data.path other.csv", other)):
        mean, deviation = of_folds(study, x, y, rows)
        done(command(f"predict --ckpt_path {RUN} {words}"))
        found = pd.read_csv(RUN / "predictions.csv")
        np.testing.assert_allclose(found["prediction"], mean, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found["standard deviation"], deviation, rtol=1e-3, atol=1e-3)
    done(command(f"export {RUN}"))
    session, whole = ort.InferenceSession(RUN / "model.onnx"), np.where(np.isnan(x), 1.0, x)
    made = session.run(["prediction", "standard_deviations"], {"x": whole})
    for one, wanted in zip(made, of_folds(study, x, y, whole), strict=True):
        np.testing.assert_allclose(one[:, 0], wanted, rtol=1e-3, atol=1e-3)
    done(command(f"predict --ckpt_path {RUN} --member 4"))
    done(command(f"export {RUN} --member 4"))
    (one,) = ort.InferenceSession(RUN / "member_4.onnx").run(None, {"x": whole})
    there = ~np.isnan(x).any(1)
    np.testing.assert_allclose(one[there, 0], predictions()[there], rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_a_regressor_keeps_its_units_on_another_table_and_in_an_export(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "PREFIXES", (*trust.PREFIXES, "test_commands"))
    ort = pytest.importorskip("onnxruntime")
    x, y = numbers("one.csv", 0, 0.0)
    other, _ = numbers("other.csv", 1, 50.0)
    done(command(REGRESSION))
    module: Any = load_run(RUN)[0]
    filled = np.where(np.isnan(x), np.nanmean(x, 0), x)
    rows = np.where(np.isnan(other), np.nanmean(x, 0), other)
    with torch.no_grad():
        logits = module.net(torch.tensor((rows - filled.mean(0)) / filled.std(0)).float())
    wanted = logits[:, 0].numpy() * y.std() + y.mean()
    done(command(f"predict --ckpt_path {RUN} --data.path other.csv"))
    np.testing.assert_allclose(predictions(), wanted, rtol=1e-3, atol=1e-3)
    done(command(f"export {RUN}"))
    session = ort.InferenceSession(RUN / "model.onnx")
    (exported,) = session.run(["prediction"], {"x": rows})
    np.testing.assert_allclose(exported[:, 0], wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_folds_of_breast_cancer_are_as_scikit_learn_has_them(command: Command) -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = "--config configs/breast_cancer.yaml --name r --data.passes 10 --trainer.max_epochs 5"
    data += " --data.test_fraction 0"
    done(command(f"fit {data} --seeds 4 --folds 5"))
    same = {"alpha": 0, "batch_size": 64, "max_iter": 50, "tol": 0, "n_iter_no_change": 99}
    folds, scores = StratifiedKFold(5, shuffle=True, random_state=0), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seed in range(4):
            net = make_pipeline(StandardScaler(), MLPClassifier((100,), random_state=seed, **same))
            scores.append(cross_val_score(net, *load_breast_cancer(return_X_y=True), cv=folds))
    (row,) = metrics()["study"]
    assert row["val_accuracy_low"] < np.mean(scores) < row["val_accuracy_high"]
    mine = np.array([float(each["val_accuracy"]) for each in rows()]).reshape(5, 4).mean(1)
    # two of the 114 rows of a fold
    np.testing.assert_allclose(mine, np.mean(scores, 0), atol=0.02)


class Counting(Callback):
    def on_train_batch_end(self, *_: Any) -> None:
        pass


class Starting(Classifier):
    """Begins otherwise than its seed does, where its parent only measures."""

    def on_train_start(self) -> None:
        super().on_train_start()
        nn.init.zeros_(next(self.net.parameters()))


class Made(Classifier):
    def configure_model(self) -> None:
        nn.init.zeros_(next(self.net.parameters()))


class Asking(Classifier):
    """Trains on a penalty besides, which the trainer decides about."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        penalty = sum(each.square().sum() for each in self.net.parameters())
        return super().training_step(batch, batch_idx) + (self.trainer.current_epoch >= 0) * penalty


class Late(Classifier):
    """Weighs the loss by the epoch, which a module knows without its trainer too."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * (1 + self.current_epoch)


class Numbered(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * (1 + batch_idx % 10)


class Stepped(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * (1 + self.global_step)


class Tired(Classifier):
    calls = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.calls += 1
        return super().training_step(batch, batch_idx) / self.calls


MISTAKES = {
    "--seeds 0": "seeds=0: must be at least 1",
    "--seeds -3": "seeds=-3: must be at least 1",
    "--seeds 10000000000000": "above 4294967295",
    "--seeds 20 --seed_everything 4294967290": "above 4294967295",
    "--seeds 2000000000": "would fit",
    "--seeds 2 --model.optimizer torch.optim.LBFGS": "couples the members",
    "--seeds 2 --model.scheduler lightning.pytorch.cli.ReduceLROnPlateau"
    " --model.scheduler.monitor val/loss": "couples the members",
    "--seeds 2 --trainer.accumulate_grad_batches 2": "none of them accumulated",
    "--seeds 2 --trainer.precision 64-true": "in 32 bits",
    "--seeds 2 --trainer.limit_val_batches 1": "limit_val_batches=1: a study measures all",
    "--seeds 2 --trainer.limit_val_batches 0": "limit_val_batches=0: a study measures all",
    "--seeds 2 --trainer.callbacks EarlyStopping"
    " --trainer.callbacks.monitor val/loss": "EarlyStopping couples the members",
    "--seeds 2 --trainer.callbacks EMAWeightAveraging": "EMAWeightAveraging must see each update",
    "--seeds 2 --trainer.callbacks test_commands.Counting": "Counting must see each update",
    "--seeds 2 --last.every_n_train_steps 3": "ModelCheckpoint must see each update",
    "--seeds 2 --model test_commands.Starting": "a study does not call on_train_start of Starting",
    "--seeds 2 --model test_commands.Made": "a study does not call configure_model of Made",
    "--seeds 2 --model test_commands.Asking": "training_step of Asking cannot be tried",
    "--seeds 2 --model test_commands.Late": "training_step of Late cannot be tried",
    "--seeds 2 --model test_commands.Stepped": "training_step of Stepped cannot be tried",
    "--seeds 2 --model test_commands.Numbered": "training_step of Numbered gives another loss",
    "--seeds 2 --model test_commands.Tired": "training_step of Tired gives another loss",
    "--compile true --model test_commands.Tired": "training_step of Tired gives another loss",
    "--compile true --model.optimizer torch.optim.LBFGS": "SGD, Adam, AdamW, RMSprop",
    '--grid {"model.optimizer.lr":[1,1]}': "the same value is there twice",
    '--grid {"model.optimizer.lr":[1,-1]}': "nvalid learning rate: -1",
    '--grid {"model.optimizer.lrr":[1]}': "did you mean lr?",
    '--grid {"model.optimizer.lr":[]}': "a list of numbers is expected",
    '--grid {"model.net.hidden":[2,3]}': "not a number; perceptrons sweep",
    '--grid {"model.loss":["bce"]}': "a list of numbers is expected; perceptrons sweep",
    '--grid {"data.passes":[1]}': "a setting of the model",
    '--grid {"model.classes":[2,3]}': "grid={model.classes: ...}: is what the data says",
    '--grid {"model.optimizer":[1]}': "model.optimizer is not a number",
    "--folds 1": "folds=1: must be at least 2",
    "--folds 2": "Gates has no rows to hold out",
    "--folds 70 --config configs/blobs.yaml": "folds=70: must be from 2 to",
}


@pytest.mark.parametrize("kind", ["Asking", "Late"])
def test_a_step_that_asks_the_trainer_is_trained_on_without_compiling(
    kind: str, command: Command
) -> None:
    ends = []
    for number, words in enumerate(("", "--compile true")):
        said = done(command(f"{FIT} --model test_commands.{kind} {words}")).out
        assert (f"{kind} cannot be tried without the trainer" in said) == bool(words)
        ends.append(weights(RUN.with_name(f"version_{number}")))
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.parametrize("words", ["", "--seeds 2"])
def test_results_are_those_of_the_last_update_whatever_was_validated(
    words: str, command: Command
) -> None:
    ends = []
    for number, every in enumerate((3, 1)):
        fit = f"{FIT} {words} --trainer.max_epochs 4 --trainer.check_val_every_n_epoch {every}"
        done(command(fit))
        ends.append(metrics(RUN.with_name(f"version_{number}")))
        ends[-1].pop("seconds")
    assert ends[0]["val/loss"] == ends[1]["val/loss"]
    if words:
        loss = [[row["val_loss"] for row in rows(RUN.with_name(f"version_{n}"))] for n in (0, 1)]
        assert loss[0] == loss[1]


@pytest.mark.parametrize("words", MISTAKES)
def test_a_study_that_cannot_be_is_one_line(words: str, command: Command) -> None:
    finished = command(f"{FIT} {words}")
    assert finished.status == 2, finished
    assert MISTAKES[words] in finished.err
    assert finished.err.count("\n") == 1
    assert not Path("lightning_logs").exists()


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
def test_each_of_forty_members_is_what_a_numpy_program_gets_from_its_seed(
    compiled: bool, command: Command
) -> None:
    line = "fit --config configs/studies/xor_online_mse.yaml --name r --seed_everything 3"
    line += f" --seeds 40 --data.passes 30 --trainer.max_epochs 2 --compile {compiled}"
    said = done(command(line)).out
    assert ("compiling the updates ... took" in said) == compiled
    study: Any = load_run(RUN)[0]
    for number in range(40):
        found = [weight.detach().double().numpy() for weight in study.members[number].parameters()]
        for mine, its in zip(found, delta_rule(3 + number, 0.9, 60), strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "config", sorted((CONFIGS / "studies").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_published_study_is_its_experiment_from_2000_seeds(config: Path) -> None:
    import yaml

    study = yaml.safe_load(config.read_text())
    experiment = yaml.safe_load((CONFIGS / config.name).read_text())
    lengths = []
    for each in (study, experiment):
        passes = each["data"]["init_args"].pop("passes")
        lengths.append(passes * each["trainer"].pop("max_epochs"))
        del each["seed_everything"]
    assert lengths[0] == lengths[1]
    assert study.pop("name") == f"{config.stem}_study"
    assert study.pop("seeds") == 2000
    study.pop("compile", None)
    assert study == experiment
    opening = config.read_text().splitlines()[1]
    assert re.fullmatch(rf"#\s+perceptrons fit --config configs/studies/{config.name} .*", opening)


def test_of_a_study_the_first_members_update_is_explained(command: Command) -> None:
    words = "explain --config configs/xor.yaml"
    assert done(command(f"{words} --seeds 3")).out == done(command(words)).out


def test_an_ensemble_of_folds_is_tested_as_it_predicts(command: Command) -> None:
    words = "--config configs/moons.yaml --name r --trainer.max_epochs 1 --data.passes 60"
    rows = "--data.noise 0.35 --data.test_fraction 0.2"
    done(command(f"fit {words} {rows} --folds 4 --seeds 5 --figures false"))
    (said,) = re.findall(r"ensemble_accuracy +([\d.]+)%", command(f"test --ckpt_path {RUN}").out)
    study, data = load_run(RUN)
    y = cast(Any, data).split["test"][1][:, 0]
    with torch.no_grad():
        parts = [
            net(group.data.split["test"][0]).sigmoid()[:, 0]
            for group in cast(Any, study).groups
            for net in [group.members.member(n) for n in range(5)]
        ]
    right = (torch.stack(parts).mean(0) > 0.5) == (y > 0)
    assert len(parts) == 20
    assert float(said) == pytest.approx(100 * float(right.float().mean()), abs=0.01)
