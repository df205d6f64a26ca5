"""A project made from this template, by Copier and without: it passes its own checks, and updates.

What was made runs in the present environment, with its ``src`` first on the path.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

# what of a project's tests runs here: files that renaming would break; all of them take minutes
QUICK = "test_imports or test_network or (test_readme and (map or link or verb or config))"
DESCRIPTION = "It's 5 % of all $HOME, no less"
ENVIRONMENT = {
    **{
        name: value
        for name, value in os.environ.items()
        # what make hands down, it says "make[1]" by
        if not name.startswith(("PYTEST_", "MAKE", "MFLAGS"))
    },
    **{
        f"GIT_{who}_{what}": "someone@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
    "GIT_CONFIG_GLOBAL": os.devnull,
    "OMP_NUM_THREADS": "1",
}

Make = Callable[[Path, Path, bool], Path]


def run(*words: str, cwd: Path, fails: bool = False, path: Path | None = None) -> str:
    """What a command says, which succeeds, unless it is to fail.

    Args:
        words: The command.
        cwd: Where it runs.
        fails: Whether it is to.
        path: Where it imports from first.
    """
    environment = ENVIRONMENT | ({"PYTHONPATH": str(path)} if path else {})
    ended = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    said = ended.stdout + ended.stderr
    assert (ended.returncode != 0) == fails, said
    return said


def python(*words: str, cwd: Path, fails: bool = False, path: Path | None = None) -> str:
    return run(sys.executable, *words, cwd=cwd, fails=fails, path=path)


def commit(directory: Path, tag: str) -> None:
    """Commit all there is, and give it a tag."""
    if not (directory / ".git").exists():
        run("git", "init", "--quiet", cwd=directory)
    run("git", "add", "--all", cwd=directory)
    run("git", "commit", "--quiet", "--message", tag, cwd=directory)
    run("git", "tag", tag, cwd=directory)


def copy_of_the_template(target: Path) -> Path:
    """The repository as a clone would have it, with what is not committed yet."""

    def left_out(directory: str, names: list[str]) -> set[str]:
        if Path(directory) == ROOT / "lightning_logs":
            return set(names) - {".gitignore"}
        return set(
            shutil.ignore_patterns(".git", ".venv", "*_cache*", "build", "dist")(directory, names)
        )

    return Path(shutil.copytree(ROOT, target, symlinks=True, ignore=left_out))


def by_copier(template: Path, target: Path, examples: bool) -> Path:
    data = [f"--data=description={DESCRIPTION}", f"--data=examples={str(examples).lower()}"]
    words = ["copy", "--defaults", *data, os.path.relpath(template, target.parent), target.name]
    python("-m", "copier", *words, cwd=target.parent)
    return target


def by_make(template: Path, target: Path, examples: bool) -> Path:
    more = [f"DEST={target}", f"EXAMPLES={'yes' if examples else 'no'}", f"PYTHON={sys.executable}"]
    text = DESCRIPTION.replace("$", "$$")
    run("make", "new", "NAME=my_study", f"DESCRIPTION={text}", *more, cwd=template)
    return target


def files(project: Path) -> dict[str, bytes]:
    paths = (path for path in project.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = copy_of_the_template(tmp_path_factory.mktemp("template") / "perceptrons")
    commit(copy, "v1.0.0")
    return copy


@pytest.fixture(scope="module")
def projects(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """What Copier makes, with the examples and without."""
    made = {}
    for examples in (True, False):
        target = tmp_path_factory.mktemp("made") / "my-study"
        made[examples] = by_copier(template, target, examples)
    return made


both_kinds = pytest.mark.parametrize("examples", [True, False], ids=["examples", "small"])
both_ways = pytest.mark.parametrize(
    "make", [by_copier, pytest.param(by_make, marks=pytest.mark.slow)]
)


# what is asked, and what is made


def test_copier_asks_three_questions_all_with_defaults() -> None:
    settings = yaml.safe_load((ROOT / "copier.yml").read_text())
    entries = {name: entry for name, entry in settings.items() if not name.startswith("_")}
    asked = {name: entry for name, entry in entries.items() if entry.get("when") is not False}
    assert set(asked) == {"name", "description", "examples"}
    assert all("default" in entry for entry in asked.values())


def test_copier_needs_no_trust() -> None:
    settings = yaml.safe_load((ROOT / "copier.yml").read_text())
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & set(settings)


def test_every_file_can_be_read_as_a_template(template: Path) -> None:
    settings = yaml.safe_load((ROOT / "copier.yml").read_text())
    words = [word for name, word in settings["_envops"].items() if "_start_" in name]
    for name, content in files(template).items():
        if name.startswith("template/") or name == "copier.yml":
            continue
        if name.startswith("docs/images/"):  # these, and nothing else, may be no text
            continue
        assert not [word for word in words if word in content.decode()], name
        # Copier gives all files that it renders the same permissions
        assert name == ".ci/run" or not os.access(template / name, os.X_OK), name


@both_kinds
def test_copier_and_make_new_make_the_same(
    template: Path, projects: dict[bool, Path], tmp_path: Path, examples: bool
) -> None:
    one = files(projects[examples])
    other = files(by_make(template, tmp_path / "my-study", examples))
    answers = [yaml.safe_load(each.pop(".copier-answers.yml")) for each in (one, other)]
    assert answers[0] == answers[1]
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


def test_make_new_needs_no_git(template: Path, projects: dict[bool, Path], tmp_path: Path) -> None:
    bare = shutil.copytree(template, tmp_path / "bare", symlinks=True)
    shutil.rmtree(bare / ".git")
    made = files(by_make(bare, tmp_path / "my-study", False))
    assert made.keys() == files(projects[False]).keys() - {".copier-answers.yml"}


@both_kinds
def test_nothing_goes_by_the_old_name(projects: dict[bool, Path], examples: bool) -> None:
    for name, content in files(projects[examples]).items():
        if name != ".copier-answers.yml" and not name.endswith(".png"):
            assert b"perceptrons" not in name.encode() + content.lower(), name


@both_kinds
def test_package_distribution_and_command_have_the_new_name(
    projects: dict[bool, Path], examples: bool
) -> None:
    project = tomllib.loads((projects[examples] / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my_study"
    assert project["scripts"] == {"my_study": "my_study.__main__:main"}
    assert (project["version"], project["description"]) == ("0.1.0", DESCRIPTION)
    for name in ("README.md", "CHANGELOG.md"):
        text = (projects[examples] / name).read_text()
        assert "my_study" in text
        assert len(text) < len((ROOT / name).read_text())
    assert DESCRIPTION in (projects[examples] / "README.md").read_text()


def test_a_small_project_has_configs_to_train_but_no_published_experiments(
    projects: dict[bool, Path],
) -> None:
    whole, small = (files(projects[examples]).keys() for examples in (True, False))
    assert small < whole
    assert "configs/xor.yaml" in small
    assert {"benchmarks/experiments.py", "configs/xor_numpy.yaml"} <= whole - small
    verbs = run("make", "help", cwd=projects[False])
    assert "make train" in verbs
    assert "experiments" not in verbs


def test_no_file_of_a_small_project_names_a_config_that_it_lacks(
    projects: dict[bool, Path],
) -> None:
    whole, small = (files(projects[examples]) for examples in (True, False))
    text = b"\n".join(small.values()).decode(errors="ignore")
    lacking = {
        name.removeprefix("configs/")
        for name in whole.keys() - small.keys()
        if name.startswith("configs/")
    }
    assert lacking
    assert [name for name in lacking if re.search(rf"\b{re.escape(name)}", text)] == []


# its own checks


@pytest.fixture
def installed(projects: dict[bool, Path], tmp_path: Path) -> Callable[[bool], Path]:
    """Makes what ``pip install`` writes down of a project, and gives where to import it from."""

    def install(examples: bool) -> Path:
        settings = tomllib.loads((projects[examples] / "pyproject.toml").read_text())["project"]
        shutil.copytree(projects[examples] / "src", tmp_path, dirs_exist_ok=True)
        (tmp_path / "my_study-0.1.0.dist-info").mkdir()
        lines = ["Metadata-Version: 2.4", "Name: my_study", "Version: 0.1.0"]
        lines += [f"Requires-Dist: {need}" for need in settings["dependencies"]]
        metadata = "\n".join([*lines, ""])
        (tmp_path / "my_study-0.1.0.dist-info" / "METADATA").write_text(metadata)
        return tmp_path

    return install


@pytest.mark.parametrize("examples", [pytest.param(True, marks=pytest.mark.slow), False])
def test_its_tests_pass(
    projects: dict[bool, Path], installed: Callable[[bool], Path], examples: bool
) -> None:
    words = ["-m", "pytest", "-p", "no:cacheprovider", "-k", QUICK]
    said = python(*words, cwd=projects[examples], path=installed(examples))
    assert "[100%]" in said


@both_kinds
def test_its_lint_passes(projects: dict[bool, Path], examples: bool) -> None:
    python("-m", "ruff", "check", "--no-cache", cwd=projects[examples])
    python("-m", "ruff", "format", "--check", "--no-cache", cwd=projects[examples])


def test_its_types_pass(projects: dict[bool, Path], tmp_path: Path) -> None:
    # what is known of the libraries already spares ten seconds
    cache = ROOT / ".mypy_cache"
    if cache.exists():
        shutil.copytree(cache, tmp_path / "cache")
    python("-m", "mypy", f"--cache-dir={tmp_path / 'cache'}", cwd=projects[False])


@pytest.mark.parametrize("name", ["q1", "a_study_of_20_letter"])
def test_its_lint_passes_whatever_the_length_of_its_name(
    template: Path, tmp_path: Path, name: str
) -> None:
    """A line that names the package leaves room for 9 letters more, and is as one of 9 less."""
    project = tmp_path / name
    python("template/new.py", f"--name={name}", f"--dest={project}", "--examples=yes", cwd=template)
    python("-m", "ruff", "check", "--no-cache", cwd=project)
    python("-m", "ruff", "format", "--diff", "--no-cache", cwd=project)


def test_what_makes_projects_has_types() -> None:
    python("-m", "mypy", "--strict", f"--cache-dir={os.devnull}", "template/new.py", cwd=ROOT)


# what the template learns later


@both_ways
def test_copier_update_brings_in_a_change_and_keeps_the_users(
    template: Path, tmp_path: Path, make: Make
) -> None:
    grown = shutil.copytree(template, tmp_path / "template", symlinks=True)
    project = make(grown, tmp_path / "my-study", False)
    config = project / "configs" / "xor.yaml"
    config.write_text(config.read_text().replace("max_epochs: 10", "max_epochs: 7"))
    (project / "src" / "my_study" / "mine.py").write_text("MINE = 1\n")
    commit(project, "mine")

    theirs = grown / "configs" / "xor.yaml"
    theirs.write_text(theirs.read_text().replace("lr: 1.0", "lr: 0.5"))
    (grown / "src" / "perceptrons" / "news.py").write_text("from perceptrons import data\n")
    (grown / "docs" / "story.md").write_text("# `perceptrons fit`\n")
    (grown / "configs" / "and.yaml").unlink()
    commit(grown, "v1.1.0")
    python("-m", "copier", "update", "--defaults", cwd=project)

    assert "max_epochs: 7" in config.read_text()
    assert "lr: 0.5" in config.read_text()
    assert (project / "src" / "my_study" / "mine.py").exists()
    assert (project / "src" / "my_study" / "news.py").read_text() == "from my_study import data\n"
    assert (project / "docs" / "story.md").read_text() == "# `my_study fit`\n"
    assert not (project / "configs" / "and.yaml").exists()
    assert "_commit: v1.1.0" in (project / ".copier-answers.yml").read_text()


# what the user gets wrong


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["NAME=1"], "NAME='1': must be 2 to 20 of a-z, 0-9 and _, a letter first"),
        (["NAME=my-study"], "NAME='my-study': must be .*; did you mean my_study?"),
        (["NAME="], "NAME='': must be 2 to 20 of a-z, .*"),
        (["NAME=class"], "NAME='class': is taken by Python, a library or the project itself"),
        (["NAME=torch"], "NAME='torch': is taken by Python, .*"),
        (['DESCRIPTION=a "word"'], "DESCRIPTION: must be one line, without double quotes, .*"),
        (["EXAMPLES=maybe"], "EXAMPLES='maybe': must be yes or no"),
        (["DEST=full"], "DEST='full': is not empty"),
        (["DEST=full/file"], "DEST='full/file': is a file"),
        (["DEST=../file/new"], "DEST='../file/new': Not a directory: .*"),
        (["DEST=template/new"], "DEST='template/new': is in the template itself"),
    ],
)
def test_a_mistake_costs_one_line_and_makes_nothing(
    template: Path, tmp_path: Path, words: list[str], line: str
) -> None:
    copy = shutil.copytree(template, tmp_path / "copy", symlinks=True)
    (copy / "full").mkdir()
    (copy / "full" / "file").touch()
    (tmp_path / "file").touch()
    before = files(tmp_path)
    elsewhere = [] if "DEST" in words[0] else [f"DEST={tmp_path / 'new'}"]
    said = run("make", "new", *words, *elsewhere, f"PYTHON={sys.executable}", cwd=copy, fails=True)
    first, *rest = said.splitlines()
    assert re.fullmatch(f"new: error: {line}".replace("?", r"\?"), first)
    assert all(word.startswith("make: ***") for word in rest)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("name=1st", 'name="1st": must be 2 to 20 of a-z, 0-9 and _, a letter first'),
        ("name=class", 'name="class": is taken by Python, a library or the project itself'),
        ('description=a "word"', "description: must be one line, without double quotes,"),
    ],
)
def test_copier_refuses_the_same_and_makes_nothing(
    template: Path, tmp_path: Path, answer: str, line: str
) -> None:
    words = ["--defaults", f"--data={answer}", str(template), "new"]
    said = python("-m", "copier", "copy", *words, cwd=tmp_path, fails=True)
    assert line in said.splitlines()[-1]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("folder", "name"), [("My Study.2", "my_study_2"), ("2nd", "my_study"), ("json", "my_study")]
)
def test_without_an_answer_copier_names_it_after_its_folder_where_that_can_be(
    template: Path, tmp_path: Path, folder: str, name: str
) -> None:
    python("-m", "copier", "copy", "--defaults", str(template), folder, cwd=tmp_path)
    assert (tmp_path / folder / "src" / name / "cli.py").exists()
