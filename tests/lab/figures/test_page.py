"""The page of a run: what is written into it, and what a browser makes of it."""

import json
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from torch import Tensor, nn

from perceptrons.lab.figures.page.page import Run, page, write_page

BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
in_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs Debian's packages chromium and chromium-driver"
)
FLAGS = "headless=new no-sandbox disable-gpu disable-background-networking window-size=1280,1400"
EVIL = "</script><img src=x onerror=alert(1)>"
CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
LOSSES: dict[str, Any] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": lambda logits, y: F.mse_loss(torch.sigmoid(logits), y),
    "cross_entropy": F.cross_entropy,
    "squared_error": F.mse_loss,
}
TARGETS = {"cross_entropy": F.one_hot(torch.tensor([0, 1, 2, 0])).float()}
NUMBERS = "squared_error"
TARGETS[NUMBERS] = torch.tensor([[-1.2], [0.3], [1.4], [-0.5]])


CLIPS: dict[str, Any] = {"norm": nn.utils.clip_grad_norm_, "value": nn.utils.clip_grad_value_}


def network(*widths: int, activation: type[nn.Module] = nn.Sigmoid) -> nn.Sequential:
    torch.manual_seed(777)
    layers = [[nn.Linear(i, o), activation()] for i, o in pairwise(widths)]
    return nn.Sequential(*[each for pair in layers for each in pair][:-1])


def flat(net: nn.Module) -> list[float]:
    return torch.cat([each.detach().flatten() for each in net.parameters()]).tolist()


def train(
    net: nn.Module, optimizer: Any, loss: str, y: Tensor, updates: int, clip: Any = None
) -> float:
    """Train on the corners; the loss after that."""
    x = CORNERS.to(y.dtype)
    for _ in range(updates):
        optimizer.zero_grad()
        LOSSES[loss](net(x), y).backward()
        if clip:
            CLIPS[clip[1]](net.parameters(), clip[0])
        optimizer.step()
    return float(LOSSES[loss](net(x), y).detach())


def state_of(net: nn.Module, optimizer: Any) -> dict[str, Any]:
    names = {"momentum_buffer": "momentum", "exp_avg": "mean", "exp_avg_sq": "square"}
    states = [optimizer.state[each] for each in net.parameters()]
    found: dict[str, Any] = {"step": int(states[0].get("step", 1))}
    for key, name in names.items():
        if key in states[0]:
            found[name] = torch.cat([each[key].flatten() for each in states]).tolist()
    return found


def run_of(
    net: nn.Sequential, title: str = "xor/version_0", loss: str = "bce", y: Tensor = XOR
) -> Run:
    """A run with one frame of a network, by SGD."""
    linears = [each for each in net if isinstance(each, nn.Linear)]
    names = {nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.ReLU: "relu", nn.LeakyReLU: "leaky_relu"}
    return {
        "title": title,
        "settings": {"model.optimizer.lr": 1.0},
        "curves": {"train/loss": [[0, 0.7], [10, 0.5]], "train/accuracy": [[0, 0.5], [10, 0.75]]},
        "widths": [linears[0].in_features, *(each.out_features for each in linears)],
        "activations": [names[type(each)] for each in list(net)[1::2]],
        "bias": True,
        "loss": loss,
        "optimizer": {"name": "SGD", "lr": 1.0},
        "target": {"name": "height", "mean": 100.0, "std": 10.0} if loss == NUMBERS else None,
        "inputs": ["x1", "x2"],
        "class_names": [],
        "rows": {"train": {"x": CORNERS.tolist(), "y": y.tolist()}},
        "frames": [{"update": 0, "weights": flat(net)}],
        "command": ["--config", "configs/xor.yaml"],
    }


