# ruff: noqa: E501  a row is a command, however long
"""Wrong inputs: each ends with status 2 and one line on stderr, and leaves no run directory.

A row is the words of a command, and what its line must have: the setting, or the class and what it
says, and the nearest name where there is one.
"""

from pathlib import Path

import pytest
import subject  # noqa: F401
from conftest import Command

XOR = "fit --config configs/xor.yaml --data.passes 1 --trainer.max_epochs 1"
BLOBS = "fit --config configs/blobs.yaml --data.passes 1 --trainer.max_epochs 1"
DEBUG = "PERCEPTRONS_DEBUG"

WITH_XOR = """
--data.gate xnot  ->  gate .. mean xnor?
--data.gate XOR  ->  gate .. mean xor?
--data.gate 011  ->  gate
--data.gate 0112  ->  gate
--data.gate 0110 --data.inputs 3  ->  inputs
--data.gate [1]  ->  gate
--data.gate null  ->  gate
--data.gate.x 1  ->  data.gate: expected text
--data.inputs 0  ->  inputs
--data.inputs 13  ->  inputs
--data.inputs two  ->  inputs
--data.inputs 2.5  ->  inputs
--data.inputs null  ->  inputs
--data.constant_input 3  ->  constant_input
--data.passes 0  ->  passes
--data.passes many  ->  passes
--data.passes 1000000000000000000000000  ->  data.passes=1000000000000000000000000: expected a whole number >= 1 and <= 10000
--config /proc/self/mem  ->  config='/proc/self/mem'
--data.passes null  ->  passes
--data.batch_size 0  ->  batch_size
--data.batch_size 5  ->  batch_size
--data.batch_size all  ->  batch_size
--data.shuffle maybe  ->  shuffle
--data.points [[1]]  ->  points
--data.points [[1,2],[1,2,3]]  ->  points
--data.points [1,2]  ->  points
--data.points [[a,b]]  ->  points
--data.points []  ->  points
--data.points [[.nan,1]]  ->  points
--data.gat xor  ->  gat .. mean gate?
--data.a.b 1  ->  b
--data Gate  ->  data .. mean Gates?
--data nosuch.Gates  ->  data
--data TableData  ->  data
--data torch.nn.Linear  ->  data: torch.nn.Linear is no LightningDataModule
--data null  ->  data
--best.every_n_epochs 0  ->  best.every_n_epochs=0: must be at least 1
--grid {lr:0.1  ->  grid={lr:0.1: expected settings, as {name: value}, or null
--member best  ->  member='best': only test and predict of a study
--data.help Gatez  ->  help .. mean Gates?
--data LightningDataModule  ->  data
--data.points  ->  argument --data: expected one argument
--model.net MPL  ->  net .. mean MLP?
--model.net mlp  ->  net .. mean MLP?
--model.net nosuch.Net  ->  net
--model.net null  ->  net
--model.net Linear  ->  net
--model.net.hidden [0]  ->  hidden
--model.net.hidden [2,-1]  ->  hidden
--model.net.hidden 2  ->  model.net.hidden=2: expected a list of whole numbers > 0
--model.net.hidden [two]  ->  hidden
--model.net.hidden null  ->  hidden
--model.net.init_args.hidden two  ->  hidden
--model.net.hiden [2]  ->  hiden .. mean hidden?
--model.net Perceptron --model.net.hidden [2]  ->  hidden
--model.net.inputs 3  ->  inputs
--model.classes 3  ->  classes
--model.net.activation sigmoit  ->  activation .. mean sigmoid?
--model.net.activation 3  ->  activation
--model.net.bias maybe  ->  bias
--model.net.bias null  ->  model.net.bias=null: expected true or false
--model.net.init norml  ->  init
--model.net.init_scale 0  ->  init_scale
--model.net.init_scale .nan  ->  init_scale
--model.net.init_scale big  ->  init_scale
--model.net torch.nn.ReLU  ->  SGD: optimizer got an empty parameter list
--model.net Identity  ->  SGD: optimizer got an empty parameter list
--model.net Sequential  ->  SGD: optimizer got an empty parameter list
--model.net torch.nn.Module  ->  SGD: optimizer got an empty parameter list
--model.net torch.nn.Linear --model.net.in_features 3 --model.net.out_features 1  ->  Linear: mat1 and mat2 shapes cannot be multip
--model.net torch.nn.Linear --model.net.in_features 2 --model.net.out_features 3  ->  net: outputs of shape (4, 3), targets of (4, 1)
--model.net torch.nn.LSTM --model.net.input_size 2 --model.net.hidden_size 1  ->  AttributeError: 'tuple' object has no attribu
--model.loss bec  ->  loss .. mean bce?
--model.loss 3  ->  loss
--model.loss cross_entropy  ->  loss
--model.loss torch.nn.Linear  ->  loss
--model.gradients by_hnd  ->  gradients
--model.bias_lr_factor half  ->  bias_lr_factor
--model.bias_lr_factor null  ->  bias_lr_factor
--model.gradients by_hand --model.loss MSELoss  ->  gradients
--model.clases 3  ->  clases .. mean classes?
--modle.loss mse  ->  loss .. mean model.loss?
--model.optimizer.momentun 3  ->  choose one of lr, momentum .. mean momentum?
--modle x  ->  modle .. mean model?
--model foo  ->  model
--model.loss.margin 3  ->  model.loss: expected one of bce, mse, cross_entropy, or a Module
--model.loss CrossEntropyLoss  ->  loss
--model.loss NLLLoss  ->  NLLLoss: 0D or 1D target tensor expected, mul
--model.loss BCELoss  ->  BCELoss: all elements of input should be betw
--model.loss torch.nn.ReLU  ->  ReLU.forward() takes 2 positional arguments b
--model.loss torch.nn.Module  ->  missing the required
--model.loss MSELoss --model.loss.reduction none  ->  loss: gives a number for each row
--model.bias_lr_factor 0  ->  bias_lr_factor
--model.bias_lr_factor .nan  ->  bias_lr_factor
--model.optimizer SDG  ->  optimizer .. mean SGD?
--model.optimizer torch.optim.SDG  ->  optimizer
--model.optimizer.rl 0.1  ->  rl
--model.optimizer Adam --model.optimizer.momentum 0.9  ->  momentum
--model.optimizer.lr 0  ->  lr
--model.optimizer.lr .nan  ->  lr
--model.optimizer.lr .inf  ->  lr
--model.optimizer.lr fast  ->  model.optimizer.lr=fast: expected a number
--model.optimizer.lr null  ->  lr
--model.optimizer.lr -1  ->  SGD: Invalid learning rate: -1.0
--model.optimizer.momentum -1  ->  momentum
--model.optimizer Adam --model.optimizer.betas [2,0.9]  ->  Adam: Invalid beta parameter at index 0: 2.0
--model.scheduler ExponentalLR  ->  scheduler .. mean ExponentialLR?
--model.scheduler ExponentialLR  ->  scheduler
--model.scheduler.gamma 0.9  ->  gamma
--model.scheduler ExponentialLR --model.scheduler.gama 0.9  ->  gama .. mean gamma?
--model.scheduler StepLR --model.scheduler.step_size x  ->  step_size
--model.scheduler ReduceLROnPlateau  ->  scheduler
--model.scheduler lightning.pytorch.cli.ReduceLROnPlateau --model.scheduler.monitor val/los  ->  monitor
--model.scheduler torch.optim.lr_scheduler.ReduceLROnPlateau  ->  scheduler
--model.scheduler StepLR --model.scheduler.step_size 0  ->  StepLR: ZeroDivisionError: integer modulo by
--model.scheduler OneCycleLR --model.scheduler.max_lr 1  ->  OneCycleLR: You must define either total_step
--model.scheduler ExponentialLR --model.scheduler.gamma -1  ->  scheduler
--model.scheduler LRScheduler  ->  LRScheduler: NotImplementedError; at
--model.optimizer Optimizer  ->  optimizer
--model.optimizer SparseAdam  ->  SparseAdam does not support dense gradients,
--model.optimizer Adam --model.optimizer.fused true --model.optimizer.foreach true  ->  foreach
--trainer.accelerator gpuu  ->  accelerator
--trainer.max_epochs ten  ->  trainer.max_epochs=ten: expected a whole number, or null
--trainer.max_epochs -2  ->  max_epochs
--trainer.max_epoch 3  ->  max_epoch .. mean trainer.max_epochs?
--trainer.max_time x  ->  error: Trainer: `Timer(duration='x
--trainer.foo 3  ->  foo
--trainer 3  ->  trainer
--trainer.precision 16-mixd  ->  precision
--trainer.deterministic x  ->  deterministic
--trainer.barebones x  ->  barebones
--trainer.limit_train_batches 1.5  ->  limit_train_batches
--trainer.val_check_interval 500  ->  val_check_interval
--trainer.callbacks EarlyStoping  ->  callbacks .. mean EarlyStopping?
--trainer.callbacks EarlyStopping  ->  trainer.callbacks: EarlyStopping needs monitor
--model.net torch.nn.Bilinear  ->  model.net: Bilinear needs in1_features, in2_features
--model.scheduler StepLR  ->  model.scheduler: StepLR needs step_size
--model.scheduler StepLR --model.scheduler.gamma 0.5  ->  model.scheduler: StepLR needs step_size
--model.optimizer StepLR  ->  model.optimizer: StepLR is no Optimizer
--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/los  ->  EarlyStopping.monitor='val/los': is not logged .. mean val/loss?
--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor val/los  ->  EarlyStopping.monitor='val/los': is not logged .. mean val/loss?
--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/loss --trainer.callbacks.mode up  ->  mode
--trainer.logger Tensorboard  ->  logger .. mean TensorBoardLogger?
--best.monitor val/los  ->  monitor
--last.monitor val/los  ->  monitor
--best.monitr val/loss  ->  monitr .. mean best.monitor?
--best.mode up  ->  mode
--best.save_top_k -2  ->  save_top_k
--best.save_top_k x  ->  save_top_k
--best.save_last maybe  ->  save_last
--last.save_top_k 3  ->  save_top_k
--last.every_n_epochs x  ->  every_n_epochs
--last.train_time_interval x  ->  train_time_interval
--best 3  ->  best
--trainer.check_val_every_n_epoch 0  ->  check_val_every_n_epoch
--trainer.accumulate_grad_batches 0  ->  accumulate_grad_batches
--trainer.gradient_clip_val -1  ->  gradient_clip_val
--trainer.gradient_clip_val .nan  ->  gradient_clip_val
--trainer.log_every_n_steps -1  ->  log_every_n_steps
--trainer.num_sanity_val_steps -2  ->  num_sanity_val_steps
--trainer.min_epochs -1  ->  min_epochs
--trainer.min_steps -1  ->  min_steps
--trainer.accelerator tpu  ->  ModuleNotFoundError: Requirement 'torch_xla>=
--trainer.barebones true  ->  barebones
--trainer.callbacks.monitor  ->  argument --trainer.callbacks/--trainer.callba
--trainer.callbacks LearningRateMonitor --trainer.logger false  ->  logger
--trainer.callbacks LearningRateFinder  ->  LearningRateFinder: AttributeError: When usin
--trainer.callbacks Timer --trainer.callbacks.duration x  ->  duration
--trainer.default_root_dir configs/xor.yaml  ->  [Errno 20] Not a directory: 'configs/xor.yaml
--best.dirpath configs/xor.yaml/best  ->  [Errno 20] Not a directory
--seed_everything -1  ->  seed_everything
--seed_everything 4294967296  ->  seed_everything
--seed_everything false  ->  seed_everything
--seed_everything 1.5  ->  seed_everything
--seed_evrything 3  ->  seed_evrything .. mean seed_everything?
--name a/b  ->  name
--name ..  ->  name
--name  ->  name
--threads 0  ->  threads
--threads 100000  ->  threads
--threads two  ->  threads
--threads  ->  threads
--thread 2  ->  thread .. mean threads?
--verbos true  ->  verbos .. mean last.verbose?
--foo 3  ->  foo
extra  ->  extra
--print_confg  ->  print_confg .. mean print_config?
--name=  ->  name
"""

