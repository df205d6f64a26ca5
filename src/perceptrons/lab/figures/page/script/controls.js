// The controls of the network, its training and its rows.

import { classColour } from "./colours.js";
import { commandOf } from "./command.js";
import { byId, element, shape } from "./dom.js";
import { ACTIVATIONS } from "./network.js";
import { markOf } from "./plane.js";
import { EXTRAS } from "./rows.js";
import { className } from "./run.js";

const MOST_LAYERS = 6;
const MOST_NEURONS = 16;
const option = (value, chosen) => element("option", { value, selected: value === chosen }, value);

function button(text, label, act, disabled = false) {
  return element("button", { type: "button", "aria-label": label, disabled, onclick: act }, text);
}

/** Buttons for the hidden layers: more or fewer neurons, a layer more, or none. */
function layerButtons(play) {
  const hidden = play.net.widths.slice(1, -1);
  const set = (at, width) =>
    play.setHidden(hidden.map((each, layer) => (layer === at ? width : each)));
  const rows = hidden.map((width, at) =>
    element(
      "div",
      { class: "layer" },
      `layer ${at + 1}`,
      button("−", `remove a neuron from layer ${at + 1}`, () => set(at, width - 1), width < 2),
      element("output", {}, String(width)),
      button(
        "+",
        `add a neuron to layer ${at + 1}`,
        () => set(at, width + 1),
        width >= MOST_NEURONS,
      ),
    ),
  );
  const add = button(
    "Add layer",
    "add a hidden layer",
    () => play.setHidden([...hidden, hidden.at(-1) ?? 2]),
    hidden.length >= MOST_LAYERS,
  );
  const remove = button(
    "Remove layer",
    "remove the last hidden layer",
    () => play.setHidden(hidden.slice(0, -1)),
    !hidden.length,
  );
  return [...rows, element("div", { class: "layer" }, add, remove)];
}

/** Fill in the controls of a network anew. */
export function drawShapeControls(play) {
  byId("layers").replaceChildren(...layerButtons(play));
  const activation = byId("activation");
  activation.replaceChildren(
    ...Object.keys(ACTIVATIONS).map((name) => option(name, play.activation)),
  );
  activation.disabled = play.net.widths.length < 3;
  const extras = Object.entries(EXTRAS).filter(([, { needs }]) => needs <= play.run.inputs.length);
  const boxes = extras.map(([name, { label }]) => {
    const box = element("input", {
      type: "checkbox",
      checked: play.extras.includes(name),
      onchange: (event) => play.setExtra(name, event.target.checked),
    });
    return element("label", { class: "tick" }, box, label);
  });
  byId("extras").replaceChildren(...boxes);
}

/** The controls of training: optimizer and learning rate as they are. */
export function drawTrainingControls({ settings }) {
  const momentum = settings.momentum ? `, momentum ${settings.momentum}` : "";
  byId("optimizer").textContent = `${settings.name}${momentum}`;
  byId("rate").value = settings.lr;
}

/** Controls whose elements stay: listen once, for whichever play is looked at. */
export function listenToControls(current) {
  byId("activation").addEventListener("change", (event) =>
    current().setActivation(event.target.value),
  );
  byId("draw-anew").addEventListener("click", () => current().drawAnew());
  byId("rate").addEventListener("change", ({ target }) => {
    const rate = Number(target.value);
    const fine = rate > 0 && Number.isFinite(rate);
    if (fine) current().settings.lr = rate;
    const given = target.value || "nothing";
    byId("rate-says").textContent = fine ? "" : `${given} is refused: a rate is above 0.`;
    target.value = current().settings.lr;
  });
  byId("add-row").addEventListener("click", () => addTypedRow(current()));
  byId("copy").addEventListener("click", () => copyCommand(current()));
}

/** The number or the class that is typed, as a target. */
export function typedTarget(play) {
  const { mean, std } = play.run.target ?? {};
  if (play.numeric) return [(Number(byId("typed-target").value) - mean) / std];
  return play.targetOf(Number(byId("typed-class").value), 0);
}

function addTypedRow(play) {
  const fields = document.querySelectorAll("#typed input:not(#typed-target)");
  const [point, y] = [[...fields].map(({ value }) => Number(value)), typedTarget(play)];
  if (![...point, ...y].every(Number.isFinite)) return;
  play.rows.push({ point, y, part: "train" });
  play.changeRows();
}

/** Fields for a row of the reader's own, and what a press on the plane does. */
export function drawRowControls(play) {
  const { run } = play;
  const field = (name, middle, id) => {
    const value = Number(middle.toPrecision(2));
    return element("label", {}, name, element("input", { type: "number", step: "any", value, id }));
  };
  const fields = run.inputs.map((name, axis) =>
    field(name, (play.span[axis][0] + play.span[axis][1]) / 2),
  );
  if (play.numeric) fields.push(field(run.target.name, run.target.mean, "typed-target"));
  byId("typed").replaceChildren(...fields);
  const kinds = Array.from({ length: play.kinds }, (_, kind) => kind);
  byId("typed-class").parentElement.hidden = play.numeric;
  byId("typed-class").replaceChildren(
    ...kinds.map((kind) => element("option", { value: kind }, className(run, kind))),
  );
  const tool = (value, ...text) =>
    element(
      "label",
      { class: "tick" },
      element("input", { type: "radio", name: "tool", value, checked: value === "move" }),
      ...text,
    );
  const adds = kinds.map((kind) =>
    tool(
      `add ${kind}`,
      "add ",
      ...(play.numeric ? [] : [keyMark(kind), ` ${className(run, kind)}`]),
    ),
  );
  byId("tools").replaceChildren(tool("move", "move"), ...adds, tool("remove", "remove"));
}

/** A class's mark, for the key. */
export function keyMark(kind, colour = classColour(kind)) {
  const mark = shape("path", {
    d: markOf(kind, 5),
    class: "point train",
    style: `--own: ${colour}`,
  });
  return shape("svg", { viewBox: "-7 -7 14 14", class: "key", "aria-hidden": "true" }, mark);
}

async function copyCommand(play) {
  const box = byId("command");
  box.hidden = false;
  box.value = commandOf(play);
  box.rows = Math.min(14, box.value.split("\n").length);
  box.select();
  try {
    await navigator.clipboard.writeText(box.value);
  } catch {
    document.execCommand("copy"); // older browsers, and pages that may not use the clipboard
  }
  byId("copied").textContent = "Copied.";
}
