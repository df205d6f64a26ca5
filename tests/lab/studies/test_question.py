"""What docs/studies.md asks and answers, run from fewer seeds in a copy of the package."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = ROOT / "docs/studies.md"
SCRIPT = "import sys; from perceptrons.__main__ import main; main(sys.argv[1:])"


@pytest.mark.slow
@pytest.mark.skipif(not PAGE.exists(), reason="a project has no docs")
def test_the_question_of_the_page_is_answered_by_its_commands(tmp_path: Path) -> None:
    page = PAGE.read_text().partition("## What is trained")[0]
    for each in ("src", "configs"):
        shutil.copytree(ROOT / each, tmp_path / each)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / code.partition("\n")[0].removeprefix("# ")).write_text(code)
    lines = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    commands = [shlex.split(line)[1:] for line in lines.splitlines()]
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert [words[0] for words in commands] == ["fit", "fit", "compare", "test"]
    for words, wanted in zip(commands, shown, strict=True):
        fewer = re.sub("--seeds 20 --folds 10", "--seeds 2 --folds 2", shlex.join(words))
        quick = ["--figures", "false", "--trainer.max_epochs", "1"] if words[0] == "fit" else []
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *shlex.split(fewer), *quick],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert heads(wanted) <= heads(done.stdout)


def heads(text: str) -> set[str]:
    """First words of the lines of a table, and the heads of its columns."""
    lines = [line for line in text.splitlines() if line.split() and line[0] not in " ."]
    return {line.split()[0] for line in lines} | {
        word
        for line in text.splitlines()
        if "measure" in line or "interval" in line
        for word in line.split()
    }