WITH_BLOBS = """
--data.n_samples 1  ->  n_samples
--data.n_samples many  ->  n_samples
--data.centers 1  ->  centers
--data.centers [[1,2],[1]]  ->  centers
--data.centers [[],[]]  ->  centers
--data.centers [[.inf],[1]]  ->  centers
--data.centers here  ->  centers
--data.centers 3  ->  Classifier: loss='bce': 3 classes take cross_
--data.cluster_std 0  ->  cluster_std
--data.cluster_std .nan  ->  cluster_std
--data.cluster_std wide  ->  cluster_std
--data.n_features 0  ->  n_features
--data.random_state -1  ->  random_state
--data.val_fraction 1  ->  val_fraction
--data.val_fraction 0.001  ->  val_fraction
--data.test_fraction -1  ->  test_fraction
--data.test_fraction 0.99  ->  test_fraction
--data.val_fraction 0.6 --data.test_fraction 0.5  ->  test_fraction
--data.batch_size 81 --data.val_fraction 0.2  ->  batch_size
--data.gate xor  ->  gate
--config configs/blobs3.yaml --model.loss bce  ->  loss
"""

COMMANDS = """
  ->  no command; choose one of fit, validate, test
ft --config configs/xor.yaml  ->  ft: no such command; choose one of fit, valid .. mean fit?
train  ->  train
fit  ->  data, model: must be given, as by perceptrons fit --config configs/xor.yaml
test  ->  data, model: must be given, as by perceptrons test --ckpt_path last
fit --data Gates  ->  model: must be given
fit --data Gates --model Classifier  ->  model: Classifier needs net
fit --model.net MLP  ->  data: must be given
fit --data.gate xor  ->  gate
fit configs/xor.yaml  ->  configs/xor.yaml: no such argument; a file go
--config configs/xor.yaml fit  ->  config
fit --config  ->  config
fit --config=  ->  config
fit --config configs  ->  config
fit --config nosuch.yaml  ->  config
fit --config configs/xr.yaml  ->  config
fit --config=configs/xor  ->  config
fit -c configs/xor.yaml -c nosuch.yaml  ->  no such file
fit --confg configs/xor.yaml  ->  confg .. mean config?
predict --config configs/xor.yaml --data.points [[1]]  ->  points
validate --config configs/and.yaml --data.passes 0  ->  passes
test --config configs/and.yaml --verbose x  ->  verbose
fit --resum last  ->  resum .. mean resume?
"""

