"""The space of a sweep: read from a file, drawn from."""

import json
from pathlib import Path

import optuna
import pytest
from optuna.samplers import TPESampler

from perceptrons.lab.sweeps.space import Space, draw, ends, flags, read_space, sampler, size

LR = "model.optimizer.lr"
WAYS = "expected {low: , high: } with step: or log: true, or {choices: [ , ]}, and names in full"
WRONG = {
    f"{LR}: {{low: 3, high: 2}}": f"{LR}: `low <= high` must hold, but got (low=3, high=2).",
    f"{LR}: {{low: 0, high: 2, log: true}}": f"{LR}: `low >= 1` must hold for `log=True`, but got"
    " (low=0, high=2).",
    f"{LR}: {{low: 1e-3}}": f'{LR}={{"low": "1e-3"}}: {WAYS}',
    f"{LR}: {{low: .nan, high: 1}}": f"{LR}.low=nan: expected a number",
    f"{LR}: {{low: 0, high: .inf}}": f"{LR}.high=inf: expected a number",
    f"{LR}: {{low: true, high: 2}}": f"{LR}.low=True: expected a number",
    f"{LR}: [1, 2]": f"{LR}=[1, 2]: {WAYS}",
    "data: {passes: {low: 1, high: 2}}": f'data={{"passes": {{"low": 1, "high": 2}}}}: {WAYS}',
    "model.net.hidden: {choices: []}": "model.net.hidden.choices=[]: expected a list",
    "model.net.hidden: {choices: [[2], [2]]}": "model.net.hidden.choices: [2] is there twice",
    "data.passes: {low: 1, high: 10, step: 4}": "data.passes: The distribution is specified by"
    " [1, 10] and step=4, but the range is not divisible by `step`",
    "name: {choices: [a, b]}": "name: cannot differ from trial to trial",
}


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    return tmp_path / "space.yaml"


@pytest.mark.parametrize("content", WRONG)
def test_a_wrong_line_is_named_with_what_is_expected(content: str, space_file: Path) -> None:
    space_file.write_text(content)
    with pytest.raises(ValueError, match=r" \(in .*space\.yaml\)$") as raised:
        read_space(str(space_file))
    assert str(raised.value) == f"{WRONG[content]} (in {space_file})"


@pytest.mark.parametrize("content", ["", "- 1", "a: [", "3", "\0", "a: &a [*a]"])
def test_a_file_that_is_no_space_is_refused(content: str, space_file: Path) -> None:
    space_file.write_text(content)
    with pytest.raises(ValueError, match=r"space\.yaml"):
        read_space(str(space_file))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"^space='nowhere.yaml': no such file$"):
        read_space("nowhere.yaml")


def test_numbers_are_whole_where_all_that_is_given_is(space_file: Path) -> None:
    space_file.write_text("a: {low: 1, high: 9}\nb: {low: 1, high: 9.0}\nc: {low: 1e-3, high: 1}")
    drawn = draw(read_space(str(space_file)), optuna.create_study().ask())
    assert [type(value) for value in drawn.values()] == [int, float, float]


def test_the_ends_hold_each_end_of_a_range_and_each_choice(space_file: Path) -> None:
    space_file.write_text("a: {low: 1, high: 9}\nb: {choices: [x, [2], {c: 3}]}")
    every = ends(read_space(str(space_file)))
    assert {each["a"] for each in every} == {1, 9}
    assert [flags(each)[1] for each in every] == ["--b=x", "--b=[2]", '--b={"c": 3}']


def drawn(space: Space, times: int) -> list[str]:
    """Values that are drawn one after another, each trial by a sampler of its own."""
    study, sets = optuna.create_study(), []

    def objective(trial: optuna.Trial) -> float:
        sets.append(json.dumps(draw(space, trial)))
        return 1.0

    for seed in range(times):
        study.sampler = sampler(space, seed)
        study.optimize(objective, n_trials=1)
    return sets


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_of_a_small_space_each_set_is_drawn_once(space_file: Path) -> None:
    space_file.write_text("a: {low: 0.1, high: 0.5, step: 0.1}\nb: {choices: [[2], [3, 3]]}")
    space = read_space(str(space_file))
    sets = drawn(space, 10)
    assert size(space) == len(set(sets)) == 10
    assert {json.loads(each)["a"] for each in sets} == {0.1, 0.2, 0.3, 0.4, 0.5}


@pytest.mark.parametrize("line", ["a: {low: 0.0, high: 1.0}", "a: {low: 1, high: 1001}"])
def test_a_space_without_end_or_too_large_is_sampled(line: str, space_file: Path) -> None:
    space_file.write_text(line)
    space = read_space(str(space_file))
    assert size(space) > 1000
    assert isinstance(sampler(space, 0), TPESampler)
