"""TensorBoard's pages, as a browser shows them; skipped where there is none."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from small_modules import Plain, dense, trainer, xor
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from perceptrons.lab.figures import board, drawing
from perceptrons.lab.figures.snapshots import Snapshots
from perceptrons.lab.figures.survey import survey
from perceptrons.lab.figures.trained import trained_by

BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="needs Debian's packages chromium and chromium-driver",
)
# nothing but this machine is asked for anything
FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    " disable-component-update disable-sync window-size=4000,1600"
)
RUNS = {"two": 2, "four": 4}
PATIENCE, RELOAD = 60.0, 15.0  # seconds

# all elements that a CSS selector fits, in shadow trees too; what is returned of each follows
FOUND = """
const found = [];
const look = root => {
  found.push(...root.querySelectorAll(arguments[0]));
  root.querySelectorAll('*').forEach(each => each.shadowRoot && look(each.shadowRoot));
};
look(document);
return found.map(each => %s);
"""


class Page:
    """A page of TensorBoard's, in a browser.

    Args:
        browser: The browser.
        address: Where TensorBoard is.
    """

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser, self.address = browser, address

    def open(self, name: str) -> None:
        self.browser.get("about:blank")
        # a filter that lets all pass has them in one list, which is not folded up
        self.browser.get(f"{self.address}#{name}&tagFilter=.")

    def ask(self, selector: str, question: str) -> list[Any]:
        """What all elements say that a CSS selector fits, in shadow trees too."""
        said: list[Any] = self.browser.execute_script(FOUND % question, selector)
        return said

    def shows(self, selector: str, question: str, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """What they say once that is enough, or else in the end; now and then the page is reloaded.

        On a busy machine TensorBoard sometimes forgets to fill a chart.
        """
        start = now = time.monotonic()
        while not enough(said := self.ask(selector, question)) and now - start < PATIENCE:
            time.sleep(0.2)
            before, now = now, time.monotonic()
            if (now - start) // RELOAD > (before - start) // RELOAD:
                self.browser.refresh()
        return said


class Told(Plain):
    """It says how many it gets right, and what it thinks."""

    def predictions(self, logits: Any) -> dict[str, Any]:
        return {"logit": logits, "class": (logits > 0).int()}

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss: torch.Tensor = self.loss(self.net(batch[0]), batch[1])
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        super().validation_step(batch, batch_idx, dataloader_idx)
        right = ((self.net(batch[0]) > 0) == batch[1]).float().mean()
        self.log(f"{('train', 'val')[dataloader_idx]}/accuracy", right, add_dataloader_idx=False)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two runs are, with two and with four hidden neurons."""
    root = tmp_path_factory.mktemp("browser")
    for name, hidden in RUNS.items():
        run = root / name / "version_0"
        run.mkdir(parents=True)
        torch.manual_seed(0)
        module = Told(dense(2, hidden, 1))
        config = {"seed_everything": hidden, "model": {"lr": 1.0}, "data": {"class_path": "a.Xor"}}
        beside = [board.Board(config), Snapshots()]
        logger = TensorBoardLogger(run, "", "", default_hp_metric=False)
        loop = trainer(10, *beside, logger=logger)
        loop.fit(module, datamodule=xor())
        logger.experiment.close()
        drawing.draw_beside(survey(trained_by(loop, module, run, {})), run)
        drawing.BESIDE[-1].wait()
    return root