RIGHT = """
seed_everything: 1
trainer: {max_epochs: 1, callbacks: [{class_path: Timer, init_args: {interval: epoch}}]}
data: {class_path: Gates, init_args: {gate: xor, passes: 1}}
model:
  net: {class_path: MLP, init_args: {hidden: [2]}}
  loss: bce
  optimizer: {class_path: torch.optim.SGD, init_args: {lr: 1.0}}
best: {monitor: val/loss}
"""


def rows(text: str) -> list[tuple[str, str]]:
    lines = (line.partition("  ->") for line in text.strip().splitlines())
    return [(words, needed.strip()) for words, _, needed in lines]


def check(command: Command, words: str, needed: str) -> None:
    """Run a mistaken command: one line that has what it needs, status 2, no run directory."""
    before = set(Path.cwd().rglob("version_*"))
    finished = command(words)
    assert (finished.status, finished.err.count("\n")) == (2, 1), finished
    assert finished.err.startswith("error: ")
    assert "Traceback" not in finished.err
    for part in needed.split(" .. mean "):
        assert part in finished.err
    assert set(Path.cwd().rglob("version_*")) == before


@pytest.mark.parametrize(("flags", "needed"), rows(WITH_XOR))
def test_a_wrong_flag_is_one_line(command: Command, flags: str, needed: str) -> None:
    check(command, f"{XOR} {flags}", needed)


