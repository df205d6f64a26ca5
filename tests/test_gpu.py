"""What a CUDA device makes of the runs: the same, but for its own rounding."""

import pytest
import torch
from conftest import Command

from perceptrons import load_run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.parametrize(
    "settings",
    [
        "configs/xor.yaml --data.passes 100",
        "configs/xor.yaml --model.gradients by_hand --model.loss mse --data.passes 100",
        "configs/blobs3.yaml --data.shuffle true --data.batch_size 32 --data.passes 5",
        "configs/xor.yaml --model.optimizer Adam --model.optimizer.lr 0.01 --data.passes 100",
        "configs/xor.yaml --compile true --data.passes 100",
        "configs/xor.yaml --seeds 5 --data.passes 100",
        "configs/xor.yaml --seeds 5 --grid {model.optimizer.lr:[0.5,1]} --data.passes 100"
        " --model.gradients by_hand",
        "configs/xor.yaml --seeds 5 --data.passes 100 --compile true",
    ],
)
def test_a_gpu_trains_what_a_cpu_trains(command: Command, settings: str) -> None:
    for device in ("cpu", "gpu"):
        line = f"fit --config {settings} --trainer.accelerator {device} --name {device}"
        assert command(line).status == 0
    (cpu, _), (gpu, _) = (load_run(f"lightning_logs/{name}/version_0") for name in ("cpu", "gpu"))
    for one, other in zip(cpu.parameters(), gpu.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_tables_lie_on_the_device_before_the_training(command: Command) -> None:
    finished = command("fit --config configs/and.yaml --trainer.accelerator gpu")
    assert finished.status == 0
    assert "100.00%" in finished.out