def points(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each scalar, as TensorBoard reads them."""
    events = EventAccumulator(str(run)).Reload()
    names = [name for name in events.Tags()["scalars"] if name != "epoch"]
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in names}


@pytest.fixture(scope="module")
def address(logs: Path) -> Iterator[str]:
    """Where TensorBoard serves the runs."""
    words = ["-m", "tensorboard.main", "--logdir", str(logs), "--host", "localhost", "--port", "0"]
    words += ["--samples_per_plugin", "images=100"]
    with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        said = (re.search(r"http://localhost:\d+/", line) for line in server.stderr)
        yield next(found[0] for found in said if found)
        server.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: webdriver.Chrome, address: str) -> Page:
    return Page(browser, address)


def test_every_scalar_has_a_chart_with_the_points_of_both_runs(page: Page, logs: Path) -> None:
    expected = {
        tag: {name: points(logs / name / "version_0")[tag] for name in RUNS}
        for tag in points(logs / "two" / "version_0")
    }
    page.open("scalars")
    asked = """[each.tag, Object.entries(each.shadowRoot.querySelector('tf-line-chart-data-loader')
      .shadowRoot.querySelector('vz-line-chart2')._seriesDataCache)
      .map(([name, all]) => [name, all.map(point => [point.step, point.scalar])])]"""
    cards = page.shows(
        "tf-scalar-card",
        asked,
        lambda said: {tag for tag, runs in said if len(runs) == 2} >= set(expected),
    )
    shown = {
        tag: {
            json.loads(name)[1].partition("/")[0]: [tuple(point) for point in all_]
            for name, all_ in runs
        }
        for tag, runs in cards
        if runs and tag != "epoch"  # it is there once more, not open
    }
    assert shown == expected


def test_every_figure_is_shown_with_its_pictures(page: Page) -> None:
    page.open("images")
    loaders = page.shows(
        "tf-image-loader",
        "[each.run, each.tag, each._steps.length]",
        lambda said: len(said) >= 6 and all(count for *_, count in said),
    )
    counts = {(run.partition("/")[0], tag.partition("/")[2]): count for run, tag, count in loaders}
    for name in RUNS:
        assert counts[name, "boundary"] == 11
        assert counts[name, "network"] == 11
        assert counts[name, "loss"] == 1
    pictures = page.shows("img", "each.naturalWidth", lambda said: len(said) >= 6 and all(said))
    assert min(pictures) > 200


def test_hparams_has_settings_and_results_of_each_run_side_by_side(page: Page, logs: Path) -> None:
    page.open("hparams")
    cells = page.shows(
        "vaadin-grid-cell-content",
        "each.innerText.trim()",
        lambda said: all(f"{name}/version_0" in said for name in RUNS),
    )
    filled = [cell for cell in cells if cell]
    head = filled[: min(filled.index(f"{name}/version_0") for name in RUNS)]
    names = ["data", "net", "hidden", "lr", "seed", "val/accuracy", "val/loss", "train/loss"]
    assert head[:2] == ["Trial ID", "Show Metrics"]
    assert sorted(head[2:]) == sorted(names)  # those that differ come first
    columns = [name for name in head if name != "Show Metrics"]  # whose cells are boxes to tick
    assert len(filled) == len(head) + len(RUNS) * len(columns)
    for name, hidden in RUNS.items():
        start = filled.index(f"{name}/version_0")
        row = dict(zip(columns, filled[start : start + len(columns)], strict=True))
        assert (row["hidden"], row["data"]) == (f"[{hidden}]", "Xor")
        last = points(logs / name / "version_0")
        for metric in ("train/loss", "val/accuracy"):
            assert float(row[metric]) == pytest.approx(last[metric][-1][1], rel=1e-3)


def test_parallel_coordinates_has_an_axis_for_each_setting_and_each_result(page: Page) -> None:
    page.open("hparams")
    tabs = "paper-tab, .tab, [slot=tab]"
    page.shows(tabs, "each.innerText.trim()", lambda said: len(said) >= 2)
    page.ask(tabs, "/PARALLEL/i.test(each.innerText) && each.click()")
    axes = page.shows("g.axis .label, g.axis text", "each.textContent", lambda said: len(said) > 8)
    assert {"hidden", "lr", "val/accuracy", "train/loss"} <= {axis.strip() for axis in axes}


@pytest.mark.parametrize("name", ["scalars", "custom_scalars"])
def test_the_address_without_smoothing_smooths_nothing(page: Page, name: str) -> None:
    query, _, rest = board.ADDRESS.rpartition("/")[2].partition("#")
    page.browser.get("about:blank")
    page.browser.get(f"{page.address}{query}#{name}&{rest.partition('&')[2]}")
    card = {"scalars": "tf-scalar-dashboard", "custom_scalars": "tf-custom-scalar-dashboard"}[name]
    said = page.shows(card, "each._smoothingWeight", lambda said: len(said) > 0)
    assert said == [0]


def test_the_texts_are_there(page: Page) -> None:
    page.open("text")
    asked = """[each.run, each.tag, [...each.shadowRoot.querySelectorAll('tf-markdown-view')]
      .map(view => (view.shadowRoot || view).textContent).join('')]"""
    loaders = page.shows(
        "tf-text-loader", asked, lambda said: len(said) >= 8 and all(words for *_, words in said)
    )
    words = {(run.partition("/")[0], tag.partition("/")[0]): text for run, tag, text in loaders}
    for name, parameters in (("two", 9), ("four", 17)):
        assert "class_path: a.Xor" in words[name, "config"]
        assert f"{parameters} parameters" in words[name, "network"]
        assert "out_features=1" in words[name, "network"]
        for column in ("x1", "x2", "logit", "target"):
            assert column in words[name, "predictions"]
        assert "the colour is the class" in words[name, "figures"].lower()


def test_custom_scalars_has_train_and_val_in_one_chart(page: Page) -> None:
    page.open("custom_scalars")
    runs = len(RUNS)
    expected = {"loss": 2 * runs, "accuracy": 2 * runs, "weight norms": 2 * runs}
    expected |= {"learning rate": runs, "gradient norm": runs}
    charts = page.shows(
        "tf-custom-scalar-multi-line-chart-card",
        "[each._titleDisplayString, each._seriesNames.length]",
        lambda said: dict(said) == expected,
    )
    assert dict(charts) == expected
