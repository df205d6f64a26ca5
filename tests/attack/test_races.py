"""Processes that race, disks that are full, and trainings with thousands of reports."""

import os
import resource
import subprocess
from collections.abc import Iterator
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path

import pytest
from children import Child
from conftest import CONFIGS
from run_outcome import checkpoint, differences, outcome

pytestmark = pytest.mark.attack
FIT = f"fit --config {CONFIGS}/xor.yaml --figures false --data.passes 20"
RUN = Path("lightning_logs/xor/version_0")


def test_twelve_racing_fits_are_twelve_equal_runs(tmp_path: Path) -> None:
    children = [Child(FIT, tmp_path) for _ in range(12)]
    assert [child.wait().status for child in children] == [0] * 12
    runs = sorted(tmp_path.glob("lightning_logs/xor/version_*"))
    assert len(runs) == 12
    first, *others = map(outcome, runs)
    assert not [line for other in others for line in differences(first, other)]


def test_of_two_racing_resumes_one_trains(tmp_path: Path) -> None:
    assert Child(f"{FIT} --trainer.max_epochs 1", tmp_path).wait().status == 0
    resume = f"fit --resume {RUN} --figures false --trainer.max_epochs 60"
    children = [Child(resume, tmp_path) for _ in range(2)]
    finished = sorted(child.wait() for child in children)
    assert [each.status for each in finished] == [0, 2]
    assert "is training in it" in finished[1].err
    assert Child(f"{FIT} --trainer.max_epochs 60", tmp_path).wait().status == 0
    assert not differences(outcome(tmp_path / RUN), outcome(tmp_path / RUN.with_name("version_1")))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk can be mounted by root alone")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("left", [1 << 17, 1 << 12])
def test_on_a_full_disk_a_run_ends_in_one_line_and_keeps_whole_files(
    left: int, small_disk: Path, tmp_path: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes((3 << 20) - left))
    finished = Child(FIT, small_disk, said=tmp_path).wait()
    assert "Traceback" not in finished.err
    assert len(finished.err.splitlines()) == (finished.status != 0)
    (small_disk / "filler").unlink()
    if (small_disk / RUN / "checkpoints/last.ckpt").exists():
        assert checkpoint(small_disk / RUN)["state_dict"]
        resumed = Child(f"fit --resume {RUN} --figures false", small_disk, said=tmp_path).wait()
        assert resumed.status == 0, resumed


def note_memory(file: Path) -> None:
    """Have the process write down, when it ends, how much memory it has had."""

    def note() -> None:
        file.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))

    Finalize(None, note, exitpriority=1)


@pytest.mark.parametrize("more", ["", " --seeds 200"])
def test_five_thousand_reports_take_no_more_memory_or_disk_than_a_thousand(
    more: str, tmp_path: Path
) -> None:
    sizes, memory = [], []
    for reports in (1000, 5000):
        directory = tmp_path / str(reports)
        directory.mkdir()
        words = f"fit --config {CONFIGS}/xor.yaml --data.passes 1 --trainer.max_epochs {reports}"
        noted = directory / "memory"
        child = Child(f"{words}{more}", directory, partial(note_memory, noted))
        child.process.join(900)
        assert child.process.exitcode == 0, child.read("err")
        sizes.append((directory / RUN / "checkpoints/last.ckpt").stat().st_size)
        memory.append(int(noted.read_text()))
    assert sizes[1] < 1.1 * sizes[0]
    assert memory[1] < memory[0] + (50 << 10)  # kB
