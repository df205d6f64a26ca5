"""``explain``: one update spelled out in numbers, in the terminal and as Markdown."""

from pathlib import Path
from typing import Any

from ..data.tables import TableData
from ..runs.files import write_whole
from ..runs.text import aligned, say
from ..training.on_paper import SLOPES, Update, first_update
from .errors import fail
from .load import made_ready

MOST = 40  # lines of a table
MOST_SHOWN = 5  # numbers of a row
TERMS = 3  # of a sum that is written out

# title, lines of words, and columns of a table
Section = tuple[str, list[str], dict[str, list[Any]]]


def explain_config(config: list[str], model: Any, row: int | None, out: Path | None) -> None:
    """Explain the first update of a config, on one of its training rows.

    Args:
        config: The words that ``fit`` would be given.
        model: The module that is trained where the config names no other.
        row: Number of the row, from 1; ``None``: one without a 0.
        out: A Markdown file to write it to as well.
    """
    try:
        made = made_ready(["fit", *config], model)
        made.datamodule.setup("fit")
        update = first_update(made.model, made.datamodule, row)
    except ValueError as mistake:
        fail(str(mistake), mistake)
    title, sections = explained(update, made.datamodule)
    say(in_terminal(title, sections))
    if out is None:
        return
    try:
        write_whole(out, in_markdown(title, sections).encode())
    except OSError as failure:
        fail(f"--out={str(out)!r}: {failure.strerror}", failure)
    say(f"\nwritten: {out}")


def explained(update: Update, data: TableData) -> tuple[str, list[Section]]:
    """Title and sections of an update."""
    names = names_of(data, update.layers)
    x, y = listed(update.x[0]), listed(update.y[0])
    title = f"One update, by training row {update.number}: x = {x}, y = {y}"
    forward = [forward_section(update, number, names) for number in range(len(update.layers))]
    loss = f"{update.rule.says} = {number_of(update.loss)}"
    backward = [delta_section(update, number, names) for number in range(len(update.layers))]
    return title, [*forward, ("Loss", [loss], {}), *backward[::-1], weights_section(update, names)]


def names_of(data: TableData, layers: Any) -> list[list[str]]:
    """Names of the inputs and of each layer's neurons."""
    inputs = layers[0][0].in_features
    own = [*map(str, data.point_names)]
    first = own if len(own) == inputs else [f"x{n + 1}" for n in range(inputs)]
    widths = [linear.out_features for linear, _ in layers]
    deep = len(widths) > 2
    hidden = [
        [f"h{layer}.{n + 1}" if deep else f"h{n + 1}" for n in range(width)]
        for layer, width in enumerate(widths[:-1], 1)
    ]
    outputs = ["p"] if widths[-1] == 1 else [f"p{n + 1}" for n in range(widths[-1])]
    return [first, *hidden, outputs]


def listed(numbers: Any) -> str:
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


def forward_section(update: Update, number: int, names: list[list[str]]) -> Section:
    linear, activation = update.layers[number]
    last = activation is None
    after = update.rule.chances(update.sums[-1]) if last else update.values[number + 1]
    biases = linear.bias.detach() if linear.bias is not None else [None] * linear.out_features
    inputs = update.values[number][0]
    pairs = [[*zip(weights, inputs, strict=True)] for weights in linear.weight.detach()]
    columns = {
        "neuron": names[number + 1],
        "weights * inputs + bias": [*map(sum_of, pairs, biases)],
        "z": [*map(number_of, update.sums[number][0])],
        "p" if last else "a": [*map(number_of, after[0])],
    }
    kind = "p is its probability" if last else f"a = {type(activation).__name__.lower()}(z)"
    return f"Layer {number + 1}: z is a weighted sum, {kind}", [], columns


def delta_section(update: Update, number: int, names: list[list[str]]) -> Section:
    columns: dict[str, list[Any]] = {"neuron": names[number + 1]}
    if number == len(update.layers) - 1:
        words = [update.rule.delta_says]
    else:
        _, slope, says = SLOPES[type(update.layers[number][1])]
        words = [f"delta = (sum of delta * weight of the next layer) * {says}"]
        weights = update.layers[number + 1][0].weight.detach().mT
        after = update.deltas[number + 1][0]
        sums = [sum_of([*zip(after, each, strict=True)]) for each in weights]
        columns["delta * weight"] = sums
        columns["slope"] = [*map(number_of, slope(update.values[number + 1][0]))]
    columns["delta"] = [*map(number_of, update.deltas[number][0])]
    return f"Deltas of layer {number + 1}", words, columns


def weights_section(update: Update, names: list[list[str]]) -> Section:
    """Each gradient by hand and by autograd, and the weight before and after."""
    tables = {
        "by hand": update.by_hand,
        "autograd": update.by_autograd,
        "before": update.before,
        "after": update.after,
    }
    columns: dict[str, list[Any]] = {name: [] for name in ("weight", "delta * input", *tables)}
    for place, (layer, is_bias) in enumerate(parameters_of(update.layers)):
        for output, name in enumerate(names[layer + 1]):
            for source, into in enumerate(["1"] if is_bias else names[layer]):
                given = 1 if is_bias else update.values[layer][0, source]
                columns["weight"].append(f"bias {name}" if is_bias else f"{into} -> {name}")
                columns["delta * input"].append(sum_of([(update.deltas[layer][0, output], given)]))
                for title, table in tables.items():
                    value = table[place][output] if is_bias else table[place][output, source]
                    columns[title].append(number_of(value))
    pairs = zip(update.by_hand, update.by_autograd, strict=True)
    off = max(float((one - other).abs().max()) for one, other in pairs)
    words = [f"By hand and by autograd they differ by {off:.1g} at most.", step_of(update)]
    return "Gradients and weights", words, columns


def parameters_of(layers: list[Any]) -> list[tuple[int, bool]]:
    """Layer of each parameter, and whether it is its bias."""
    kinds = [(layer, bias) for layer in range(len(layers)) for bias in (False, True)]
    return [each for each in kinds if not each[1] or layers[each[0]][0].bias is not None]


def step_of(update: Update) -> str:
    group, name = update.optimizer.param_groups[0], type(update.optimizer).__name__
    if name == "SGD" and not group["momentum"] and not group["weight_decay"]:
        return f"after = before - {group['lr']:g} * gradient"
    return f"after: as {name} has it"


def in_terminal(title: str, sections: list[Section]) -> str:
    parts = [title]
    for name, words, columns in sections:
        table = [aligned(columns, width=None, rows=MOST)] if columns else []
        parts.append("\n".join([name, *words, *table]))
    return "\n\n".join(parts)


def in_markdown(title: str, sections: list[Section]) -> str:
    parts = [f"# {plain(title)}"]
    for name, words, columns in sections:
        parts += [f"## {name}", *(plain(each) for each in words)]
        if columns:
            rows = [*zip(*columns.values(), strict=True)]
            lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
            lines += [" | ".join(plain(str(each)) for each in row) for row in rows[:MOST]]
            lines += [f"... and {len(rows) - MOST} more"] if len(rows) > MOST else []
            parts.append("\n".join(f"| {line} |" for line in lines))
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    letters = " ".join(text.split())
    return "".join(f"\\{each}" if each in r"\`*_[]<>#|" else each for each in letters)
