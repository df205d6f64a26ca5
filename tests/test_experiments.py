"""Every published experiment, trained from its config, and what becomes of a figure that is out."""

import re
from pathlib import Path

import experiments
import pytest
from experiments import FIGURES, Figure, off_by

from perceptrons.lab.cli.parser import import_files
from perceptrons.lab.cli.settings import quiet

# census4 takes half a minute: `make experiments` has it, as it has all
LONG = ("first_input_delta", "xor_delta", "xor_mse", "xor_numpy", "xor_online_bce", "xor_wide")
NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name in LONG else ())
    for name in sorted(FIGURES.keys() - {"census4"})
]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_gives_what_was_published_and_what_its_config_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Lightning warns where there are words beside those it is given
    monkeypatch.setattr("sys.argv", ["perceptrons"])
    quiet()
    import_files()
    said = expectations(experiments.CONFIGS / f"{name}.yaml")
    assert said
    found = experiments.reproduce(name)
    for figure in (*FIGURES[name], *said):
        assert figure.low <= found[figure.name] <= figure.high, figure


def expectations(config: Path) -> list[Figure]:
    """What a config says after its arrow, to the last digit that it shows."""
    said = config.read_text().splitlines()[1].partition("->")[2]
    expected = []
    if found := re.search(r"loss (\d\.\d+)", said):
        expected.append(to_the_last_digit("loss", found[1]))
    if found := re.search(r"accuracy (\d\.\d+) to (\d\.\d+)", said):
        expected.append(Figure("accuracy", found[0], float(found[1]), float(found[2])))
    elif found := re.search(r"accuracy (?:at most (\d\.\d+)|(\d\.\d+) at most)", said):
        expected.append(Figure("accuracy", found[0], 0.0, float(found[1] or found[2])))
    elif found := re.search(r"accuracy (\d\.\d+)", said):
        expected.append(to_the_last_digit("accuracy", found[1]))
    if found := re.search(r"learned: (\d+) of (\d+)", said):
        share = int(found[1]) / int(found[2])
        expected.append(Figure("solved", found[0], share, share))
    if found := re.search(r"outputs ([\d. ]+)", said):
        # as the published outputs are compared
        expected += experiments.outputs(*map(float, found[1].split()))
    return expected


def to_the_last_digit(name: str, shown: str) -> Figure:
    unit = 10 ** -len(shown.partition(".")[2])
    return Figure(name, shown, float(shown) - unit, float(shown) + unit)


def test_every_config_is_in_the_table() -> None:
    page = (experiments.CONFIGS.parent / "docs" / "experiments.md").read_text()
    shown = re.findall(r"\]\(\.\./configs/(\w+)\.yaml\)", page)
    assert sorted(path.stem for path in experiments.CONFIGS.glob("*.yaml")) == sorted(shown)


def test_every_published_experiment_is_a_config() -> None:
    assert set(FIGURES) <= {path.stem for path in experiments.CONFIGS.glob("*.yaml")}


@pytest.mark.parametrize(
    ("loss", "verdict", "status"), [(0.01743, "holds", 0), (0.9, "MISSED", 1), (0.017, "MISSED", 1)]
)
def test_a_figure_that_is_out_is_missed_and_fails_the_comparison(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loss: float,
    verdict: str,
    status: int,
) -> None:
    learned = Figure("accuracy", "100 %", 1.0, 1.0)
    figures = {"and": [Figure("loss", "0.017431", 0.01735, 0.01749), learned], "or": [learned]}
    monkeypatch.setattr(experiments, "FIGURES", figures)
    monkeypatch.setattr(experiments, "reproduce", lambda name: {"loss": loss, "accuracy": 1.0})
    monkeypatch.setattr("sys.argv", ["experiments.py"])
    with pytest.raises(SystemExit) as ended:
        experiments.main()
    assert int(ended.value.code or 0) == status
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[-1] for row in rows] == [verdict, "holds", "holds"]


def test_the_distance_to_a_figure_is_shown_where_it_is_a_number() -> None:
    assert off_by(Figure("loss", "1.5", 0, 0), 1.75) == "2.5e-01"
    assert off_by(Figure("loss", "1.5", 0, 0), 1.25) == "-2.5e-01"
    assert off_by(Figure("accuracy", "not learned", 0, 0.75), 0.5) == ""
