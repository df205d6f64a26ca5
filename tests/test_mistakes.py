"""Wrong inputs: each costs one line with what was given, exit status 2, and no run directory."""

import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, Command

from perceptrons.cli import main
from perceptrons.commands import COMMANDS as FURTHER

XOR = "fit --config configs/xor.yaml --data.passes 1 --trainer.max_epochs 1"
BLOBS = "fit --config configs/blobs.yaml --data.passes 1 --trainer.max_epochs 1"
PREDICT = "predict --config configs/xor.yaml"
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

Line = str | re.Pattern[str]

BEST = "best: {monitor: val/loss}"
CALLBACK = "Timer, init_args: {interval: epoch}"
GATE = "init_args: {gate: xor, passes: 1}"

TRUTH = "choose one of and, or, xor, nand, nor, xnor, all, or a truth table such as '0110'"
GATES_ARGUMENTS = "passes, batch_size, shuffle, points, gate, inputs, constant_input"
SHIPPED = "Blobs, BreastCancer, Circles, Gates, Moons, Spiral, Table"
DATA = f"choose one of {SHIPPED}, or another by its full name"
NETS = "choose one of MLP, Perceptron, or another by its full name"
LOSSES = "choose one of bce, mse, cross_entropy, or a class by its full name"
ACTIVATIONS = "choose one of sigmoid, tanh, relu, leaky_relu, identity"
MEASURES = "choose one of train/loss, train/accuracy, val/loss, val/accuracy"
COMMANDS = "choose one of " + ", ".join(["fit", "validate", "test", "predict", *FURTHER])
EXCEPT = (
    "trainer.max_epochs, trainer.max_steps, trainer.max_time, trainer.enable_progress_bar, figures"
)
MISSING = "missing; a config has them, such as --config configs/xor.yaml"
POSITIVE = "must be above 0 and finite"
SEEDS = "must be from 0 to 4294967295"


def listing(start: str, member: str, end: str = "") -> re.Pattern[str]:
    """A line that lists classes, which differ between versions of the libraries, one for sure."""
    listed = r"choose one of (\w+, )*" + member + r"(, \w+)*, or another by its full name"
    return re.compile(re.escape(start) + listed + re.escape(end))


def wrong(*rows: tuple[Any, ...]) -> list[Any]:
    """Rows of a table: what is wrong, and the line."""
    return [pytest.param(*row, id=str(row[-2]) or "nothing") for row in rows]


DATA_FLAGS = wrong(
    ("--data.gate xnot", f"data.gate='xnot': {TRUTH}; did you mean xnor?"),
    ("--data.gate XOR", f"data.gate='XOR': {TRUTH}; did you mean xor?"),
    ("--data.gate 011", "data.gate='011': a truth table of 2 inputs is 4 digits, each 0 or 1"),
    ("--data.gate 0112", "data.gate='0112': a truth table of 2 inputs is 4 digits, each 0 or 1"),
    (
        "--data.gate 0110 --data.inputs 3",
        "data.gate='0110': a truth table of 3 inputs is 8 digits, each 0 or 1",
    ),
    ("--data.gate [1]", "data.gate=[1]: expected text, in a config between quotes"),
    ("--data.gate null", 'data.gate=null: must have a value; left out, it is "xor"'),
    ("--data.gate.x 1", "data.gate.x: no such argument"),
    ("--data.inputs 0", "data.inputs=0: a gate has from 1 to 12"),
    ("--data.inputs 13", "data.inputs=13: a gate has from 1 to 12"),
    ("--data.inputs two", "data.inputs='two': expected int"),
    ("--data.inputs 2.5", "data.inputs=2.5: expected int"),
    ("--data.inputs null", "data.inputs=null: must have a value; left out, it is 2"),
    ("--data.constant_input 3", "data.constant_input=3: expected true or false"),
    ("--data.passes 0", "data.passes=0: must be at least 1"),
    ("--data.passes many", "data.passes='many': expected int"),
    ("--data.passes null", "data.passes=null: must have a value; left out, it is 1"),
    ("--data.batch_size 0", "data.batch_size=0: must be at least 1"),
    ("--data.batch_size 5", "data.batch_size=5: there are 4 rows to train on"),
    ("--data.batch_size all", "data.batch_size='all': expected int"),
    ("--data.shuffle maybe", "data.shuffle='maybe': expected true or false"),
    ("--data.points [[1]]", "data.points=[1.0]: has 1 inputs, the data has 2"),
    ("--data.points [[1,2],[1,2,3]]", "data.points=[1.0, 2.0, 3.0]: has 3 inputs, the data has 2"),
    ("--data.points [1,2]", "data.points=1: expected list"),
    ("--data.points [[a,b]]", "data.points='a': expected float"),
    ("--data.points []", "data.points=[]: there must be at least 1, or null for the table's"),
    ("--data.points [[.nan,1]]", "data.points=[nan, 1.0]: must be finite"),
    (
        "--data.gat xor",
        f"data.gat: no such argument; choose one of {GATES_ARGUMENTS}; did you mean data.gate?",
    ),
    ("--data.a.b 1", f"data.a.b: no such argument; choose one of {GATES_ARGUMENTS}"),
    ("--data Gate", f"data='Gate': no such class; {DATA}; did you mean Gates?"),
    ("--data nosuch.Gates", f"data='nosuch.Gates': no such class; {DATA}; did you mean Gates?"),
    ("--data TableData", f"data='TableData': is abstract; {DATA}; did you mean Table?"),
    ("--data torch.nn.Linear", f"data='torch.nn.Linear': no such class; {DATA}"),
    ("--data null", f"data: {MISSING}"),
    ("--data.help Gatez", f"data.help='Gatez': no such class; {DATA}; did you mean Gates?"),
    ("--data LightningDataModule", f"data='LightningDataModule': is abstract; {DATA}"),
    ("--data.points", "data.points: a value is missing"),
)

