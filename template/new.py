"""Make a project of one's own from this template: ``make new NAME=my_study DEST=../my-study``.

It makes, without Copier, what ``copier copy`` makes of ``copier.yml``; ``docs/new_project.md``
explains both. Needs nothing but Python 3.11 and, where there is one, git.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import NoReturn

HERE = Path(__file__).parent
ROOT = HERE.parent
ANSWERS = "# Changes here will be overwritten by Copier; NEVER EDIT MANUALLY"


def lines(name: str) -> list[str]:
    text = (HERE / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def fail(line: str) -> NoReturn:
    print(f"new: error: {line}", file=sys.stderr)
    raise SystemExit(2)


def check_name(name: str) -> None:
    if not re.fullmatch("[a-z][a-z0-9_]{1,19}", name):
        near = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:20]
        hint = f"; did you mean {near}?" if len(near) > 1 else ""
        fail(f"NAME={name!r}: must be 2 to 20 of a-z, 0-9 and _, a letter first{hint}")
    if name in " ".join(lines("taken.txt")).split():
        fail(f"NAME={name!r}: is taken by Python, a library or the project itself")


def check_description(text: str) -> None:
    if not re.fullmatch(r'[^"{}\\\n]+', text):
        fail("DESCRIPTION: must be one line, without double quotes, braces and backslashes")


def check_destination(path: Path) -> None:
    if path.exists() and not path.is_dir():
        fail(f"DEST='{path}': is a file")
    if path.exists() and any(path.iterdir()):
        fail(f"DEST='{path}': is not empty")
    if ROOT in (path.resolve(), *path.resolve().parents):
        fail(f"DEST='{path}': is in the template itself")


def git(*words: str) -> str:
    """What git says about the template, nothing where there is no git or no repository."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        return ""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout


def sources() -> list[str]:
    """The template's files: what git has or would take, or else all there are."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    if listed == [""]:
        listed = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
    return sorted(name for name in listed if (ROOT / name).is_file())


def matches(name: str, patterns: list[str]) -> bool:
    """Whether patterns, as in a .gitignore, leave a file out, or a directory that it is in."""
    path = PurePosixPath("/", name)
    here = any(path.match(pattern) for pattern in patterns if not pattern.endswith("/"))
    return here or any(above.match(pattern) for above in path.parents for pattern in patterns)


def content(name: str, answers: dict[str, str]) -> bytes:
    """What a file of the template is in the project."""
    ours = HERE / "project" / f"{name}.jinja"
    given = ours if ours.exists() else ROOT / name
    try:
        text = given.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return given.read_bytes()
    package = answers["name"]
    text = text.replace("perceptrons", package).replace("PERCEPTRONS", package.upper())
    for answer, value in answers.items():
        text = text.replace(f"{{= {answer} =}}", value)
    if name == "pyproject.toml":
        text = re.sub('(?m)^version = ".*"', 'version = "0.1.0"', text)
        text = re.sub('(?m)^description = ".*"', f'description = "{answers["description"]}"', text)
    return text.encode()


def write(destination: Path, answers: dict[str, str], examples: bool) -> None:
    left_out = lines("left_out.txt") + ([] if examples else lines("examples.txt"))
    for name in sources():
        target = destination / name.replace("perceptrons", answers["name"])
        if not matches(name, left_out):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content(name, answers))


def write_answers(destination: Path, answers: dict[str, str], examples: bool) -> None:
    """Write down for ``copier update`` what the project was made from."""
    commit = git("describe", "--tags", "--always").strip()
    if not commit:
        return
    text = f"{ANSWERS}\n_commit: {commit}\n_src_path: {ROOT}\n"
    text += f'description: "{answers["description"]}"\nexamples: {str(examples).lower()}\n'
    text += f"name: {answers['name']}\n"
    (destination / ".copier-answers.yml").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--name", default="my_study")
    parser.add_argument("--dest", help="the name, with dashes, beside this directory")
    parser.add_argument("--description", default="What a neural network learns.")
    parser.add_argument("--examples", default="no", help="yes or no")
    given = parser.parse_args()
    check_name(given.name)
    check_description(given.description)
    if given.examples not in ("yes", "no"):
        fail(f"EXAMPLES={given.examples!r}: must be yes or no")
    destination = Path(given.dest or ROOT.parent / given.name.replace("_", "-"))
    check_destination(destination)
    answers = {"name": given.name, "description": given.description}
    try:
        write(destination, answers, given.examples == "yes")
        write_answers(destination, answers, given.examples == "yes")
    except OSError as failure:
        fail(f"DEST='{destination}': {failure.strerror}: {failure.filename}")
    print(f"{destination}: next, in there:")
    print("git init && git add --all && git commit -m 'From the template' && make check")


if __name__ == "__main__":
    main()
