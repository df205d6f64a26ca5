"""What members say together agrees with scipy and numpy; runs are compared pair by pair."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest, ttest_1samp
from scipy.stats import t as student

from perceptrons.lab.cli.verbs import compare as comparing
from perceptrons.lab.cli.verbs.compare import (
    Difference,
    bootstrap,
    compare,
    holm,
    mcnemar,
    members_text,
    pool,
    sentence,
)
from perceptrons.lab.studies.record import POINTS, Study
from perceptrons.lab.studies.summary import measure_summary, summaries, wilson


@pytest.mark.parametrize(("count", "of"), [(0, 10), (10, 10), (1, 3), (1389, 2000), (500, 1000)])
def test_the_interval_of_a_share_is_wilsons_as_scipy_has_it(count: int, of: int) -> None:
    interval = binomtest(count, of).proportion_ci(method="wilson")
    assert wilson(count, of) == pytest.approx((interval.low, interval.high), abs=1e-6)


@pytest.mark.parametrize("folds", [None, [0, 0, 1, 1, 2, 2]])
def test_the_interval_of_a_mean_is_students_over_folds_where_there_are_some(folds: Any) -> None:
    values = [0.5, 0.7, 0.4, 0.9, 0.8, 0.65]
    found = measure_summary("loss", [*values, float("nan")], folds and [*folds, 2])
    independent = values if folds is None else np.reshape(values, (3, 2)).mean(1)
    interval = ttest_1samp(independent, 0).confidence_interval()
    assert (found["loss_low"], found["loss_high"]) == pytest.approx((interval.low, interval.high))
    assert found["loss_mean"] == pytest.approx(np.mean(values))
    assert found["loss_std"] == pytest.approx(np.std(values, ddof=1))
    assert found["loss_median"] in values


@pytest.mark.parametrize("shift", [-1.0, -0.2, 0.0])
def test_the_interval_of_a_mean_ends_at_0_where_no_loss_is_below_it(shift: float) -> None:
    values = np.array([0.1, 0.3, 0.9]) + shift
    found = measure_summary("loss", values.tolist(), None)
    low, high = ttest_1samp(values, 0).confidence_interval()
    assert found["loss_low"] == pytest.approx(low if shift else 0.0)
    assert found["loss_high"] == pytest.approx(high)


def members(solved: list[int], shift: float = 0.0, seed: int = 0) -> dict[str, Any]:
    count = len(solved)
    losses = np.random.default_rng(1).random(count) + shift
    return {
        "member": [*range(count)],
        "seed": [*range(seed, seed + count)],
        "solved": solved,
        "updates": [100 if each else None for each in solved],
        "loss": losses.tolist(),
        "accuracy": [1.0 if each else 0.5 for each in solved],
        "val_loss": losses.tolist(),
        "val_accuracy": [1.0 if each else 0.5 for each in solved],
    }


def run(directory: Path, columns: dict[str, Any], **config: Any) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump({"model": "A", **config}))
    with (directory / "members.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return directory


def test_settings_are_summed_up_apart_and_fit_a_terminal() -> None:
    rates = [0.1] * 3 + [1.0] * 3
    found = summaries(members([0, 0, 1, 1, 1, 1]) | {"model.optimizer.lr": rates})
    assert [row["share"] for row in found] == [1 / 3, 1.0]
    assert [row["model.optimizer.lr"] for row in found] == [0.1, 1.0]
    assert "val_loss_mean" not in found[0]  # validated on the training rows
    said = members_text(found)
    assert max(map(len, said.splitlines())) <= 80
    assert "33.3%" in said


def test_differences_are_those_of_the_same_seeds(tmp_path: Path) -> None:
    one = run(tmp_path / "a" / "version_0", members([0, 1] * 20))
    two = run(tmp_path / "b" / "version_0", members([1, 1] * 20, -0.5, seed=2))
    said = compare([one, two])
    assert "b/version_0 solves 50 points more from the same 38 seeds" in said
    assert "less loss" in said
    assert "no other differs" in compare(
        [one, run(tmp_path / "c" / "version_0", members([0, 1] * 20))]
    )
    apart = run(tmp_path / "d" / "version_0", members([0, 1], seed=500))
    with pytest.raises(ValueError, match=r"have no seed and fold in common"):
        compare([one, apart])
    with pytest.raises(ValueError, match="nothing to compare it with"):
        compare([one])


def test_a_grid_of_one_run_is_compared_with_its_first_setting(tmp_path: Path) -> None:
    rates = {"model.optimizer.lr": [0.1] * 3 + [1] * 3, "seed": [0, 1, 2] * 2}
    columns = members([0, 1, 0, 1, 1, 1]) | rates
    assert "first: lr=0.1\nother: lr=1" in compare([run(tmp_path / "a" / "version_0", columns)])


def test_studies_of_other_seeds_pool_to_one(tmp_path: Path) -> None:
    whole = members([0, 1, 1, 0, 1, 1])
    halves = [
        {name: values[part] for name, values in whole.items()} for part in (slice(3), slice(3, 6))
    ]
    runs = [run(tmp_path / f"{n}" / "version_0", half, seeds=n) for n, half in enumerate(halves)]
    assert pool(runs) == members_text(summaries(whole))
    with pytest.raises(ValueError, match="would count twice"):
        pool([runs[0], runs[0]])
    other = run(tmp_path / "o" / "version_0", halves[1], model="B")
    with pytest.raises(ValueError, match=r"other settings than .*: model"):
        pool([runs[0], other])
    trainers = [{"max_epochs": 3, "accelerator": "cpu"}, {"max_epochs": 4}, {"max_epochs": 3}]
    runs = [
        run(tmp_path / f"t{at}" / "version_0", halves[at > 0], trainer=trainer)
        for at, trainer in enumerate(trainers)
    ]
    assert pool([runs[0], runs[2]]) == members_text(summaries(whole))
    with pytest.raises(ValueError, match=r"other settings than .*: trainer\.max_epochs$"):
        pool(runs[:2])


@pytest.mark.parametrize("content", ["", "seed\n1\n", "seed,loss\n1,x\n", "a,b\n1,2\n"])
def test_a_file_that_is_no_study_is_said_in_a_line(content: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no members|no finished study"):
        comparing.read_members(tmp_path)
    (tmp_path / "members.csv").write_text(content)
    with pytest.raises(ValueError, match=r"holds no members|something else than numbers"):
        comparing.read_members(tmp_path)


@pytest.mark.parametrize("seeds", [[0, 1, 2], [0, 4, 9], [*range(30)]])
def test_seeds_alone_give_students_interval_and_p_as_scipy_has_them(seeds: list[int]) -> None:
    values = np.random.default_rng(0).normal(1.0, 0.5, len(seeds))
    wanted = ttest_1samp(values, 0)
    found = bootstrap((values, np.array(seeds), np.zeros(len(seeds), int)))
    assert found == pytest.approx((*wanted.confidence_interval(), wanted.pvalue))
    assert bootstrap((values[:1], np.zeros(1, int), np.zeros(1, int))) == (-np.inf, np.inf, 1.0)


@pytest.mark.parametrize(("seeds", "folds"), [(3, 1), (5, 1), (60, 1), (3, 10), (5, 5), (20, 10)])
def test_the_interval_covers_the_mean_as_often_as_it_says(seeds: int, folds: int) -> None:
    random, hits = np.random.default_rng(0), 0
    one, two = map(np.ravel, np.meshgrid(np.arange(seeds), np.arange(folds)))
    for _ in range(1000):
        of_seeds, of_folds = random.normal(1.0, 1.0, seeds), random.normal(0.0, folds > 1, folds)
        values = of_seeds[one] + of_folds[two] + random.normal(0.0, 1.0, seeds * folds)
        low, high, p = bootstrap((values, one, two))
        hits += low <= 1.0 <= high
        assert (low <= 0 <= high) == (p >= 0.05)
    assert hits >= 936  # 95 % of them, less two standard deviations
    assert hits <= 964 or folds > 1  # seeds and folds both: rather too wide than too narrow


def test_seeds_and_folds_are_drawn_as_a_bootstrap_draws_them() -> None:
    random = np.random.default_rng(0)
    seeds, folds = map(np.ravel, np.meshgrid(np.arange(6), np.arange(4)))
    values = random.normal(size=24) + random.normal(size=6)[seeds] + random.normal(size=4)[folds]
    weights = np.array(
        [
            np.bincount(random.integers(6, size=6), minlength=6)[seeds]
            * np.bincount(random.integers(4, size=4), minlength=4)[folds]
            for _ in range(10_000)
        ]
    )
    drawn = (weights @ values / weights.sum(1)).std() * np.sqrt(4 / 3)  # for few folds
    low, high, _ = bootstrap((values, seeds, folds))
    assert (high - low) / 2 == pytest.approx(student.ppf(0.975, 3) * drawn, rel=0.03)


def test_seeds_that_are_left_out_do_not_make_a_difference_sure(tmp_path: Path) -> None:
    one, two = members([0] * 10), members([0] * 10)
    kept = {0: 1.0, 4: 1.3, 9: 0.9}  # those of the others are not finite
    two["loss"] = [loss + kept.get(at, np.nan) for at, loss in enumerate(one["loss"])]
    runs = [run(tmp_path / name / "version_0", each) for name, each in (("a", one), ("b", two))]
    (line,) = (line for line in compare(runs).splitlines() if line.startswith("loss"))
    assert f"  {ttest_1samp([*kept.values()], 0).pvalue:.4g}  " in line


def test_shares_are_no_further_apart_than_1(tmp_path: Path) -> None:
    one, two = members([0, 0]), members([0, 0])
    two["accuracy"] = [0.9, 1.0]
    runs = [run(tmp_path / name / "version_0", each) for name, each in (("a", one), ("b", two))]
    assert re.search("accuracy +0.45 +-0.1853 to 1 ", compare(runs))


def test_an_interval_with_ends_of_two_signs_is_said_with_them() -> None:
    found = Difference("b", "loss", "9 seeds", (0.0, 0.786), (-0.163, 1.26), 0.04)
    assert "0.786 more loss from the same 9 seeds, -0.163 to 1.26 (p = 0.04)" in sentence(found)
    less = found._replace(means=(0.786, 0.0), interval=(-1.26, 0.163))
    assert "0.786 less loss from the same 9 seeds, -0.163 to 1.26 (p = 0.04)" in sentence(less)
    sure = less._replace(interval=(-1.26, -0.163))
    assert "0.786 less loss from the same 9 seeds, 0.163 to 1.26 (p = 0.04)" in sentence(sure)


FOLDS = members([0, 1] * 2) | {"fold": [0, 0, 1, 1], "seed": [0, 1] * 2}
MOONS = {"class_path": "Moons", "init_args": {"random_state": 0, "batch_size": 8}}


@pytest.mark.parametrize(
    ("changed", "other"),
    [
        ({"data": {"class_path": "Moons", "init_args": {"random_state": 1}}}, "data.random_state"),
        ({"data": {"class_path": "Circles", "init_args": {"random_state": 0}}}, "data"),
        ({"data": MOONS, "folds": 4}, "folds"),
    ],
)
def test_folds_of_other_rows_are_no_pairs(
    changed: dict[str, Any], other: str, tmp_path: Path
) -> None:
    config = {"folds": 2, "data": MOONS}
    one = run(tmp_path / "a" / "version_0", FOLDS, **config)
    two = run(tmp_path / "b" / "version_0", FOLDS, **(config | changed))
    with pytest.raises(ValueError, match=rf"folds have other rows than those of .*: {other}$"):
        compare([one, two])


def test_how_rows_are_trained_on_may_differ_between_folds_of_the_same(tmp_path: Path) -> None:
    other = {"class_path": "Moons", "init_args": {"random_state": 0, "batch_size": 4}}
    runs = [
        run(tmp_path / f"{at}" / "version_0", FOLDS, folds=2, data=data)
        for at, data in enumerate((MOONS, other))
    ]
    assert "no other differs" in compare(runs)


def test_a_study_in_folds_has_no_pairs_with_one_that_has_none(tmp_path: Path) -> None:
    one = run(tmp_path / "a" / "version_0", members([0, 1, 1]))
    two = run(tmp_path / "b" / "version_0", {**members([1, 1, 1]), "fold": [0, 0, 0]})
    with pytest.raises(ValueError, match=r"have no seed and fold in common"):
        compare([one, two])


def test_the_bootstrap_of_folds_is_wider_where_folds_differ() -> None:
    random = np.random.default_rng(0)
    seeds, folds = map(np.ravel, np.meshgrid(np.arange(20), np.arange(5)))
    values = folds * 1.0 + random.normal(0, 0.1, 100)
    low, high, _ = bootstrap((values, seeds, folds))
    alone = bootstrap((values, np.arange(100), np.zeros(100, int)))
    assert high - low > 1.5 * (alone[1] - alone[0])


def test_mcnemar_is_exact_and_holm_as_in_his_paper() -> None:
    one, two = np.array([1, 1, 1, 0, 0.0]), np.array([1, 0, 0, 0, 1.0])
    assert mcnemar(one, two) == pytest.approx(binomtest(1, 3).pvalue)
    assert mcnemar(one, one) == 1.0
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_thousands_of_reports_keep_a_few_hundred_points_with_the_first_and_the_last() -> None:
    from types import SimpleNamespace

    import torch

    record, study = Study(), SimpleNamespace(of_each={"train/loss": torch.zeros(3000)})
    for report in range(5000):
        study.of_each = {"train/loss": torch.full((3000,), float(report))}
        shown: dict[str, float] = {}
        logger = SimpleNamespace(log_metrics=lambda found, step, shown=shown: shown.update(found))
        trainer: Any = SimpleNamespace(
            state=SimpleNamespace(fn="fit"), global_step=10 * report, loggers=[logger]
        )
        record.on_validation_end(trainer, study)  # type: ignore[arg-type]
        assert shown == {f"study/loss_{end}": report for end in ("10", "median", "90")}
        assert record.updates[0] == 0
        assert record.updates[-1] == 10 * report
    assert POINTS / 3 < len(record.updates) <= POINTS
    assert [int(curve[0]) * 10 for curve in record.curves] == record.updates
    gaps = np.diff(record.updates)[:-1]
    assert (gaps == gaps[0]).all()
    again = Study()
    again.load_state_dict(record.state_dict())
    assert again.updates == record.updates
    assert sum(curve.nbytes for curve in again.curves) < 2**20


def test_losses_that_are_computed_otherwise_are_not_compared(tmp_path: Path) -> None:
    one, two = members([0, 1] * 20), members([1, 1] * 20, -0.5)
    losses = [{"class_path": "Classifier", "init_args": {"loss": each}} for each in ("bce", "mse")]
    runs = [
        run(tmp_path / name / "version_0", each, model=loss)
        for name, each, loss in zip("ab", (one, two), losses, strict=True)
    ]
    said = compare(runs)
    assert "losses that are computed otherwise are not compared" in said
    lines = [line for line in said.splitlines() if "  " in line]
    assert [line.split()[0] for line in lines[1:3]] == ["solved", "accuracy"]
    assert not re.search(r"loss {2}| less loss", said)
    weights = {"model.loss.weight": [1.0] * 3 + [2.0] * 3, "seed": [0, 1, 2] * 2}
    grid = run(tmp_path / "c" / "version_0", members([0, 1, 0, 1, 1, 1]) | weights)
    assert not [line for line in compare([grid]).splitlines() if line.startswith("loss ")]


def test_runs_on_other_rows_are_said_to_be_so(tmp_path: Path) -> None:
    tables = [{"class_path": "Moons", "init_args": {"noise": each}} for each in (0.1, 0.2)]
    runs = [
        run(tmp_path / name / "version_0", members([0, 1, each]), data=data)
        for name, each, data in zip("ab", (0, 1), tables, strict=True)
    ]
    assert "\nb/version_0 has other rows: data.noise\n" in compare(runs)


def test_settings_with_one_last_name_have_columns_of_their_own() -> None:
    lr = {"model.optimizer.alpha": [0.1] * 3 + [1.0] * 3, "model.net.alpha": [5.0] * 6}
    said = members_text(summaries(members([0, 0, 1, 1, 1, 1]) | lr))
    assert "model.optimizer.alpha  model.net.alpha  members" in said


def test_diverged_members_are_told_and_count_for_no_measure_twice(tmp_path: Path) -> None:
    one, two = members([0, 1, 0, 1]), members([1, 1, 1, 1], -0.2)
    for lost, names in ((2, ("loss", "val_loss")), (4, ("loss", "val_loss"))):
        for name in names:
            two[name] = [np.nan] * lost + two[name][lost:]
        runs = [
            run(tmp_path / f"{lost}{n}" / "version_0", each) for n, each in enumerate((one, two))
        ]
        said = compare(runs)
        assert f"{lost}1/version_0: {lost} of 4 diverged, and have no loss" in said
        assert "val_loss" not in said
        assert ("\nloss " in said) == (lost < 4)


@pytest.mark.parametrize("count", [2, 5, 6, 9])
def test_differences_that_are_all_equal_are_as_sure_as_their_signs(
    count: int, tmp_path: Path
) -> None:
    pairs = np.full(count, -0.5), np.arange(count), np.zeros(count, int)
    assert bootstrap(pairs)[2] == pytest.approx(binomtest(0, count).pvalue)
    runs = [run(tmp_path / f"{n}" / "version_0", members([n] * count)) for n in (1, 0)]
    assert ("no difference in accuracy" in compare(runs)) == (count < 7)  # by Holm's of two


def test_the_settings_of_a_grid_are_found_in_any_order_and_apart(tmp_path: Path) -> None:
    both = [[0.1] * 2 + [0.2] * 2 + [0.2000001] * 2, [0.2000001] * 2 + [0.2] * 2 + [0.1] * 2]
    seeds = {"seed": [0, 1] * 3}
    runs = [
        run(
            tmp_path / name / "version_0",
            members(solved) | seeds | {"model.optimizer.lr": rates},
        )
        for name, solved, rates in zip("ab", ([0, 1] * 3, [1, 1] * 3), both, strict=True)
    ]
    said = compare(runs)
    assert "first: a/version_0, at each setting" in said
    assert {line.split()[0] for line in said.splitlines() if line.startswith("lr=")} == {
        "lr=0.1",
        "lr=0.2",
        "lr=0.2000001",
    }