BLOBS_FLAGS = wrong(
    ("--data.n_samples 1", "data.n_samples=1: fewer points than the 2 centres"),
    ("--data.n_samples many", "data.n_samples='many': expected int"),
    ("--data.centers 1", "data.centers=1: there must be at least 2"),
    (
        "--data.centers [[1,2],[1]]",
        "data.centers=[[1.0, 2.0], [1.0]]: all must have the same number of coordinates",
    ),
    ("--data.centers [[],[]]", "data.centers=[[], []]: must have coordinates, which are finite"),
    (
        "--data.centers [[.inf],[1]]",
        "data.centers=[[inf], [1.0]]: must have coordinates, which are finite",
    ),
    ("--data.centers here", "data.centers='here': expected int or list"),
    (
        "--data.centers 3",
        "model.loss='bce': 3 classes take cross_entropy (in configs/blobs.yaml)",
    ),
    ("--data.cluster_std 0", f"data.cluster_std=0.0: {POSITIVE}"),
    ("--data.cluster_std .nan", f"data.cluster_std=nan: {POSITIVE}"),
    ("--data.cluster_std wide", "data.cluster_std='wide': expected float"),
    ("--data.n_features 0", "data.n_features=0: must be at least 1"),
    ("--data.random_state -1", f"data.random_state=-1: {SEEDS}"),
    ("--data.val_fraction 1", "data.val_fraction=1.0: must be at least 0 and below 1"),
    ("--data.val_fraction 0.001", "data.val_fraction=0.001: 0 of 100 rows for val, with 2 classes"),
    ("--data.test_fraction -1", "data.test_fraction=-1.0: must be at least 0 and below 1"),
    (
        "--data.test_fraction 0.99",
        "data.test_fraction=0.99: 1 of 100 rows for train, with 2 classes",
    ),
    (
        "--data.val_fraction 0.6 --data.test_fraction 0.5",
        "data.val_fraction=0.6: with test_fraction=0.5 no rows are left to train on",
    ),
    (
        "--data.batch_size 81 --data.val_fraction 0.2",
        "data.batch_size=81: there are 80 rows to train on",
    ),
    (
        "--data.gate xor",
        "data.gate: no such argument; choose one of passes, batch_size, shuffle, points, n_samples,"
        " centers, cluster_std, n_features, random_state, val_fraction, test_fraction",
    ),
    (
        "--config configs/blobs3.yaml --model.loss bce",
        "model.loss='bce': 3 classes take cross_entropy",
    ),
)

NET_FLAGS = wrong(
    ("--model.net MPL", f"model.net='MPL': no such class; {NETS}; did you mean MLP?"),
    ("--model.net mlp", f"model.net='mlp': no such class; {NETS}; did you mean MLP?"),
    ("--model.net nosuch.Net", f"model.net='nosuch.Net': no such class; {NETS}"),
    ("--model.net null", f"model.net=null: no such class; {NETS}"),
    (
        "--model.net Linear",
        re.compile(r"model.net='Linear': several classes .* choose one of torch.nn.Linear, .*"),
    ),
    ("--model.net.hidden [0]", "model.net.hidden=[0]: every layer must have at least 1 neuron"),
    (
        "--model.net.hidden [2,-1]",
        "model.net.hidden=[2, -1]: every layer must have at least 1 neuron",
    ),
    ("--model.net.hidden 2", "model.net.hidden=2: expected list"),
    ("--model.net.hidden [two]", "model.net.hidden='two': expected int"),
    ("--model.net.hidden null", "model.net.hidden=null: must have a value; left out, it is []"),
    ("--model.net.init_args.hidden two", "model.net.hidden='two': expected list"),
    (
        "--model.net.hiden [2]",
        "model.net.hiden: no such argument; choose one of hidden, activation, bias, init,"
        " init_scale, replicas, init_scale_grid; did you mean model.net.hidden?",
    ),
    (
        "--model.net Perceptron --model.net.hidden [2]",
        "model.net.hidden: no such argument; choose one of bias, init, init_scale,"
        " replicas, init_scale_grid",
    ),
    ("--model.net.inputs 3", "model.net.inputs: comes from the data; leave it out"),
    ("--model.classes 3", "model.classes: comes from the data; leave it out"),
    (
        "--model.net.activation sigmoit",
        f"model.net.activation='sigmoit': {ACTIVATIONS}; did you mean sigmoid?",
    ),
    ("--model.net.activation 3", f"model.net.activation=3: {ACTIVATIONS}"),
    ("--model.net.bias maybe", "model.net.bias='maybe': expected true or false"),
    ("--model.net.bias null", "model.net.bias=null: must have a value; left out, it is true"),
    (
        "--model.net.init norml",
        "model.net.init='norml': choose one of torch, normal, uniform; did you mean normal?",
    ),
    ("--model.net.init_scale 0", f"model.net.init_scale=0.0: {POSITIVE}"),
    ("--model.net.init_scale .nan", f"model.net.init_scale=nan: {POSITIVE}"),
    ("--model.net.init_scale big", "model.net.init_scale='big': expected float"),
    ("--model.net torch.nn.ReLU", "model.net='torch.nn.ReLU': has no weights to train"),
    ("--model.net Identity", "model.net='Identity': has no weights to train"),
    ("--model.net Sequential", "model.net='Sequential': has no weights to train"),
    ("--model.net Module", f"model.net='Module': is abstract; {NETS}"),
    (
        "--model.net torch.nn.Linear --model.net.in_features 3 --model.net.out_features 1",
        re.compile("model.net='torch.nn.Linear': mat1 and mat2 shapes cannot be multiplied .*"),
    ),
    (
        "--model.net torch.nn.Linear --model.net.in_features 2 --model.net.out_features 3",
        "model.net='torch.nn.Linear': gives (2, 3) for 2 rows, not (2, 1)",
    ),
    (
        "--model.net torch.nn.LSTM --model.net.input_size 2 --model.net.hidden_size 1",
        "model.net='torch.nn.LSTM': gives tuple for 2 rows, not (2, 1)",
    ),
)

