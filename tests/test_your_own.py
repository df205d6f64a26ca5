"""What docs/your_own.md shows, run in a copy of the package."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

PAGE = (ROOT / "docs/your_own.md").read_text()
# the commands of the page, one after the other in one process: Lightning is imported once
SCRIPT = """
import sys, json
from perceptrons.__main__ import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["perceptrons", *words]
    main(words)
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_what_the_page_shows_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for code in blocks("python"):
        name = code.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(code)
    (config,) = blocks("yaml")
    (tmp_path / "configs/quadrants.yaml").write_text(config)
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line]
    quick = ["--figures", "false", "--trainer.max_epochs", "2"]
    commands = [[*words, *quick] if words[0] == "fit" else words for words in commands]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(commands) == 5
    logs = tmp_path / "lightning_logs"
    assert "val/f1" in json.loads((logs / "blobs/version_0/metrics.json").read_text())
    measured = json.loads((logs / "autoencoder/version_0/metrics.json").read_text())
    assert 0 < measured["val/loss"] < 5
    learned = json.loads((logs / "quadrants/version_0/metrics.json").read_text())
    assert learned["val/accuracy"] > 0.8
    assert (logs / "quadrants/version_0/model.onnx").exists()


OWN = '''
from torch import nn


class Transformer(nn.Linear):
    """One of the user's own, by a name that torch has too."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
'''


def test_a_class_of_the_users_is_meant_where_torch_has_one_of_its_name(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copy(ROOT / "configs/moons.yaml", tmp_path)
    (tmp_path / "src/perceptrons/mine.py").write_text(OWN)
    fit = "fit --config moons.yaml --figures false --trainer.max_epochs 1 --name Transformer"
    commands = [f"{fit} --model.net Transformer", "test --ckpt_path Transformer/version_0"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([words.split() for words in commands])],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    config = (tmp_path / "lightning_logs/Transformer/version_0/config.yaml").read_text()
    assert "class_path: perceptrons.mine.Transformer" in config