def learned(optimizer: Any = None, updates: int = 4_000, every: int = 100) -> Run:
    """XOR with a frame now and then."""
    net = network(2, 2, 1)
    run = run_of(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    for update in range(every, updates + 1, every):
        train(net, optimizer, "bce", XOR, every)
        run["frames"].append({"update": update, "weights": flat(net)})
    run["curves"]["train/loss"] = [[each["update"], 0.5] for each in run["frames"]]
    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in FLAGS.split():
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def log(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


@pytest.fixture
def shown(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Any]:
    """Opens a page of some runs; at the end nothing has been asked for and nothing has failed."""
    log(browser, "performance")

    def opened(*runs: Run) -> webdriver.Chrome:
        write_page(tmp_path / "page.html", runs)
        browser.get((tmp_path / "page.html").as_uri())
        settle(browser)  # the size of the window is known a frame later, and all is drawn anew
        return browser

    yield opened
    assert log(browser, "browser") == []
    said = [json.loads(each["message"])["message"] for each in log(browser, "performance")]
    asked = [
        e["params"]["request"]["url"] for e in said if e["method"] == "Network.requestWillBeSent"
    ]
    own = (tmp_path / "page.html").as_uri()
    assert [each for each in asked if each != own and not each.startswith("data:")] == []


def text(browser: webdriver.Chrome, css: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, css).text


def r2_of(browser: webdriver.Chrome) -> float:
    return float(text(browser, "#status").rpartition("R² ")[2].replace("\u2212", "-"))


def settle(browser: webdriver.Chrome) -> None:
    """Wait until what was asked for is drawn."""
    browser.execute_async_script(
        "const done = arguments[0];requestAnimationFrame(() => requestAnimationFrame(() => done()))"
    )


def click(browser: webdriver.Chrome, css: str) -> None:
    settle(browser)  # or what is found may be drawn anew before it is clicked
    browser.find_element(By.CSS_SELECTOR, css).click()
    settle(browser)


def test_a_page_is_small_and_asks_for_nothing(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [learned()])
    written = (tmp_path / "page.html").read_text()
    assert len(written) < 300_000
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", written)
    assert "default-src 'none'" in written


def test_a_large_network_has_fewer_frames_and_keeps_the_first_and_the_last() -> None:
    net = network(2, 64, 32, 16, 1)
    run = run_of(net)
    weights = torch.tensor(flat(net))
    run["frames"] = [{"update": at, "weights": (weights + at).tolist()} for at in range(100)]
    written = page([run])
    assert len(written) < 400_000
    found = json.loads(re.findall(r'id="runs">(.*?)</script>', written, re.DOTALL)[0])
    assert found[0]["frames"]["updates"][0] == 0
    assert found[0]["frames"]["updates"][-1] == 99


def test_names_from_files_are_text_in_the_source() -> None:
    run = run_of(network(2, 2, 1), title=EVIL)
    run["class_names"] = run["inputs"] = [EVIL, EVIL]
    run["settings"] = {EVIL: EVIL}
    assert "<img" not in page([run])


def test_no_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        page([])


def test_too_much_is_refused(tmp_path: Path) -> None:
    run = run_of(network(2, 2, 1))
    run["pictures"] = {"boundary": ("data:image/png;base64," + "A" * 1_000_000, 400)}
    with pytest.raises(ValueError, match="more than 1 MB"):
        write_page(tmp_path / "page.html", [run])
    assert not (tmp_path / "page.html").exists()


def test_numbers_that_json_lacks_are_left_out() -> None:
    run = run_of(network(2, 2, 1))
    run["curves"]["val/loss"] = [[0, float("nan")], [1, float("inf")]]
    assert '"val/loss":[[0,null],[1,null]]' in page([run])


@in_browser
def test_the_slider_moves_update_loss_and_weights(shown: Any) -> None:
    browser = shown(learned())
    assert "update 4,000" in text(browser, "#status")
    assert "4 of 4 rows right" in text(browser, "#status")
    slider = browser.find_element(By.ID, "frame")
    last = browser.find_element(By.CSS_SELECTOR, ".number").text
    slider.send_keys(Keys.HOME)
    settle(browser)
    assert "update 0 " in text(browser, "#status")
    assert "4 of 4" not in text(browser, "#status")
    assert browser.find_element(By.CSS_SELECTOR, ".number").text != last
    slider.send_keys(Keys.ARROW_RIGHT)
    settle(browser)
    assert slider.get_attribute("aria-valuetext") == "update 100"


@in_browser
def test_play_goes_through_all_frames(shown: Any) -> None:
    browser = shown(learned(updates=400))
    click(browser, "#play")
    browser.execute_async_script(
        "const done = arguments[0]; const look = () => page.player.mode === 'still' ? done()"
        " : setTimeout(look, 50); look()"
    )
    settle(browser)
    assert "update 400" in text(browser, "#status")
    assert text(browser, "#play") == "Play"


@in_browser
def test_a_weight_a_point_and_a_neuron_tell_their_numbers(shown: Any) -> None:
    net = network(2, 2, 1)
    browser = shown(run_of(net))
    browser.execute_script(
        "document.querySelectorAll('.hit')[1]"
        ".dispatchEvent(new PointerEvent('pointermove', {clientX: 9, clientY: 9}))"
    )
    first: Any = net[0]
    weight = f"{first.weight[0, 1].item():.4f}".replace("-", "\u2212")
    assert text(browser, "#tip") == f"weight from x2 to h1: {weight}"
    ActionChains(browser).move_to_element(
        browser.find_element(By.CSS_SELECTOR, ".point[data-row='1']")
    ).perform()
    settle(browser)
    hidden = torch.sigmoid(first(CORNERS[1]))
    p = torch.sigmoid(net(CORNERS[1])).item()
    said = text(browser, "#tip")
    assert f"layer 1  {hidden[0]:.3f}  {hidden[1]:.3f}" in said
    assert f"p  {p:.3f}" in said
    assert "row 2, class 1" in said
    ActionChains(browser).move_to_element(
        browser.find_element(By.CSS_SELECTOR, ".neuron[data-layer='1']")
    ).perform()
    settle(browser)
    assert text(browser, "#map-title") == "what h1 puts out"
    assert text(browser, "#tip").startswith("h1 = sigmoid(")


OPTIMIZERS: dict[str, Any] = {
    "sgd": (torch.optim.SGD, {"lr": 0.5}),
    "momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.1}),
    "nesterov": (
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    ),
    "adam": (torch.optim.Adam, {"lr": 0.003, "betas": (0.8, 0.99), "weight_decay": 1e-3}),
    "amsgrad": (torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01}),
}


@in_browser
@pytest.mark.parametrize(
    ("name", "loss", "activation", "how"),
    [
        ("sgd", "bce", nn.Sigmoid, ""),
        ("sgd", "mse", nn.Tanh, ""),
        ("momentum", "bce", nn.Tanh, ""),
        ("nesterov", "cross_entropy", nn.LeakyReLU, ""),
        ("adam", "bce", nn.Sigmoid, ""),
        ("amsgrad", "mse", nn.Sigmoid, ""),
        ("adamw", "cross_entropy", nn.ReLU, ""),
        ("adam", "squared_error", nn.Tanh, ""),
        ("sgd", "bce", nn.Sigmoid, "norm"),
        ("adam", "bce", nn.Tanh, "value"),
    ],
)
def test_the_page_trains_on_as_pytorch_does(
    shown: Any, name: str, loss: str, activation: type[nn.Module], how: str
) -> None:
    y = TARGETS.get(loss, XOR)
    net = network(2, 3, y.shape[1], activation=activation)
    kind, settings = OPTIMIZERS[name]
    clip = (0.01, how) if how else None
    optimizer = kind(net.parameters(), **settings)
    train(net, optimizer, loss, y, 50, clip)
    run = run_of(net, loss=loss, y=y)
    run["frames"] = [{"update": 0, "weights": flat(network(2, 3, y.shape[1]))}, *run["frames"]]
    run["frames"][1]["update"] = 50
    run["optimizer"] = {
        "name": kind.__name__,
        **settings,
        "clip": clip,
        "state": {
            **state_of(net, optimizer),
            **({"largest": amsgrad_of(net, optimizer)} if name == "amsgrad" else {}),
        },
    }
    browser = shown(run)
    click(browser, "[data-updates='1000']")
    found: Any = browser.execute_script(
        "return {weights: [...page.play.net.weights], loss: page.play.measure('train').loss}"
    )
    net.double()  # as the browser counts; rounding apart it is what 32 bits give
    for each in net.parameters():
        for key, value in optimizer.state[each].items():
            if key != "step" and value is not None:
                optimizer.state[each][key] = value.double()
    expected = train(net, optimizer, loss, y.double(), 1000, clip)
    assert found["loss"] == pytest.approx(expected, abs=1e-7)
    assert found["weights"] == pytest.approx(flat(net), abs=1e-6)


def amsgrad_of(net: nn.Module, optimizer: Any) -> list[float]:
    states = [optimizer.state[each] for each in net.parameters()]
    found: list[float] = torch.cat([each["max_exp_avg_sq"].flatten() for each in states]).tolist()
    return found


@in_browser
def test_training_on_differs_from_32_bits_by_rounding_alone(shown: Any) -> None:
    net = network(2, 2, 1)
    browser = shown(run_of(net))
    expected = train(net, torch.optim.SGD(net.parameters(), lr=1.0), "bce", XOR, 1000)
    click(browser, "[data-updates='1000']")
    found: Any = browser.execute_script("return page.play.measure('train').loss")
    assert found == pytest.approx(expected, abs=1e-6)


@in_browser
def test_a_line_of_ones_own_never_has_more_than_3_of_4_right_on_xor(shown: Any) -> None:
    browser = shown(run_of(network(2, 2, 1)))
    click(browser, "#own-line")
    best = browser.execute_script("""
        let best = 0;
        for (let turn = 0; turn < 60; turn++) for (let away = -1; away <= 1; away += 0.05) {
          const [c, s] = [Math.cos(turn * Math.PI / 60), Math.sin(turn * Math.PI / 60)];
          const middle = [0.5 - s * away, 0.5 + c * away];
          page.line.move(0, [middle[0] - c, middle[1] - s]);
          page.line.move(1, [middle[0] + c, middle[1] + s]);
          const said = document.querySelector('#line-says').textContent;
          best = Math.max(best, Number(/has (\\d) of 4/.exec(said)[1]));
        }
        return best;
    """)
    assert best == 3
    assert "No line has more than 3 of 4" in text(browser, "#line-says")
    assert browser.find_element(By.CSS_SELECTOR, ".why").get_attribute("d").count("M") == 2
    browser.execute_script("page.line.move(0, [0.2, 0.4])")
    handle = browser.find_element(By.CSS_SELECTOR, "[data-handle='0']")
    before = handle.get_attribute("aria-valuetext")
    handle.send_keys(Keys.ARROW_UP)
    assert handle.get_attribute("aria-valuetext") != before


@in_browser
def test_a_row_can_be_dragged_turned_added_and_removed(shown: Any) -> None:
    browser = shown(run_of(network(2, 2, 1)))
    point = browser.find_element(By.CSS_SELECTOR, ".point[data-row='0']")
    ActionChains(browser).drag_and_drop_by_offset(point, 40, -40).perform()
    settle(browser)
    x1, x2 = browser.execute_script("return page.play.rows[0].point")
    assert x1 > 0.1
    assert x2 > 0.1
    browser.execute_script("page.plane.focusRow(0)")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.execute_script("return page.play.rows[0].y") == [1]
    browser.switch_to.active_element.send_keys(Keys.DELETE)
    assert browser.execute_script("return page.play.rows.length") == 3
    click(browser, "#add-row")
    assert browser.execute_script("return page.play.rows.length") == 4
    click(browser, "#reset")
    assert browser.execute_script("return page.play.rows[0].point") == [0, 0]


@in_browser
def test_the_network_can_be_changed_and_taken_along_as_a_command(shown: Any) -> None:
    browser = shown(run_of(network(2, 2, 1)))
    click(browser, "[aria-label='add a neuron to layer 1']")
    click(browser, "[aria-label='add a hidden layer']")
    assert browser.execute_script("return page.play.net.widths") == [2, 3, 3, 1]
    browser.find_element(By.ID, "activation").send_keys("tanh")
    click(browser, "#copy")
    command = browser.find_element(By.ID, "command").get_attribute("value") or ""
    assert command.startswith("perceptrons fit --config configs/xor.yaml \\")
    assert "--model.net.hidden '[3,3]'" in command
    assert "--model.net.activation tanh" in command
    click(browser, "[aria-label='remove the last hidden layer']")
    click(browser, "[aria-label='remove the last hidden layer']")
    assert browser.execute_script("return page.play.net.widths") == [2, 1]


@in_browser
def test_a_predicted_number_is_a_curve_over_points_that_can_be_dragged(shown: Any) -> None:
    net = network(1, 3, 1, activation=nn.Tanh)
    run = run_of(net, loss=NUMBERS)
    x, y = torch.tensor([[-1.0], [0.0], [1.0], [2.0]]), TARGETS[NUMBERS]
    run["inputs"], run["rows"] = ["day"], {"train": {"x": x.tolist(), "y": y.tolist()}}
    run["settings"], run["optimizer"]["lr"] = {"model": "Regressor"}, 0.1
    browser = shown(run)
    r2 = 1 - (net(x) - y).square().sum() / (y - y.mean()).square().sum()
    said = r2_of(browser)
    assert said == pytest.approx(r2.item(), rel=1e-3)
    place = browser.execute_script("""
        const path = document.querySelector('.boundary');
        const at = path.getPointAtLength(path.getTotalLength() / 2);
        const [[left, right], [low, high]] = page.play.axes;
        return [left + (right - left) * at.x / 400, low + (high - low) * (1 - at.y / 400)];
    """)
    assert place[1] == pytest.approx(net(torch.tensor([place[:1]])).item(), abs=0.01)
    point = browser.find_element(By.CSS_SELECTOR, ".point[data-row='1']")
    assert point.get_attribute("aria-label") == "row 2, height 103"
    ActionChains(browser).drag_and_drop_by_offset(point, 0, -40).perform()
    settle(browser)
    moved = browser.execute_script("return page.play.rows[1]")
    assert moved["point"][0] == pytest.approx(0, abs=0.02)
    assert moved["y"][0] > 0.5
    browser.execute_script("page.play.trainOn(3000)")
    settle(browser)
    assert r2_of(browser) > 0.9
    click(browser, "#copy")
    command = browser.find_element(By.ID, "command").get_attribute("value") or ""
    assert "day,height\n-1,88\n" in command
    assert "--model Regressor" in command
    assert command.index("--data Table") < command.index("--data.task regression")


@in_browser
def test_a_perceptron_with_the_product_of_the_inputs_learns_xor(shown: Any) -> None:
    browser = shown(run_of(network(2, 1)))
    click(browser, "#extras input")
    browser.execute_script("page.play.trainOn(5000)")
    settle(browser)
    assert "4 of 4 rows right" in text(browser, "#status")
    assert "x1·x2" in text(browser, "#network")
    click(browser, "#copy")
    command = browser.find_element(By.ID, "command").get_attribute("value") or ""
    assert "x1,x2,x1_x2,class\n0,0,0,0\n0,1,0,1\n" in command
    assert "--model.net MLP" in command  # no config says it


@in_browser
def test_an_undecided_perceptron_is_said_to_be_so(shown: Any) -> None:
    net = network(2, 1)
    for each in net.parameters():
        nn.init.zeros_(each)
    browser = shown(run_of(net))
    said = "p = ½ everywhere; the best a line can do is 3 of 4"
    assert text(browser, "#map-title") == said
    assert browser.find_elements(By.CSS_SELECTOR, ".point.wrong") == []
    assert browser.find_element(By.CSS_SELECTOR, ".boundary").get_attribute("d") == ""


@in_browser
def test_the_keyboard_reaches_weights_rows_and_neurons(shown: Any) -> None:
    browser = shown(run_of(network(2, 2, 1)))
    browser.find_element(By.ID, "weights").send_keys(Keys.ARROW_RIGHT)
    assert text(browser, "#tip").startswith("weight from x1 to h1")
    browser.find_element(By.ID, "boundary").send_keys(Keys.ARROW_RIGHT)
    assert "row 1, class 0" in text(browser, "#tip")
    browser.find_element(By.CSS_SELECTOR, ".neuron[data-layer='1']").send_keys(Keys.ENTER)
    settle(browser)
    assert text(browser, "#map-title") == "what h1 puts out"
    unnamed = """return [...document.querySelectorAll('button, input, select, textarea')]
        .filter(each => !each.hidden && !each.textContent.trim()
            && !each.ariaLabel && !each.labels?.length).map(each => each.outerHTML)"""
    assert browser.execute_script(unnamed) == []


@in_browser
def test_names_that_hold_html_are_shown_as_text(shown: Any) -> None:
    run = run_of(network(2, 2, 1), title=EVIL)
    run["inputs"], run["class_names"], run["note"] = [EVIL, "b"], [EVIL, "<b>"], EVIL
    other = run_of(network(2, 1), title="other")
    other["settings"] = {EVIL: EVIL}
    browser = shown(run, other)
    assert browser.find_elements(By.CSS_SELECTOR, "img, b") == []
    assert text(browser, "#title") == EVIL
    assert text(browser, "#note") == EVIL
    assert EVIL in text(browser, "#table")


@in_browser
def test_several_runs_are_a_table_that_sorts_and_opens_them(shown: Any) -> None:
    one, other = learned(updates=1000), run_of(network(2, 1), title="perceptron/version_0")
    other["settings"] = {"model.optimizer.lr": 0.1}
    curves = {"title": "table/version_3", "note": "30 inputs have no plane"}
    curves |= {"curves": {"val/loss": [[0, 0.7], [10, 0.1]]}}  # type: ignore[dict-item]
    browser = shown(one, other, curves)
    assert "differ in model.optimizer.lr" in text(browser, "#differ")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#beside figure")) == 2
    browser.find_element(By.XPATH, "//thead//button[text()='model.optimizer.lr']").click()
    rows = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert [row.split("/")[0] for row in rows] == ["table", "perceptron", "xor"]
    click(browser, "[data-run='2'] button")
    assert text(browser, "#note") == "30 inputs have no plane"
    assert not browser.find_element(By.ID, "network").is_displayed()
    click(browser, "[data-run='1'] button")
    assert text(browser, "#title") == "perceptron/version_0"
    assert browser.find_element(By.ID, "network").is_displayed()


@in_browser
def test_without_javascript_there_is_a_still_picture(shown: Any, tmp_path: Path) -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    browser = shown({**learned(updates=400), "pictures": {"boundary": (picture, 40)}})
    assert not browser.find_element(By.CSS_SELECTOR, "[data-picture]").is_displayed()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((tmp_path / "page.html").as_uri())
        assert browser.find_element(By.CSS_SELECTOR, "[data-picture]").is_displayed()
        assert "still picture" in text(browser, "body")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        browser.get("about:blank")


@in_browser
def test_what_is_changed_or_refused_is_said(shown: Any) -> None:
    browser = shown(learned(updates=400))
    rate = browser.find_element(By.ID, "rate")
    rate.send_keys(Keys.CONTROL, "a")
    rate.send_keys("-5", Keys.TAB)
    assert text(browser, "#rate-says") == "-5 is refused: a rate is above 0."
    assert rate.get_attribute("value") == "1"
    assert text(browser, "#title") == "xor/version_0"
    click(browser, "#draw-anew")
    assert text(browser, "#title") == "xor/version_0, changed in this page"
    assert text(browser, "#status").startswith("update 0 ")
    assert text(browser, "#play") == "Play the run"
    click(browser, "#reset")
    assert text(browser, "#title") == "xor/version_0"


@in_browser
def test_the_map_has_ticks_at_0_and_1_and_a_chart_names_its_curves_where_there_are_several(
    shown: Any,
) -> None:
    run = learned(updates=400)
    browser = shown(run)
    ticks = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#plane text")]
    assert ticks == ["0", "1", "0", "1", "x1 →", "x2 ↑"]
    assert text(browser, "figcaption") == "loss"
    assert "p = ½ for every row" in text(browser, "#curves")
    click(browser, "[data-updates='100']")
    said = " ".join(text(browser, "figcaption").split())
    assert said == "loss training trained on in this page"
    run["curves"]["val/loss"] = [[0, 0.8], [400, 0.7]]
    assert text(shown(run), "figcaption").split() == ["loss", "training", "validation"]