MODEL_FLAGS = wrong(
    ("--model.loss bec", f"model.loss='bec': {LOSSES}; did you mean bce?"),
    ("--model.loss 3", f"model.loss=3: {LOSSES}"),
    ("--model.loss cross_entropy", "model.loss='cross_entropy': 2 classes take bce or mse"),
    (
        "--model.loss torch.nn.Linear",
        "model.loss.in_features, model.loss.out_features: missing",
    ),
    (
        "--model.gradients by_hnd",
        "model.gradients='by_hnd': choose one of autograd, by_hand; did you mean by_hand?",
    ),
    ("--model.bias_lr_factor half", "model.bias_lr_factor='half': expected float"),
    ("--model.bias_lr_factor null", "model.bias_lr_factor=null: expected float"),
    (
        "--model.gradients by_hand --model.loss MSELoss",
        "model.gradients='by_hand': not written out for MLP with MSELoss, only for Perceptron"
        " and MLP with bce, cross_entropy, mse",
    ),
    ("--model.clases 3", "--model.clases: no such argument; did you mean --model.classes?"),
    ("--modle.loss mse", "--modle.loss: no such argument; did you mean --model.loss?"),
    ("--model foo", "model='foo': no such config file"),
    ("--model.loss.margin 3", "model.loss.margin: no such argument"),
    (
        "--model.loss CrossEntropyLoss",
        "model.loss='CrossEntropyLoss': has no slope with 1 outputs; nothing would be learned",
    ),
    ("--model.loss NLLLoss", re.compile("model.loss='NLLLoss': .*target.*")),
    ("--model.loss BCELoss", re.compile("model.loss='BCELoss': .*between 0 and 1")),
    ("--model.loss torch.nn.ReLU", re.compile("model.loss='torch.nn.ReLU': .*argument.*")),
    ("--model.loss Module", re.compile("model.loss='Module': .*missing.*forward.*")),
    (
        "--model.loss MSELoss --model.loss.reduction none",
        "model.loss='MSELoss': must give one number",
    ),
    ("--model.bias_lr_factor 0", f"model.bias_lr_factor=0.0: {POSITIVE}"),
    ("--model.bias_lr_factor .nan", f"model.bias_lr_factor=nan: {POSITIVE}"),
)


UPDATE_FLAGS = wrong(
    (
        "--model.optimizer SDG",
        listing("model.optimizer='SDG': no such class; ", "SGD", "; did you mean SGD?"),
    ),
    (
        "--model.optimizer torch.optim.SDG",
        listing("model.optimizer='torch.optim.SDG': no such class; ", "SGD", "; did you mean SGD?"),
    ),
    (
        "--model.optimizer.rl 0.1",
        re.compile(r"model.optimizer.rl: no such argument; choose one of lr, momentum, [\w, ]+"),
    ),
    (
        "--model.optimizer Adam --model.optimizer.momentum 0.9",
        re.compile(r"model.optimizer.momentum: no such argument; choose one of lr, betas, [\w, ]+"),
    ),
    ("--model.optimizer.lr 0", "model.optimizer.lr=0.0: a learning rate is above 0 and finite"),
    ("--model.optimizer.lr .nan", "model.optimizer.lr=nan: a learning rate is above 0 and finite"),
    ("--model.optimizer.lr .inf", "model.optimizer.lr=inf: a learning rate is above 0 and finite"),
    ("--model.optimizer.lr fast", "model.optimizer.lr='fast': expected float"),
    (
        "--model.optimizer.lr null",
        "model.optimizer.lr=null: must have a value; left out, it is 0.001",
    ),
    (
        "--model.optimizer.lr -1",
        re.compile(r"model.optimizer.lr=-1(\.0)?: (Invalid|a) learning rate.*"),
    ),
    (
        "--model.optimizer.momentum -1",
        re.compile("model.optimizer.momentum=-1: Invalid momentum.*"),
    ),
    (
        "--model.optimizer Adam --model.optimizer.betas [2,0.9]",
        re.compile(r"model.optimizer.betas=\[2, 0.9\]: Invalid beta parameter.*"),
    ),
    (
        "--model.scheduler ExponentalLR",
        listing(
            "model.scheduler='ExponentalLR': no such class; ",
            "ExponentialLR",
            "; did you mean ExponentialLR?",
        ),
    ),
    ("--model.scheduler ExponentialLR", "model.scheduler.gamma: missing"),
    ("--model.scheduler.gamma 0.9", listing("model.scheduler: no class is given; ", "StepLR")),
    (
        "--model.scheduler ExponentialLR --model.scheduler.gama 0.9",
        re.compile(
            r"model.scheduler.gama: no such argument; .*; did you mean model.scheduler.gamma\?"
        ),
    ),
    (
        "--model.scheduler StepLR --model.scheduler.step_size x",
        "model.scheduler.step_size='x': expected int",
    ),
    (
        "--model.scheduler ReduceLROnPlateau",
        "model.scheduler='ReduceLROnPlateau': several classes have this name; choose one of"
        " torch.optim.lr_scheduler.ReduceLROnPlateau, lightning.pytorch.cli.ReduceLROnPlateau",
    ),
    (
        "--model.scheduler lightning.pytorch.cli.ReduceLROnPlateau"
        " --model.scheduler.monitor val/los",
        f"model.scheduler.monitor='val/los': {MEASURES}; did you mean val/loss?",
    ),
    (
        "--model.scheduler torch.optim.lr_scheduler.ReduceLROnPlateau",
        "model.scheduler='torch.optim.lr_scheduler.ReduceLROnPlateau': has nothing to monitor; use"
        " lightning.pytorch.cli's",
    ),
    (
        "--model.scheduler StepLR --model.scheduler.step_size 0",
        "model.scheduler.step_size=0: ZeroDivisionError: integer modulo by zero",
    ),
    (
        "--model.scheduler OneCycleLR --model.scheduler.max_lr 1",
        re.compile("model.scheduler='OneCycleLR': You must define either total_steps.*"),
    ),
    (
        "--model.scheduler ExponentialLR --model.scheduler.gamma -1",
        "model.scheduler='ExponentialLR': makes the learning rate -1",
    ),
    (
        "--model.scheduler LRScheduler",
        listing("model.scheduler='LRScheduler': is abstract; ", "StepLR"),
    ),
    ("--model.optimizer Optimizer", listing("model.optimizer='Optimizer': is abstract; ", "SGD")),
    ("--model.optimizer SparseAdam", re.compile("model.optimizer='SparseAdam': .*dense.*")),
    (
        "--model.optimizer Adam --model.optimizer.fused true --model.optimizer.foreach true",
        re.compile("model.optimizer.fused=true: .*cannot be `True` together.*"),
    ),
)

