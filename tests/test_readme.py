"""README and docs, held to their word: commands run, links lead somewhere, code fits."""

import math
import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import CONFIGS, ROOT, Command

README = (ROOT / "README.md").read_text()
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S)
PAGES = {page.stem: page.read_text() for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}
# what keeps a fit of the tour short; the first is shown in full
SHORTER = "--data.passes 10 --trainer.max_epochs 2"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


LINES = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
TOUR = [" ".join(words) for program, *words in LINES if program == "perceptrons"]


def alike(shown: str, printed: str) -> bool:
    """Whether two lines have the same words, numbers but for rounding."""
    pairs = [*zip(shown.split(), printed.split(), strict=False)]
    same_length = len(shown.split()) == len(printed.split())
    return same_length and all(one == other or close(one, other) for one, other in pairs)


def close(one: str, other: str) -> bool:
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-3)
    except ValueError:
        return False


def test_the_tour_runs_and_prints_what_is_shown(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copy(CONFIGS / "penguins.csv", "mine.csv")
    first = command(TOUR[0])
    assert first.status == 0
    (shown,) = blocks("text")
    printed = iter(first.out.splitlines())
    for line in shown.splitlines():
        assert line == "..." or any(alike(line, other) for other in printed), line
    for line in TOUR[1:]:
        if "Normed" in line:  # is a file of the reader's own
            continue
        line = line.replace("--data.target kind", "--data.target species")
        trains = line.startswith("fit --config") and "print_config" not in line
        ended = command(f"{line} {SHORTER}" if trains else line)
        assert (ended.status, ended.err) == (0, ""), line


def test_every_verb_of_make_is_a_target() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    named = {words[1] for words in LINES if words[0] == "make"}
    named |= set(re.findall(r"`make ([a-z]+)", PROSE))
    assert {"train", "test"} <= named <= set(targets)


def test_every_configuration_and_file_that_is_named_exists() -> None:
    named = set(re.findall(r"(?<![/\w.])(?:configs|docs|src)/[\w/.-]+\w", README))
    named -= {"src/perceptrons/normed.py"}  # the reader's own
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGES[page]) if "://" not in link]
    home = ROOT if page == "README" else ROOT / "docs"
    assert [link for link in links if not (home / link).exists()] == []


def test_the_readme_is_short_and_its_code_fits() -> None:
    assert len(README.splitlines()) <= 110
    for page, text in PAGES.items():
        for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S):
            assert not [line for line in block.splitlines() if len(line) > 88], page


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_config_is_short_and_opens_with_its_command_and_the_result(config: Path) -> None:
    lines = config.read_text().splitlines()
    assert len(lines) <= 25
    opening = "".join(line.lstrip("#") for line in lines if line.startswith("#"))
    assert re.search(rf"perceptrons fit --config configs/{config.name}\b.*-> *\S", opening)