@pytest.mark.parametrize(("flags", "needed"), rows(WITH_BLOBS))
def test_a_wrong_flag_of_blobs_is_one_line(command: Command, flags: str, needed: str) -> None:
    check(command, f"{BLOBS} {flags}", needed)


@pytest.mark.parametrize(("words", "needed"), rows(COMMANDS))
def test_a_wrong_command_is_one_line(command: Command, words: str, needed: str) -> None:
    check(command, words, needed)


SETTINGS = """
seed_everything|sed_everything  ->  sed_everything
seed_everything: 1|seed_everything: a  ->  seed_everything
seed_everything: 1|seed_everything: -1  ->  seed_everything
seed_everything: 1|seed_everything:  ->  seed_everything
seed_everything: 1|optimzer: 1  ->  optimzer
seed_everything: 1|config: configs/xor.yaml  ->  config
seed_everything: 1|resume: nosuch  ->  resume
seed_everything: 1|name: a/b  ->  name='a/b'
seed_everything: 1|threads: two  ->  threads
seed_everything: 1|threads: 0  ->  threads
seed_everything: 1|modle: {net: {hidden: 2}}  ->  modle
max_epochs|max_epoch  ->  max_epoch
max_epochs: 1|max_epochs: {a: 1}  ->  max_epochs
max_epochs: 1|devices: 0  ->  devices
max_epochs: 1|accelerator: gpuu  ->  accelerator
Timer, init_args: {interval: epoch}|EarlyStopping  ->  monitor
interval:|intervall:  ->  intervall
Gates|Gatez  ->  did you mean Gates?
gate: xor|constant_input: []  ->  data.constant_input=[]: expected true or false
passes: 1|shuffle: x  ->  data.shuffle=x: expected true or false
loss: bce|loss: msee  ->  model.loss=msee: expected one of bce, mse, cross_entropy, or a Module, or null; did you mean mse?
loss: bce|gradients: hand  ->  model.gradients=hand: expected one of autograd, by_hand; did you mean by_hand?
hidden: [2]|hidden: '1_000'  ->  model.net.hidden=1_000: expected a list of whole numbers > 0
seed_everything: 1|seed_evrything: 1  ->  did you mean seed_everything?
gate: xor|gate: xnot  ->  did you mean xnor?
gate: xor|gat: xor  ->  did you mean gate?
gate: xor|gate: 1001  ->  data.gate
gate: xor|gate: null  ->  data.gate
passes: 1|batch_size: 5  ->  batch_size=5
passes: 1|points: [[1]]  ->  points
class_path: MLP|class_path: MPL  ->  model.net: no such class; given 'MPL'; did you mean MLP?
hidden: [2]|hidden: [0]  ->  model.net.hidden
hidden: [2]|a: {b: 1}  ->  a
hidden: [2]|inputs: 3  ->  model.net.inputs=3
loss: bce|los: bce  ->  did you mean loss?
loss: bce|loss: cross_entropy  ->  loss='cross_entropy'
loss: bce|classes: 3  ->  classes
torch.optim.SGD|torch.optim.SDG  ->  model.optimizer
lr: 1.0|lr: fast  ->  model.optimizer.lr
lr: 1.0|lr: 0  ->  lr=0
best: {monitor: val/loss}|best: {monitr: val/loss}  ->  monitr
best: {monitor: val/loss}|best: {mode: up}  ->  mode
best: {monitor: val/loss}|best: 3  ->  best
"""

