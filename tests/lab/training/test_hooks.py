"""What a user's hooks change while updates are compiled."""

from pathlib import Path

import pytest
import torch
from conftest import Command
from subject import Classifier


class Freezing(Classifier):
    """Trains its first layer for one epoch only."""

    def on_train_epoch_start(self) -> None:
        next(self.net.children()).requires_grad_(self.current_epoch < 1)


@pytest.mark.slow
def test_what_a_hook_freezes_is_not_trained_on_by_compiled_updates(command: Command) -> None:
    fit = "fit --config configs/xor.yaml --trainer.max_epochs 3 --data.passes 200"
    fit += f" --figures false --model {__name__}.Freezing"
    ends = []
    for name, flag in (("one", "true"), ("other", "false")):
        finished = command(f"{fit} --compile {flag} --name {name}")
        assert (finished.status, finished.err) == (0, "")
        assert ("a hook changes what is compiled" in finished.out) == (flag == "true")
        last = Path(f"lightning_logs/{name}/version_0/checkpoints/last.ckpt")
        ends.append(torch.load(last, weights_only=True)["state_dict"])
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-4, atol=1e-5)
