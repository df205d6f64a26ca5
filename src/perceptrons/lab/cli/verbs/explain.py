"""``explain``: one update spelled out in numbers, in the terminal and as Markdown."""

from itertools import pairwise
from pathlib import Path
from textwrap import indent
from typing import Any

import torch

from ...data.tables import TableData
from ...figures.scene import hidden_names
from ...runs.files import write_whole
from ...runs.text import aligned, say
from ...training.on_paper import SLOPES, Layer, Update, first_update
from ..errors import fail
from ..load import prepare_command

MOST = 40  # lines of a table
MOST_SHOWN = 5  # numbers of a row
TERMS = 3  # of a sum that is written out


def explain_config(config: list[str], model: Any, row: int | None, out: Path | None) -> None:
    """Explain the first update of a config, on one of its training rows.

    Args:
        config: The words that ``fit`` would be given.
        model: The module that is trained where the config names no other.
        row: Number of the row, from 1; ``None``: one without a 0.
        out: A Markdown file to write it to as well.
    """
    try:
        made = prepare_command(["fit", *config], model)
        made.datamodule.setup("fit")
        module = getattr(made.model, "user_module", made.model)  # of a study the first member's
        text = explanation(first_update(module, made.datamodule, row), made.datamodule)
    except ValueError as mistake:
        fail(str(mistake), mistake)
    say(text)
    if out is None:
        return
    try:
        write_whole(out, f"{text}\n".encode())
    except OSError as failure:
        fail(f"--out={str(out)!r}: {failure.strerror}", failure)
    say(f"\nwritten: {out}")


def explanation(update: Update, data: TableData) -> str:
    """An update as Markdown, whose tables are indented, so that a terminal shows them too."""
    layers, rule = update.layers, update.rule
    own = [*map(str, data.point_names)]
    wide = layers[0].linear.in_features
    inputs = own if len(own) == wide else [f"x{n + 1}" for n in range(wide)]
    widths = [each.linear.out_features for each in layers]
    outputs = ["p"] if widths[-1] == 1 else [f"p{n + 1}" for n in range(widths[-1])]
    names = [inputs, *hidden_names(widths[:-1]), outputs]
    x, y = tuple_text(layers[0].x[0]), tuple_text(update.y[0])
    parts = [f"# One update, by training row {update.number}: x = {x}, y = {y}"]
    if (rows := data.batch_size or len(data.split["train"][0])) > 1:
        parts.append(f"This row alone: an update of `fit` is by {rows}, and their mean gradient.")
    for number, layer in enumerate(layers, 1):
        activation = type(layer.activation).__name__.lower()
        kind = "p is the answer" if layer is layers[-1] else f"a = {activation}(z)"
        title = f"Layer {number}: z is a weighted sum, {kind}"
        parts.append(section(title, forward(layer, names[number])))
    parts.append(section("Loss", {}, f"{rule.says} = {number_of(update.loss)}"))
    last = {"neuron": outputs, "delta": [*map(number_of, layers[-1].delta[0])]}
    parts.append(section(f"Deltas of layer {len(layers)}", last, rule.delta_says))
    for number in range(len(layers) - 1, 0, -1):
        slope = SLOPES[type(layers[number - 1].activation)][2]
        says = f"delta = (sum of delta * weight of the next layer) * {slope}"
        columns = backward(layers[number - 1], layers[number], names[number])
        parts.append(section(f"Deltas of layer {number}", columns, says))
    pairs = zip(update.by_hand, update.by_autograd, strict=True)
    off = max(float((one - other).abs().max()) for one, other in pairs)
    words = f"By hand and by autograd they differ by {off:.1g} at most.\n{step_of(update)}"
    parts.append(section("Gradients and weights", weights(update, names), words))
    return "\n\n".join(parts)


def section(title: str, columns: dict[str, list[str]], words: str = "") -> str:
    """A title, and words and a table under it."""
    table = [aligned(columns, width=None, rows=MOST)] if columns else []
    return f"## {title}\n\n" + indent("\n".join([*filter(None, [words]), *table]), " " * 4)


def tuple_text(numbers: Any) -> str:
    """Numbers in brackets, the first few of many."""
    more = ["..."] if len(numbers) > MOST_SHOWN else []
    return f"({', '.join([*map(number_of, numbers[:MOST_SHOWN]), *more])})"


def number_of(value: Any) -> str:
    """A number as on paper, with four digits."""
    return f"{float(value):.4g}"


def sum_of(pairs: list[tuple[Any, Any]], bias: Any = None) -> str:
    """Products and their sum, written out: ``0.5*1 + 0.2*0 - 0.1``."""
    shown = pairs if len(pairs) <= TERMS else pairs[: TERMS - 1]
    terms = [f"{number_of(one)}*{number_of(other)}" for one, other in shown]
    terms += ["..."] if len(pairs) > TERMS else []
    terms += [number_of(bias)] if bias is not None else []
    return " + ".join(terms).replace("+ -", "- ")


def forward(layer: Layer, names: list[str]) -> dict[str, list[str]]:
    linear = layer.linear
    biases = [None] * len(names) if linear.bias is None else linear.bias.tolist()
    pairs = [[*zip(each, layer.x[0], strict=True)] for each in linear.weight.tolist()]
    return {
        "neuron": names,
        "weights * inputs + bias": [*map(sum_of, pairs, biases)],
        "z": [*map(number_of, layer.sums[0])],
        "a" if layer.activation else "p": [*map(number_of, layer.values[0])],
    }


def backward(layer: Layer, after: Layer, names: list[str]) -> dict[str, list[str]]:
    weights = after.linear.weight.mT.tolist()
    slopes = SLOPES[type(layer.activation)][1](layer.values[0])
    return {
        "neuron": names,
        "delta * weight": [sum_of([*zip(after.delta[0], each, strict=True)]) for each in weights],
        "slope": [*map(number_of, slopes)],
        "delta": [*map(number_of, layer.delta[0])],
    }


def weights(update: Update, names: list[list[str]]) -> dict[str, list[str]]:
    """Each gradient by hand and by autograd, and the weight before and after."""
    columns: dict[str, list[str]] = {"weight": [], "delta * input": []}
    for layer, (before, after) in zip(update.layers, pairwise(names), strict=True):
        deltas = [*zip(after, layer.delta[0], strict=True)]
        given = [*zip(before, layer.x[0], strict=True)]
        every = [(f"{one} -> {name}", delta, x) for name, delta in deltas for one, x in given]
        if layer.linear.bias is not None:
            every += [(f"bias {name}", delta, 1) for name, delta in deltas]
        columns["weight"] += [label for label, *_ in every]
        columns["delta * input"] += [sum_of([(delta, x)]) for _, delta, x in every]
    tables = {"by hand": update.by_hand, "autograd": update.by_autograd}
    for title, table in (tables | {"before": update.before, "after": update.after}).items():
        columns[title] = [*map(number_of, torch.cat([each.flatten() for each in table]))]
    return columns


def step_of(update: Update) -> str:
    group, name = update.optimizer.param_groups[0], type(update.optimizer).__name__
    if name == "SGD" and not group["momentum"] and not group["weight_decay"]:
        return f"after = before - {group['lr']:g} * gradient"
    return f"after: as {name} has it"
