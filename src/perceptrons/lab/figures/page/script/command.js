// The present state as a command: the program's `fit` with this network, optimizer and data.

import { EXTRAS } from "./rows.js";

const quote = (text) =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** A cell of a CSV file, on one line. */
function cell(value) {
  const text = String(value).replaceAll(/[\r\n]+/g, " ");
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const targetName = (run) => run.target?.name ?? "class";

/** The rows with the extra inputs and the class, as CSV. */
function csvOf(play) {
  const { run, rows, extras, numeric } = play;
  const names = [...run.inputs, ...extras.map((name) => name.replace("*", "_").replace("^", "_"))];
  const lines = rows.map((row) => {
    const kind = play.kindOf(row, 0);
    const right = numeric ? play.answersOf(row.y)[0] : (run.class_names[kind] ?? kind);
    const { point } = row;
    const given = [...point, ...extras.map((name) => EXTRAS[name].value(point))];
    return [
      ...given.map((value) => Number(value.toPrecision(6))),
      numeric ? Number(right.toPrecision(6)) : right,
    ];
  });
  return [[...names, targetName(run)], ...lines].map((line) => line.map(cell).join(",")).join("\n");
}

/** What the run's own command is given besides, or a new one: the network and its optimizer. */
function changes(play, anew) {
  const { run, net, settings } = play;
  const flags = [];
  const hidden = net.widths.slice(1, -1);
  if (anew || hidden.length || run.widths.length > 2) {
    flags.push(["--model.net", "MLP"], ["--model.net.hidden", `[${hidden}]`]);
    if (hidden.length) flags.push(["--model.net.activation", net.activations[0]]);
    if (!net.bias) flags.push(["--model.net.bias", "false"]);
  }
  if (anew) flags.push(["--model.optimizer", `torch.optim.${settings.name}`]);
  flags.push(["--model.optimizer.lr", String(settings.lr)]);
  if (!anew) return flags; // the run's own has the rest
  const { momentum, weight_decay: decay, nesterov } = settings;
  if (momentum) flags.push(["--model.optimizer.momentum", String(momentum)]);
  if (nesterov) flags.push(["--model.optimizer.nesterov", "true"]);
  if (decay && settings.name !== "AdamW")
    flags.push(["--model.optimizer.weight_decay", String(decay)]);
  return flags;
}

/** A command for a shell; rows that are not the run's own are written to a file first. */
export function commandOf(play) {
  const { run, extras, rowsChanged } = play;
  const anew = rowsChanged || extras.length > 0;
  const flags = changes(play, anew);
  const lines = [];
  if (anew) {
    lines.push("cat > rows.csv <<'END OF ROWS'", csvOf(play), "END OF ROWS");
    if (play.numeric) flags.unshift(["--data.task", "regression"], ["--model", run.settings.model]);
    else flags.push(["--model.loss", run.loss]);
    const target = ["--data.target", targetName(run)];
    flags.unshift(["--data", "Table"], ["--data.path", "rows.csv"], target);
    flags.push(["--data.passes", "1000"], ["--trainer.max_epochs", "10"]);
    lines.push(`${run.program} fit \\`);
  } else
    lines.push(
      `${run.program} fit${(run.command ?? []).map((word) => ` ${quote(word)}`).join("")} \\`,
    );
  const given = flags.map(([flag, value]) => `  ${flag} ${quote(value)}`);
  return [...lines, given.join(" \\\n")].join("\n");
}
