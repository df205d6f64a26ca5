"""What a study is said to need before it begins is about what it then takes."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

# a study in a process of its own: what it was said to need, and the peak of what it took
MEASURE = """
import re, sys
from pathlib import Path
from perceptrons.__main__ import main
from perceptrons.lab.studies import plan, rehearsal

def told(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

def note(*given):
    Path("/proc/self/clear_refs").write_text("5")
    needs.append((rehearsal.bytes_needed(*given), told("VmRSS")))

needs = []
plan.check_memory = note
main(sys.argv[1:])
(need, before), = needs
print("ratio", need / (told("VmHWM") - before))
"""
# long enough for graphs of the updates to be made
TABLE = f"--config {ROOT}/configs/breast_cancer.yaml --data.passes 30 --data.batch_size null"
STUDIES = {
    "many small": f"--config {ROOT}/configs/xor.yaml --data.passes 30 --seeds 65536",
    "a table's rows": f"{TABLE} --model.net.hidden [16] --seeds 3000",
    "fewer members": f"{TABLE} --seeds 600",
    "folds": f"{TABLE} --seeds 100 --folds 5",
    "folds in order": f"{TABLE} --seeds 100 --folds 5 --data.shuffle false",
    "compiled": f"{TABLE} --seeds 600 --compile true",
    "many small groups": f"--config {ROOT}/configs/spiral.yaml --seeds 20 --folds 20",
}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells its peaks")
@pytest.mark.parametrize("name", STUDIES)
def test_the_memory_that_a_study_is_said_to_need_is_about_what_it_takes(
    name: str, tmp_path: Path
) -> None:
    words = f"fit {STUDIES[name]} --figures false --trainer.max_epochs 1".split()
    command = [sys.executable, "-c", MEASURE, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert 1 / 1.5 <= float(done.stdout.rpartition("ratio ")[2]) <= 1.5