TRAINER_FLAGS = wrong(
    (
        "--trainer.accelerator gpuu",
        re.compile("trainer.accelerator='gpuu': .*auto.*cpu.*"),
    ),
    ("--trainer.max_epochs ten", "trainer.max_epochs='ten': expected int"),
    (
        "--trainer.max_epochs -2",
        re.compile("trainer.max_epochs=-2: .*must be a non-negative integer or -1.*"),
    ),
    (
        "--trainer.max_epoch 3",
        "--trainer.max_epoch: no such argument; did you mean --trainer.max_epochs?",
    ),
    ("--trainer.max_time x", re.compile("trainer.max_time='x': .*DD:HH:MM:SS.*")),
    ("--trainer.foo 3", "--trainer.foo: no such argument"),
    ("--trainer 3", "trainer='3': no such config file"),
    (
        "--trainer.precision 16-mixd",
        re.compile(r"trainer.precision='16-mixd': choose one of .*, 64, 32, .*mean 16-mixed\?"),
    ),
    ("--trainer.deterministic x", "trainer.deterministic='x': choose one of warn, true, false"),
    ("--trainer.barebones x", "trainer.barebones='x': expected true or false"),
    (
        "--trainer.limit_train_batches 1.5",
        re.compile(r"trainer.limit_train_batches=1.5: .*in \[0.0, 1.0\] or an int.*"),
    ),
    (
        "--trainer.val_check_interval 500",
        re.compile("trainer.val_check_interval=500: .*must be less than or equal to.*"),
    ),
    (
        "--trainer.callbacks EarlyStoping",
        listing(
            "trainer.callbacks='EarlyStoping': no such class; ",
            "EarlyStopping",
            "; did you mean EarlyStopping?",
        ),
    ),
    ("--trainer.callbacks EarlyStopping", "trainer.callbacks.monitor: missing"),
    (
        "--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/los",
        f"trainer.callbacks.monitor='val/los': {MEASURES}; did you mean val/loss?",
    ),
    (
        "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor val/los",
        f"trainer.callbacks.monitor='val/los': {MEASURES}; did you mean val/loss?",
    ),
    (
        "--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/loss"
        " --trainer.callbacks.mode up",
        re.compile("trainer.callbacks.mode='up': .*can be min, max.*"),
    ),
    (
        "--trainer.logger Tensorboard",
        listing(
            "trainer.logger='Tensorboard': no such class; ",
            "TensorBoardLogger",
            "; did you mean TensorBoardLogger?",
        ),
    ),
    ("--best.monitor val/los", f"best.monitor='val/los': {MEASURES}; did you mean val/loss?"),
    ("--last.monitor val/los", f"last.monitor='val/los': {MEASURES}; did you mean val/loss?"),
    ("--best.monitr val/loss", "--best.monitr: no such argument; did you mean --best.monitor?"),
    ("--best.mode up", re.compile("best.mode='up': .*can be min, max.*")),
    ("--best.save_top_k -2", re.compile("best.save_top_k=-2: .*Must be >= -1")),
    ("--best.save_top_k x", "best.save_top_k='x': expected int"),
    ("--best.save_last maybe", "best.save_last='maybe': choose one of link, true, false"),
    ("--last.save_top_k 3", re.compile("last.save_top_k=3: .*No quantity for top_k to track.*")),
    ("--last.every_n_epochs x", "last.every_n_epochs='x': expected int"),
    ("--last.train_time_interval x", re.compile("last.train_time_interval='x': .*h:m:s.*")),
    ("--best 3", "best='3': no such config file"),
    (
        "--trainer.check_val_every_n_epoch 0",
        "trainer.check_val_every_n_epoch=0: must be at least 1",
    ),
    (
        "--trainer.accumulate_grad_batches 0",
        "trainer.accumulate_grad_batches=0: must be at least 1",
    ),
    ("--trainer.gradient_clip_val -1", "trainer.gradient_clip_val=-1.0: must be at least 0"),
    ("--trainer.gradient_clip_val .nan", "trainer.gradient_clip_val=nan: must be at least 0"),
    ("--trainer.log_every_n_steps -1", "trainer.log_every_n_steps=-1: must be at least 0"),
    ("--trainer.num_sanity_val_steps -2", "trainer.num_sanity_val_steps=-2: must be at least -1"),
    ("--trainer.min_epochs -1", "trainer.min_epochs=-1: must be at least 0"),
    ("--trainer.min_steps -1", "trainer.min_steps=-1: must be at least 0"),
    (
        "--trainer.accelerator tpu",
        "trainer.accelerator='tpu': there is no tpu here; choose cpu or auto",
    ),
    ("--trainer.barebones true", re.compile("trainer.barebones=true: .*")),
    (
        "--trainer.callbacks ModelCheckpoint --trainer.callbacks.monitor val/loss",
        "trainer.callbacks='ModelCheckpoint': is there twice, with these settings",
    ),
    ("--trainer.callbacks.monitor", "trainer.callbacks.monitor: a value is missing"),
    (
        "--trainer.callbacks LearningRateMonitor --trainer.logger false",
        re.compile("trainer.callbacks='LearningRateMonitor': .*no logger."),
    ),
    ("--trainer.callbacks LearningRateFinder", re.compile("trainer.callbacks='Learn.*Finder': .*")),
    (
        "--trainer.callbacks Timer --trainer.callbacks.duration x",
        re.compile("trainer.callbacks.duration='x': .*DD:HH:MM:SS."),
    ),
    (
        "--trainer.default_root_dir configs/xor.yaml",
        "trainer.default_root_dir='configs/xor.yaml': must be a directory, and configs/xor.yaml is"
        " a file",
    ),
    (
        "--best.dirpath configs/xor.yaml/best",
        "best.dirpath='configs/xor.yaml/best': must be a directory, and configs/xor.yaml is a file",
    ),
    ("--last.monitor val/loss", "last.monitor='val/loss': must differ from best.monitor"),
    ("--best.monitor null", "best.monitor=null: must differ from last.monitor"),
)