CONTENTS = {
    b"": "holds no settings",
    b"# a comment": "holds no settings",
    b"some text": "holds no settings",
    b"- a\n- b": "holds no settings",
    b"data: [1, 2\nmodel: }": "is not YAML in line 2, column 6",
    b"\tdata: Gates": "is not YAML in line 1, column 1",
    b"data: 1\n---\ndata: 2": "is not YAML",
    b"a: 1\nb: {c: 1, c: 2}": "c is there twice, again in line 2",
    b"a: &x {b: *x}": "holds itself",
    b"\x89PNG\r\n\x1a\n\x00\xff": "is not text",
}


@pytest.mark.parametrize(("change", "needed"), rows(SETTINGS))
def test_a_wrong_setting_in_a_file_is_one_line(command: Command, change: str, needed: str) -> None:
    old, _, new = change.partition("|")
    assert old in RIGHT
    Path("wrong.yaml").write_text(RIGHT.replace(old, new))
    check(command, "fit --config wrong.yaml", needed)


def test_a_file_of_text_as_a_class_is_one_line_of_it(command: Command) -> None:
    Path("rows.txt").write_text("first line\nsecond line\n- third\n")
    check(command, f"{XOR} --data rows.txt", "data: no such class; given 'first line'")
    assert "second" not in command(f"{XOR} --data rows.txt").err


@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_that_is_no_config_is_one_line(command: Command, content: bytes) -> None:
    Path("wrong.yaml").write_bytes(content)
    check(command, "fit --config wrong.yaml", CONTENTS[content])


def test_without_the_mistake_the_commands_are_right(command: Command) -> None:
    Path("right.yaml").write_text(RIGHT)
    for words in (XOR, BLOBS, "fit --config right.yaml", f"{XOR} --name null"):
        finished = command(words)
        assert (finished.status, finished.err) == (0, "")


def test_the_cause_is_raised_where_it_is_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEBUG, "1")
    with pytest.raises(ValueError, match="xnot"):
        command(f"{XOR} --data.gate xnot")
