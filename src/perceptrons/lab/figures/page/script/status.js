// What is said of the network in words.

import { bestOfAllLines } from "./boundary.js";
import { neuronName } from "./diagram.js";
import { largestOf } from "./losses.js";
import { forward } from "./network.js";
import { tableOf } from "./rows.js";
import { readable } from "./run.js";

const HALF = 1e-3; // as near as this to a half is no answer

/** {wrong: [of each row], unsure: whether no row has an answer to speak of}. */
export function answersOf(play) {
  const { rows, outputs, softmaxed, run, extras, net } = play;
  if (play.numeric) return { wrong: rows.map(() => false), unsure: false };
  const { x, count } = tableOf(rows, run.encode, extras);
  const logits = forward(net, x, count).values.at(-1);
  const chances = play.answersOf(logits);
  const even = softmaxed ? 1 / outputs : 0.5;
  const wrong = rows.map(({ y }, row) => {
    if (softmaxed) return !y[largestOf(logits, row * outputs, outputs)];
    return y.some((each, output) => logits[row * outputs + output] > 0 !== each > 0.5);
  });
  const unsure = count > 0 && chances.every((p) => Math.abs(p - even) < HALF);
  return { wrong: unsure ? wrong.map(() => false) : wrong, unsure };
}

/** {line, map}: how the network does, and what the large map shows. */
export function statusOf(play, { unsure }, target) {
  const said = [`update ${readable(play.updates)}`];
  for (const [part, name] of [
    ["train", "training"],
    ["val", "validation"],
  ]) {
    const measured = play.measure(part);
    if (!measured) continue;
    const only = part === "train" && !play.val.count;
    const words = unsure ? "" : `, ${measured.words}`;
    said.push(`${only ? "" : `${name} `}loss ${readable(measured.loss)}${words}`);
  }
  return { line: said.join(" · "), map: mapTitle(play, unsure, target) };
}

function mapTitle(play, unsure, { layer, neuron }) {
  const last = play.net.widths.length - 1;
  if (layer < last) return `what ${neuronName(play, layer, neuron)} puts out`;
  if (!unsure)
    return play.softmaxed && neuron === null
      ? "the likeliest class"
      : `the network's answer, ${neuronName(play, last, neuron ?? 0)}`;
  const even = play.softmaxed ? `1/${play.outputs}` : "½";
  return `p = ${even} everywhere${bestPossible(play)}`;
}

/** What the best of all lines could do, where the network is one. */
function bestPossible(play) {
  if (
    play.net.widths.length > 2 ||
    play.span.length !== 2 ||
    play.outputs > 1 ||
    play.extras.length
  )
    return "";
  const rows = play.rows.map((row) => ({ point: row.point, kind: play.kindOf(row, 0) }));
  const best = rows.length <= 60 ? bestOfAllLines(rows) : null;
  return best === null ? "" : `; the best a line can do is ${best} of ${rows.length}`;
}