OTHER_FLAGS = wrong(
    ("--seed_everything -1", f"seed_everything=-1: {SEEDS}, or true"),
    ("--seed_everything 4294967296", f"seed_everything=4294967296: {SEEDS}, or true"),
    ("--seed_everything false", f"seed_everything=false: {SEEDS}, or true"),
    ("--seed_everything 1.5", "seed_everything=1.5: expected int or true or false"),
    ("--seed_evrything 3", "--seed_evrything: no such argument; did you mean --seed_everything?"),
    ("--name a/b", "name='a/b': must be the name of a directory, without slashes"),
    ("--name ..", "name='..': must be the name of a directory, without slashes"),
    ("--name", "name: a value is missing"),
    ("--threads 0", "threads=0: must be from 1 to 1024"),
    ("--threads 100000", "threads=100000: must be from 1 to 1024"),
    ("--threads two", "threads='two': expected int"),
    ("--threads", "threads: a value is missing"),
    ("--thread 2", "--thread: no such argument; did you mean --threads?"),
    ("--verbos true", "--verbos: no such argument; did you mean --last.verbose?"),
    ("--foo 3", "--foo: no such argument"),
    ("extra", "extra: no such argument; a file goes after --config"),
    ("--print_confg", "--print_confg: no such argument; did you mean --print_config?"),
    ("--name=", "name='': must be the name of a directory, without slashes"),
)

LINES = wrong(
    ("", "no command; " + COMMANDS),
    ("ft --config configs/xor.yaml", f"ft: no such command; {COMMANDS}; did you mean fit?"),
    ("train", f"train: no such command; {COMMANDS}"),
    ("runss", f"runss: no such command; {COMMANDS}; did you mean runs?"),
    ("fit", f"model.net, data: {MISSING}"),
    ("test", f"model.net, data: {MISSING}"),
    ("fit --data Gates", f"model.net: {MISSING}"),
    ("fit --model.net MLP", f"data: {MISSING}"),
    ("fit --data.gate xor", f"data: no class is given; {DATA}"),
    ("fit configs/xor.yaml", "configs/xor.yaml: no such argument; a file goes after --config"),
    (
        "--config configs/xor.yaml fit",
        "config: goes after the command, as in fit --config",
    ),
    ("fit --config", "config: a value is missing"),
    ("fit --config=", "config='': no such file"),
    ("fit --config configs", "config='configs': is a directory"),
    ("fit --config nosuch.yaml", "config='nosuch.yaml': no such file"),
    (
        "fit --config configs/xr.yaml",
        "config='configs/xr.yaml': no such file; did you mean configs/xor.yaml?",
    ),
    (
        "fit --config=configs/xor",
        "config='configs/xor': no such file; did you mean configs/xor.yaml?",
    ),
    ("fit -c configs/xor.yaml -c nosuch.yaml", "config='nosuch.yaml': no such file"),
    ("fit --confg configs/xor.yaml", "--confg: no such argument; did you mean --config?"),
    (f"{PREDICT} --data.points [[1]]", "data.points=[1.0]: has 1 inputs, the data has 2"),
    ("validate --config configs/and.yaml --data.passes 0", "data.passes=0: must be at least 1"),
    ("test --config configs/and.yaml --verbose x", "verbose='x': expected true or false"),
    ("fit --resume", "resume: a value is missing"),
    (
        "fit --resume nosuch",
        "resume='nosuch': there is no run, such as lightning_logs/xor/version_0",
    ),
    (
        "fit --resume configs",
        "resume='configs': there is no run, such as lightning_logs/xor/version_0",
    ),
    ("fit --resume last", "resume='last': there is no run, such as lightning_logs/xor/version_0"),
    (
        "fit --resume last --data.passes 3",
        f"data.passes: a run goes on with its own settings, except {EXCEPT}",
    ),
    ("fit --resum last", "--resum: no such argument; did you mean --resume?"),
    ("predict --ckpt_path", "ckpt_path: a value is missing"),
    ("predict --ckpt_path last", "ckpt_path='last': there is no checkpoint in lightning_logs/*"),
    (
        "test --config configs/and.yaml --ckpt_path best",
        "ckpt_path='best': there is no checkpoint in lightning_logs/and",
    ),
    ("test --ckpt_path nosuch.ckpt", "ckpt_path='nosuch.ckpt': no such checkpoint"),
    ("test --ckpt_path configs", "ckpt_path='configs': there is no checkpoint in configs"),
    ("runs --diff a b", "--diff='a': no such run; there is none in lightning_logs"),
    ("runs --diff a", "--diff: expected 2 arguments"),
    ("runs --jsn", "--jsn: no such argument; did you mean --json?"),
    ("runs extra", "extra: no such argument"),
    ("runs --csv --json", "--json: not allowed with argument --csv"),
    ("runs --root nosuch", "--root='nosuch': no such directory"),
    ("runs --sort loss --diff a b", "--sort='loss': not with --diff, whose rows are settings"),
)

