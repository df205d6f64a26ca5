// The network: each neuron as its own map, each weight as a line of its sign and size.

import { ARROWS, element, shape, tell } from "./dom.js";
import { paintNeuron } from "./map.js";
import { layersOf } from "./network.js";
import { EXTRAS } from "./rows.js";
import { className, fixed, readable, signed } from "./run.js";

const MOST = 16; // neurons of a layer that are drawn
const FEW = 14; // weights up to which each has its number beside it
const [DASH, GAP] = [9, 4]; // as the style sheet has them

/** What a neuron is called: an input by its name, h1 or h2.1 of the second layer, an output by p. */
export function neuronName({ run, net, extras, softmaxed, numeric }, layer, neuron) {
  const last = net.widths.length - 1;
  if (layer === last) {
    if (numeric) return run.target.name;
    if (softmaxed) return `p(${className(run, neuron)})`;
    if (net.widths[last] > 1) return `p${neuron + 1}`;
    return run.class_names[1] ? `p(${run.class_names[1]})` : "p";
  }
  if (layer > 0) return last > 2 ? `h${layer}.${neuron + 1}` : `h${neuron + 1}`;
  const own = net.widths[0] - extras.length;
  return neuron < own ? (run.features ?? run.inputs)[neuron] : EXTRAS[extras[neuron - own]].label;
}

/** A place on a Bezier curve. */
function along(a, b, c, d, way = 0.68) {
  const rest = 1 - way;
  return rest ** 3 * a + 3 * rest ** 2 * way * b + 3 * rest * way ** 2 * c + way ** 3 * d;
}

export class Diagram {
  /** actions: look(layer, neuron) while a neuron is pointed at, leave(), choose(layer, neuron). */
  constructor(box, actions) {
    this.actions = actions;
    this.box = box;
    this.lines = shape("svg", { class: "weights", id: "weights", tabindex: 0, role: "group" });
    this.nodes = element("div", { class: "neurons" });
    box.append(this.lines, this.nodes);
    this.lines.addEventListener("keydown", (event) => this.pressKey(event));
    this.lines.addEventListener("focusout", () => tell(""));
    this.lines.addEventListener("pointerleave", () => tell(""));
  }

  place(play) {
    this.play = play;
    this.measure();
    this.layers = layersOf(play.net);
    this.weights = [];
    this.neurons = [];
    play.net.widths.forEach((width, layer) => {
      for (let neuron = 0; neuron < Math.min(width, MOST); neuron++) this.addNeuron(layer, neuron);
    });
    for (const [number, layer] of this.layers.entries()) this.addWeights(layer, number);
    const lines = this.weights.flatMap(({ line, hit }) => [line, hit]);
    const labels = this.weights.flatMap(({ label }) => label ?? []); // over all lines
    this.lines.replaceChildren(...lines, ...labels, ...this.remarks());
    this.nodes.replaceChildren(...this.neurons.map(({ button }) => button));
    const label = `weights of the network ${play.net.widths.join("-")}: arrow keys go from one to the next`;
    this.lines.setAttribute("aria-label", label);
  }

  measure() {
    const { widths } = this.play.net;
    const shown = Math.min(MOST, Math.max(...widths));
    this.width = Math.max(280, this.box.clientWidth);
    const columns = this.width / widths.length;
    this.height = Math.max(this.width < 480 ? 330 : 430, Math.min(740, shown * 46));
    const room = (this.height - 20) / shown;
    this.crowded = room < 76;
    this.node = Math.max(
      14,
      Math.min(this.width < 480 ? 56 : 92, columns * 0.5, this.crowded ? room - 6 : room - 46),
    );
    this.box.style.height = `${this.height}px`;
    this.lines.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
  }

  /** The middle of a neuron. */
  middle(layer, neuron) {
    const { widths } = this.play.net;
    const shown = Math.min(MOST, widths[layer]);
    const edge = this.node / 2 + 18;
    const x = edge + (layer * (this.width - 2 * edge)) / (widths.length - 1);
    const apart = Math.min((this.height - 20) / shown, this.node + 90);
    return [x, 12 + (this.height - 12) / 2 + (neuron - (shown - 1) / 2) * apart];
  }

  addNeuron(layer, neuron) {
    const [x, y] = this.middle(layer, neuron);
    const canvas = element("canvas", { "aria-hidden": "true" });
    const name = neuronName(this.play, layer, neuron);
    const kind = this.node < 24 ? "neuron small" : this.crowded ? "neuron crowded" : "neuron";
    const value = element("span", { class: "value" });
    const bias = element("span", { class: "bias" });
    const button = element(
      "button",
      {
        class: kind,
        type: "button",
        style: `left:${x - this.node / 2}px;top:${y - this.node / 2}px;width:${this.node}px;height:${this.node}px`,
        "data-layer": layer,
        "data-neuron": neuron,
        onpointerenter: (event) => this.pointAt(layer, neuron, event),
        onpointerleave: () => this.leave(),
        onfocus: (event) => this.pointAt(layer, neuron, event),
        onblur: () => this.leave(),
        onclick: () => this.actions.choose(layer, neuron),
      },
      canvas,
      element("span", { class: "name" }, name),
      value,
      bias,
    );
    this.neurons.push({ layer, neuron, canvas, button, value, bias, name });
  }

