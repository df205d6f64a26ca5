"""A project made from this template: it is small, passes its own checks, and updates."""

import filecmp
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import ROOT

ENVIRONMENT = {
    **{
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MAKE"))
    },
    **{
        f"GIT_{who}_{what}": "someone@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
    "GIT_CONFIG_GLOBAL": os.devnull,
    "OMP_NUM_THREADS": "1",
}


def run(*words: str, cwd: Path, path: str = "") -> str:
    """What a command says, which succeeds; packages are imported from ``path`` first."""
    environment = ENVIRONMENT | {"PYTHONPATH": path or str(cwd / "src")}
    ended = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def commit(directory: Path, message: str) -> None:
    if not (directory / ".git").exists():
        run("git", "init", "--quiet", cwd=directory)
    run("git", "add", "--all", cwd=directory)
    run("git", "commit", "--quiet", "--allow-empty", "--message", message, cwd=directory)


def make(template: Path, target: Path, **answers: str) -> Path:
    copier = ["-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref", "HEAD"]
    data = [word for name, value in answers.items() for word in ("--data", f"{name}={value}")]
    run(sys.executable, *copier, *data, str(template), str(target), cwd=ROOT)
    return target


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as a clone has it, with what is not committed yet."""
    clone = tmp_path_factory.mktemp("template") / "clone"
    run("git", "clone", "--quiet", str(ROOT), str(clone), cwd=ROOT)
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listed.splitlines():
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    commit(clone, "all of it")
    return clone


@pytest.fixture(scope="module")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make(template, tmp_path_factory.mktemp("made") / "my_study", name="my_study")
    commit(made, "from the template")
    return made


def files(project: Path) -> list[str]:
    return run("git", "ls-files", cwd=project).splitlines()


def test_a_project_has_at_most_25_files_of_its_own(project: Path) -> None:
    own = [name for name in files(project) if "/lab/" not in name]
    assert 15 < len(own) <= 25, own


def test_git_leaves_the_runs_of_a_project_alone(project: Path) -> None:
    run("git", "check-ignore", "lightning_logs/xor/version_0/config.yaml", cwd=project)


def test_the_lab_of_a_project_has_the_templates_bytes(project: Path) -> None:
    ours, theirs = ROOT / "src/perceptrons/lab", project / "src/my_study/lab"
    names = [str(path.relative_to(theirs)) for path in theirs.rglob("*.py")]
    assert len(names) > 20
    _, different, missing = filecmp.cmpfiles(ours, theirs, names, shallow=False)
    assert not different
    assert not missing


def test_nothing_of_a_project_but_its_lab_names_the_template(project: Path) -> None:
    for name in files(project):
        path = project / name
        if "/lab/" in name or name in (".copier-answers.yml", "LICENSE", "constraints.txt"):
            continue
        for line in path.read_text().splitlines():
            assert "perceptrons" not in line or "two hidden" in line, f"{name}: {line}"


@pytest.mark.slow
def test_a_project_passes_its_own_lint_types_and_tests(project: Path) -> None:
    python = [sys.executable, "-m"]
    run(*python, "ruff", "check", cwd=project)
    run(*python, "ruff", "format", "--check", cwd=project)
    run(*python, "mypy", cwd=project)
    run(*python, "pytest", "--ignore", "tests/lab", cwd=project)


# of rooms that need no subject, and of the command line, which is tested with the template's
SOME = [
    "tests/lab/runs/test_directories.py",
    "tests/lab/sweeps",
    "tests/lab/cli/test_any_module.py",
]


@pytest.mark.slow
def test_the_labs_tests_run_in_a_project_and_beside_a_rewritten_subject(project: Path) -> None:
    there = set(files(project))
    ours = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "tests/lab")
    assert set(run(*ours, cwd=ROOT).split()) <= there
    test = (sys.executable, "-m", "pytest", *SOME, "-rs", "-k", "space or name or xor or sets")
    assert "rewritten" not in run(*test, cwd=project)
    network = project / "src/my_study/network.py"
    before = network.read_text()
    network.write_text('"""Written anew."""\n')
    assert "rewritten" in run(*test, cwd=project)
    network.write_text(before)


def test_a_project_trains_under_its_own_name(project: Path) -> None:
    flags = ["--data.passes", "10", "--trainer.max_epochs", "1", "--figures", "false"]
    command = [sys.executable, "-m", "my_study", "fit", "--config", "configs/xor.yaml"]
    said = run(*command, *flags, cwd=project)
    assert "lightning_logs/xor/version_0" in said
    help_ = run(sys.executable, "-m", "my_study", "--help", cwd=project)
    assert "my_study COMMAND" in help_


def test_a_better_lab_comes_into_a_rewritten_subject_without_a_conflict(
    template: Path, tmp_path: Path
) -> None:
    project = make(template, tmp_path / "project", name="my_study")
    commit(project, "from the template")
    subject = project / "src/my_study"
    for name in ("network.py", "classifier.py", "data.py"):
        (subject / name).write_text(f'"""Written anew: {name}."""\n')
    (subject / "losses.py").unlink()
    (project / "README.md").write_text("# My own\n")
    commit(project, "the subject, written anew")
    better = template / "src/perceptrons/lab/data/loader.py"
    better.write_text(better.read_text() + "\n# better\n")
    commit(template, "a better lab")
    run(
        *(sys.executable, "-m", "copier", "update", "--quiet", "--defaults", "--vcs-ref", "HEAD"),
        cwd=project,
    )
    assert (subject / "lab/data/loader.py").read_text().endswith("# better\n")
    assert (subject / "network.py").read_text() == '"""Written anew: network.py."""\n'
    assert not (subject / "losses.py").exists()
    changed = run("git", "status", "--short", cwd=project).splitlines()
    assert {line[3:] for line in changed} == {
        ".copier-answers.yml",
        "src/my_study/lab/data/loader.py",
    }
    assert not [line for line in changed if "U" in line[:2]]


@pytest.mark.slow
def test_with_the_lab_as_a_dependency_nothing_of_it_is_in_the_project(
    template: Path, tmp_path: Path
) -> None:
    project = make(template, tmp_path / "project", name="dep_study", lab="dependency")
    commit(project, "from the template")
    assert [name for name in files(project) if "/lab/" in name] == ["src/dep_study/lab/__init__.py"]
    (address,) = re.findall(r'"perceptrons @ git\+(\S+)@', (project / "pyproject.toml").read_text())
    assert urlsplit(address).netloc  # or pip before 24.1 takes it for no address
    head = run("git", "ls-remote", address, "HEAD", cwd=tmp_path).split()[0]
    assert head == run("git", "rev-parse", "HEAD", cwd=template).strip()
    path = os.pathsep.join(["src", str(ROOT / "src")])
    statement = "import dep_study; print(dep_study.Gates.__mro__[1].__module__)"
    assert run(sys.executable, "-c", statement, cwd=project, path=path) == (
        "dep_study.lab.data.tables\n"
    )