# what is changed in the config RIGHT, to what
SETTINGS = wrong(
    (
        "seed_everything",
        "sed_everything",
        "sed_everything: no such key; did you mean seed_everything?",
    ),
    (
        "seed_everything: 1",
        "seed_everything: a",
        "seed_everything='a': expected int or true or false",
    ),
    ("seed_everything: 1", "optimzer: 1", "optimzer: no such key; did you mean model.optimizer?"),
    ("seed_everything: 1", "1: 1", "1: no such key; keys are text"),
    (
        "seed_everything: 1",
        "config: configs/xor.yaml",
        "config: no such key; a config is complete on its own",
    ),
    (
        "seed_everything: 1",
        "fit: {seed_everything: 1}",
        "fit.seed_everything: no such key; did you mean seed_everything?",
    ),
    (
        "seed_everything: 1",
        "name: a/b",
        "name='a/b': must be the name of a directory, without slashes",
    ),
    ("seed_everything: 1", "threads: two", "threads='two': expected int"),
    (
        "max_epochs",
        "max_epoch",
        "trainer.max_epoch: no such key; did you mean trainer.max_epochs?",
    ),
    ("max_epochs: 1", "max_epochs: {a: 1}", "trainer.max_epochs={'a': 1}: expected int"),
    ("max_epochs: 1", "devices: 0", re.compile("trainer.devices=0: .*")),
    (
        CALLBACK,
        "EarlyStopping, init_args: {monitor: val/los}",
        f"trainer.callbacks.monitor='val/los': {MEASURES}; did you mean val/loss?",
    ),
    (CALLBACK, "EarlyStopping", "trainer.callbacks.monitor: missing"),
    (
        "interval:",
        "intervall:",
        "trainer.callbacks.intervall: no such argument; choose one of duration, interval, verbose;"
        " did you mean trainer.callbacks.interval?",
    ),
    ("Gates", "Gatez", f"data='Gatez': no such class; {DATA}; did you mean Gates?"),
    ("gate: xor", "gate: xnot", f"data.gate='xnot': {TRUTH}; did you mean xnor?"),
    (
        "gate: xor",
        "gat: xor",
        f"data.gat: no such argument; choose one of {GATES_ARGUMENTS}; did you mean data.gate?",
    ),
    ("gate: xor", "gate: 1001", "data.gate=1001: expected text, in a config between quotes"),
    ("gate: xor", "gate: ", 'data.gate=null: must have a value; left out, it is "xor"'),
    ("passes: 1", "batch_size: 5", "data.batch_size=5: there are 4 rows to train on"),
    ("passes: 1", "points: [[1]]", "data.points=[1.0]: has 1 inputs, the data has 2"),
    (GATE, "gate: xor", "data.gate: no such key; a class has class_path and init_args"),
    (GATE, "init_args: ", "data.init_args=null: expected settings, a line for each"),
    ("class_path: Gates, ", "", f"data: no class is given; {DATA}"),
    ("MLP", "MPL", f"model.net='MPL': no such class; {NETS}; did you mean MLP?"),
    (
        "hidden: [2]",
        "a: {b: 1}",
        "model.net.a.b: no such argument; choose one of hidden, activation, bias, init,"
        " init_scale, replicas, init_scale_grid",
    ),
    (
        "hidden: [2]",
        "hidden: [0]",
        "model.net.hidden=[0]: every layer must have at least 1 neuron",
    ),
    ("loss: bce", "los: bce", "model.los: no such key; did you mean model.loss?"),
    (
        "loss: bce",
        "loss: cross_entropy",
        "model.loss='cross_entropy': 2 classes take bce or mse",
    ),
    (
        "torch.optim.SGD",
        "torch.optim.SDG",
        listing("model.optimizer='torch.optim.SDG': no such class; ", "SGD", "; did you mean SGD?"),
    ),
    ("lr: 1.0", "lr: fast", "model.optimizer.lr='fast': expected float"),
    ("lr: 1.0", "lr: 0", "model.optimizer.lr=0.0: a learning rate is above 0 and finite"),
    (BEST, "best: {monitr: val/loss}", "best.monitr: no such key; did you mean best.monitor?"),
    (BEST, "best: {mode: up}", re.compile("best.mode='up': .*can be min, max.*")),
    (BEST, "best: 3", "best=3: expected settings, a line for each"),
    (BEST, "last: ", "last=null: expected settings, a line for each"),
    ("seed_everything: 1", "seed_everything: -1", f"seed_everything=-1: {SEEDS}, or true"),
    ("seed_everything: 1", "threads: 0", "threads=0: must be from 1 to 1024"),
    (
        "seed_everything: 1",
        "ckpt_path: nosuch.ckpt",
        "ckpt_path='nosuch.ckpt': no such checkpoint",
    ),
    (
        "seed_everything: 1",
        "resume: nosuch",
        "resume: no such key; a run is gone on with by the flag, fit --resume",
    ),
    ("hidden: [2]", "inputs: 2", "model.net.inputs: comes from the data; leave it out"),
    ("loss: bce", "classes: 2", "model.classes: comes from the data; leave it out"),
    ("loss: bce", "loss: ", 'model.loss=null: must have a value; left out, it is "bce"'),
    ("lr: 1.0", "lr: 1.0, momentum: .nan", "model.optimizer.momentum=nan: must be a number"),
    ("seed_everything: 1", "seed_everything: ", f"seed_everything=null: {SEEDS}, or true"),
    ("seed_everything: 1", 'name: "a\\nb"', re.compile("name='a\\\\nb': must be the name of .*")),
    (
        "seed_everything: 1",
        f"name: {'a' * 300}",
        "name='aaaaaaaaaaaaaaaaaaaa...': must have at most 255 letters",
    ),
    (
        "seed_everything: 1",
        "modle: {net: {hidden: 2}}",
        "modle.net.hidden: no such key; did you mean model.net.hidden?",
    ),
    (
        "max_epochs: 1",
        "accelerator: gpuu",
        re.compile(r"trainer.accelerator='gpuu': choose one of auto, gpu, .*mean gpu\?.*"),
    ),
)