  addWeights({ inputs, outputs, weight }, number) {
    const few = this.layers.reduce((sum, each) => sum + each.inputs * each.outputs, 0) <= FEW;
    for (let output = 0; output < Math.min(outputs, MOST); output++) {
      for (let input = 0; input < Math.min(inputs, MOST); input++) {
        const [[a, b], [c, d]] = [this.middle(number, input), this.middle(number + 1, output)];
        const [x, end] = [a + this.node / 2, c - this.node / 2];
        const bend = (end - x) * 0.45;
        const path = `M${x} ${b}C${x + bend} ${b} ${end - bend} ${d} ${end} ${d}`;
        const at = weight + output * inputs + input;
        const line = shape("path", { d: path, class: "weight" });
        const dashes = Math.max(1, Math.round((line.getTotalLength() - DASH) / (DASH + GAP)));
        line.setAttribute("pathLength", dashes * (DASH + GAP) + DASH); // it ends with a dash too
        const hit = shape("path", { d: path, class: "hit", "data-weight": at });
        hit.addEventListener("pointermove", (event) =>
          this.tellWeight({ at, number, input, output }, event),
        );
        hit.addEventListener("pointerleave", () => this.mark(null));
        // on its own line, where that is apart from the others to the same neuron
        const label = few
          ? shape("text", {
              x: along(x, x + bend, end - bend, end),
              y: along(b, b, d, d) + 4,
              class: "number",
            })
          : null;
        this.weights.push({ at, number, input, output, line, hit, label });
      }
    }
  }

  /** How many neurons of a layer are not drawn. */
  remarks() {
    return this.play.net.widths.flatMap((width, layer) => {
      if (width <= MOST) return [];
      const [x] = this.middle(layer, 0);
      return [shape("text", { x, y: 12, class: "number" }, `first ${MOST} of ${width}`)];
    });
  }

  /** Lines and maps, once the weights are others. */
  draw(look) {
    const { weights } = this.play.net;
    for (const { at, line, hit, label } of this.weights) {
      const value = weights[at];
      line.setAttribute("stroke-width", (0.6 + 6 * Math.tanh(Math.abs(value) / 5)).toFixed(2));
      line.setAttribute("class", value < 0 ? "weight below" : "weight above");
      line.style.opacity = 0.3 + 0.7 * Math.min(1, Math.abs(value) / 2);
      hit.dataset.value = value;
      if (label) label.textContent = signed(value);
    }
    for (const { layer, neuron, canvas, bias } of this.neurons) {
      paintNeuron(canvas, this.play, look, layer, neuron);
      const from = layer > 0 ? this.layers[layer - 1].bias : -1;
      bias.textContent = from < 0 ? "" : signed(weights[from + neuron]);
    }
  }

  /** Each neuron's value for a point, in its place; none where there is no point. */
  drawValues(values) {
    for (const { layer, neuron, value } of this.neurons) {
      value.textContent = values ? readable(Number(values[layer][neuron].toPrecision(3))) : "";
    }
  }

  drawChosen({ layer, neuron }) {
    for (const each of this.neurons) {
      const chosen = each.layer === layer && each.neuron === (neuron ?? 0);
      each.button.setAttribute("aria-pressed", chosen);
      each.button.setAttribute(
        "aria-label",
        `${each.name}: ${this.sumOf(each.layer, each.neuron)}`,
      );
    }
  }

  /** A neuron as a formula: sigmoid(−6.21·x1 − 6.21·x2 + 9.28). */
  sumOf(layer, neuron) {
    if (layer === 0) return "an input";
    const { net, softmaxed, numeric } = this.play;
    const { inputs, weight, bias } = this.layers[layer - 1];
    const terms = Array.from({ length: Math.min(inputs, 6) }, (_, input) => {
      const value = net.weights[weight + neuron * inputs + input];
      return `${readable(value)}·${neuronName(this.play, layer - 1, input)}`;
    });
    if (inputs > 6) terms.push(`… of ${inputs} inputs`);
    if (bias >= 0) terms.push(readable(net.weights[bias + neuron]));
    const sum = terms.join(" + ").replaceAll("+ −", "− ");
    const outer = numeric ? "" : softmaxed ? "softmax" : "sigmoid";
    return `${net.activations[layer - 1] ?? outer}(${sum})`;
  }

  pointAt(layer, neuron, event) {
    this.actions.look(layer, neuron);
    tell(`${neuronName(this.play, layer, neuron)} = ${this.sumOf(layer, neuron)}`, event);
  }

  leave() {
    tell("");
    this.actions.leave();
  }

  tellWeight({ at, number, input, output }, event) {
    this.mark(at);
    const [from, to] = [
      neuronName(this.play, number, input),
      neuronName(this.play, number + 1, output),
    ];
    tell(`weight from ${from} to ${to}: ${fixed(this.play.net.weights[at], 4)}`, event);
  }

  mark(at) {
    for (const each of this.weights) each.hit.classList.toggle("marked", each.at === at);
    if (at === null) tell("");
    this.marked = at;
  }

  /** Arrow keys go from weight to weight. */
  pressKey(event) {
    if (!ARROWS[event.key]) return;
    event.preventDefault();
    const [right, up] = ARROWS[event.key];
    const before = this.weights.findIndex(({ at }) => at === this.marked);
    const count = this.weights.length;
    const next = this.weights[(before + right - up + count) % count];
    this.tellWeight(next, { target: next.hit });
  }
}