NO_SETTINGS = "holds no settings, such as 'seed_everything: 777'"
# what is in the config file instead
CONTENTS = wrong(
    (b"", NO_SETTINGS),
    (b"# a comment", NO_SETTINGS),
    (b"some text", NO_SETTINGS),
    (b"- a\n- b", NO_SETTINGS),
    (b"data: [1, 2\nmodel: }", "is not YAML in line 2, column 6: expected ',' or ']', but got ':'"),
    (
        b"data: [1,",
        "is not YAML in line 1, column 10: expected the node content, but found '<stream end>'",
    ),
    (
        b"\tdata: Gates",
        "is not YAML in line 1, column 1: found character '\\t' that cannot start any token",
    ),
    (b"data: 1\n---\ndata: 2", "is not YAML in line 2, column 1: found another document"),
    (b"a: 1\nb: {c: 1, c: 2}", "is not clear: c is there twice, again in line 2"),
    (b"a: &x {b: *x}", "refers to itself"),
    (b"\x89PNG\r\n\x1a\n\x00\xff", "is not text"),
)

SHORT = "is cut short, or no checkpoint, or would run code"
OTHER = "net.layers.0.weight is (3, 2) there and (2, 2) here"
# in a directory with runs and checkpoints
RUN_LINES = wrong(
    ("test --ckpt_path empty.ckpt", re.compile("ckpt_path='empty.ckpt': is empty.*")),
    ("test --ckpt_path cut.ckpt", f"ckpt_path='cut.ckpt': {SHORT}"),
    ("test --ckpt_path text.ckpt", f"ckpt_path='text.ckpt': {SHORT}"),
    ("test --ckpt_path pickle.ckpt", f"ckpt_path='pickle.ckpt': {SHORT}"),
    ("predict --ckpt_path code.ckpt", f"ckpt_path='code.ckpt': {SHORT}"),
    (f"{XOR} --ckpt_path code.ckpt", f"ckpt_path='code.ckpt': {SHORT}"),
    ("test --ckpt_path other.ckpt", "ckpt_path='other.ckpt': is a checkpoint of another program"),
    ("test --ckpt_path list.ckpt", "ckpt_path='list.ckpt': is a checkpoint of another program"),
    (
        f"{XOR} --ckpt_path lightning_logs/three/version_0",
        "ckpt_path='lightning_logs/three/version_0/checkpoints/last.ckpt': is of another network: "
        + OTHER,
    ),
    (
        "test --config configs/xor.yaml --ckpt_path last --name three",
        "ckpt_path='lightning_logs/three/version_0/checkpoints/last.ckpt': is of another network: "
        + OTHER,
    ),
    (
        "test --ckpt_path lightning_logs/xor/version_0 --data.inputs 3",
        "ckpt_path='lightning_logs/xor/version_0/checkpoints/last.ckpt': is of another network:"
        " net.layers.0.weight is (2, 2) there and (2, 3) here",
    ),
    (
        "test --ckpt_path lightning_logs/xor/version_0 --data.gate xnot",
        f"data.gate='xnot': {TRUTH}; did you mean xnor?",
    ),
    (
        "predict --ckpt_path last --data.points [[1]]",
        "data.points=[1.0]: has 1 inputs, the data has 2",
    ),
    ("test --ckpt_path lightning_logs", re.compile("ckpt_path='lightning_logs': there is no .*")),
    (
        "test --ckpt_path last --name nosuch",
        "ckpt_path='last': there is no checkpoint in lightning_logs/nosuch",
    ),
    (
        "fit --resume lightning_logs/xor",
        "resume='lightning_logs/xor': there is no run, such as lightning_logs/xor/version_0",
    ),
    (
        "fit --resume lightning_logs/xor/version_0 --trainer.max_epochs ten",
        "trainer.max_epochs='ten': expected int",
    ),
    (
        "fit --resume lightning_logs/xor/version_0 --trainer.max_epoch 3",
        f"trainer.max_epoch: a run goes on with its own settings, except {EXCEPT}",
    ),
    (
        "fit --resume last --ckpt_path best",
        f"ckpt_path: a run goes on with its own settings, except {EXCEPT}",
    ),
    (
        "fit --resume last --config configs/xor.yaml",
        f"config: a run goes on with its own settings, except {EXCEPT}",
    ),
    (
        "fit --resume lightning_logs/broken/version_0",
        re.compile(f"resume='.*/broken/.*/last.ckpt': {SHORT}; '.*/best.ckpt': {SHORT}"),
    ),
    (
        "runs --sort los",
        re.compile(r"--sort='los': choose one of name, .*, loss, .*; did you mean loss\?"),
    ),
    (
        "runs --sort -los",
        re.compile(r"--sort='-los': choose one of name, .*, loss, .*; did you mean loss\?"),
    ),
    (
        "runs --diff xor/version_0 three/version_1",
        re.compile(
            "--diff='three/version_1': no such run; choose one of .*three/version_0.*;"
            r" did you mean three/version_0\?"
        ),
    ),
    ("test --ckpt_path number.ckpt", re.compile("ckpt_path='number.ckpt': .*")),
    (f"{XOR} --ckpt_path bare.ckpt", re.compile("ckpt_path='bare.ckpt': .*")),
    (
        "test --resume last",
        "resume: only fit goes on with a run; what it has learned so far: --ckpt_path",
    ),
)


class Code:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with three runs, one of them broken, and wrong checkpoints of every kind."""
    directory = tmp_path_factory.mktemp("made")
    (directory / "configs").symlink_to(ROOT / "configs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr("sys.argv", ["perceptrons"])
        main(XOR.split())
        main(f"{XOR} --model.net.hidden [3] --name three".split())
    (directory / "configs").unlink()
    shutil.copytree(directory / "lightning_logs/xor", directory / "lightning_logs/broken")
    last = directory / "lightning_logs/xor/version_0/checkpoints/last.ckpt"
    state = torch.load(last, weights_only=True)["state_dict"]
    cut = last.read_bytes()[: last.stat().st_size // 2]
    for path in directory.glob("lightning_logs/broken/version_0/checkpoints/*.ckpt"):
        path.write_bytes(cut)
    written = {"empty": b"", "cut": cut, "text": b"weights\n", "pickle": pickle.dumps(Code())}
    for name, content in written.items():
        (directory / f"{name}.ckpt").write_bytes(content)
    torch.save({"state_dict": state, "settings": Code()}, directory / "code.ckpt")
    torch.save({"a": 1}, directory / "other.ckpt")
    torch.save([1, 2], directory / "list.ckpt")
    torch.save({"state_dict": 5}, directory / "number.ckpt")
    torch.save({"state_dict": state}, directory / "bare.ckpt")
    return directory


def runs_in(directory: Path) -> set[Path]:
    return set(directory.rglob("version_*"))


def check(command: Command, words: str, line: Line, end: str = "") -> None:
    """Run a mistaken command: it costs one line, which is as expected, and nothing else."""
    before = runs_in(Path.cwd())
    finished = command(words)
    pattern = line.pattern if isinstance(line, re.Pattern) else re.escape(line)
    assert re.fullmatch(f"perceptrons: error: {pattern}{re.escape(end)}\n", finished.err)
    assert finished.status == 2
    assert runs_in(Path.cwd()) == before


@pytest.mark.parametrize(
    ("flags", "line"),
    DATA_FLAGS + NET_FLAGS + MODEL_FLAGS + UPDATE_FLAGS + TRAINER_FLAGS + OTHER_FLAGS,
)
def test_a_wrong_flag_costs_one_line(command: Command, flags: str, line: Line) -> None:
    check(command, f"{XOR} {flags}", line)


@pytest.mark.parametrize(("flags", "line"), BLOBS_FLAGS)
def test_a_wrong_flag_of_blobs_costs_one_line(command: Command, flags: str, line: Line) -> None:
    check(command, f"{BLOBS} {flags}", line)


@pytest.mark.parametrize(("words", "line"), LINES)
def test_a_wrong_command_costs_one_line(command: Command, words: str, line: Line) -> None:
    check(command, words, line)


@pytest.mark.parametrize(("old", "new", "line"), SETTINGS)
def test_a_wrong_setting_costs_one_line_that_says_the_file(
    command: Command, old: str, new: str, line: Line
) -> None:
    assert old in RIGHT
    Path("wrong.yaml").write_text(RIGHT.replace(old, new))
    check(command, "fit --config wrong.yaml", line, end=" (in wrong.yaml)")


@pytest.mark.parametrize(("content", "line"), CONTENTS)
def test_a_file_that_is_no_config_costs_one_line(
    command: Command, content: bytes, line: str
) -> None:
    Path("wrong.yaml").write_bytes(content)
    check(command, "fit --config wrong.yaml", f"config='wrong.yaml': {line}")


@pytest.mark.parametrize(("words", "line"), RUN_LINES)
def test_a_wrong_run_or_checkpoint_costs_one_line(
    command: Command, made: Path, words: str, line: Line
) -> None:
    shutil.copytree(made, Path.cwd(), dirs_exist_ok=True)
    check(command, words, line)
    assert not Path("ran").exists()


def test_the_code_in_a_checkpoint_runs_where_it_is_not_refused(made: Path, in_tmp: Path) -> None:
    torch.load(made / "code.ckpt", weights_only=False)
    assert (in_tmp / "ran").is_dir()


@pytest.mark.parametrize(
    "words",
    [
        *(XOR, BLOBS, PREDICT, "fit --config right.yaml"),
        f"{XOR} --data.batch_size null --data.points null --model.scheduler null --name null",
    ],
)
def test_without_the_mistake_the_commands_are_right(command: Command, words: str) -> None:
    Path("right.yaml").write_text(RIGHT)
    finished = command(words)
    assert (finished.status, finished.err) == (0, "")
    assert len(runs_in(Path.cwd())) == 1


@pytest.mark.parametrize("column", ["loss", "-loss"])
def test_a_column_with_a_minus_is_no_flag(command: Command, made: Path, column: str) -> None:
    shutil.copytree(made, Path.cwd(), dirs_exist_ok=True)
    finished = command(f"runs --csv --sort {column}")
    assert (finished.status, finished.err) == (0, "")
    losses = [float(row.split(",")[4]) for row in finished.out.splitlines()[1:]]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=column.startswith("-"))


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (f"{XOR} --data.gate xnot", ValueError),
        (f"{XOR} --data.inputs two", TypeError),
        ("test --ckpt_path nosuch.ckpt", ValueError),
    ],
)
def test_the_cause_is_raised_instead_where_it_is_asked_for(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: str, cause: type[Exception]
) -> None:
    monkeypatch.setenv("PERCEPTRONS_DEBUG", "1")
    with pytest.raises(cause):
        command(words)
