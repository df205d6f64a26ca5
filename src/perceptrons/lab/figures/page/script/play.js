// What is being looked at: a run at one of its frames, and all that the reader has changed since.

import { countRight, LOSSES, r2Of, softmax } from "./losses.js";
import { backward, drawnAnew, forward, layersOf, randomNumbers, sigmoid } from "./network.js";
import { makeOptimizer } from "./optimizers.js";
import { rangeOf, rowsOf, tableOf } from "./rows.js";
import { className, networkAt, readable } from "./run.js";

export class Play {
  /** listen: called with what has changed: "weights", "rows" or "shape". */
  constructor(run, listen) {
    this.run = run;
    this.listen = listen;
    this.seed = 1;
    this.reset();
  }

  /** All as the run has it, at its last frame. */
  reset() {
    this.net = null;
    const { state, ...settings } = this.run.optimizer;
    this.settings = settings;
    this.extras = [];
    this.rows = rowsOf(this.run);
    this.rowsChanged = false;
    this.third = this.middle();
    this.placeRows();
    this.show(this.run.frames.length - 1);
  }

  /** The network of a frame; rows that were changed stay so. */
  show(frame) {
    const anew = !this.net || this.shapeChanged;
    this.frame = frame;
    this.updates = this.run.frames[frame].update;
    this.net = networkAt(this.run, frame);
    this.history = [];
    this.shapeChanged = this.weightsChanged = false;
    this.beginOptimizer(frame === this.run.frames.length - 1);
    if (anew) {
      this.extras = [];
      this.makeTables();
    }
    this.listen(anew ? "shape" : "weights");
  }

  /** A new optimizer; the state that the run left is taken up only where the run ended. */
  beginOptimizer(takeUp = false) {
    const factors = new Float64Array(this.net.weights.length).fill(1);
    for (const { bias, outputs } of layersOf(this.net)) {
      if (bias >= 0) factors.fill(this.settings.bias_lr_factor ?? 1, bias, bias + outputs);
    }
    const state = takeUp ? this.run.optimizer.state : null;
    this.optimizer = makeOptimizer(this.settings, state, factors);
  }

  makeTables() {
    const { encode } = this.run;
    const part = (wanted) => this.rows.filter((row) => row.part === wanted);
    this.train = tableOf(part("train"), encode, this.extras);
    this.val = tableOf(part("val"), encode, this.extras);
    this.order = null;
  }

  /** What is looked at: the span of each input, and the two axes that are drawn. */
  placeRows() {
    this.span = this.run.inputs.map((_, axis) =>
      rangeOf(this.rows.map(({ point }) => point[axis])),
    );
    const heights = this.numeric ? this.rows.map(({ y }) => y[0]) : [0, this.kinds - 1];
    this.axes = [...this.span, rangeOf(heights)].slice(0, 2);
  }

  /** A value of the third input that some row has, in the middle of them. */
  middle() {
    const values = this.rows.map(({ point }) => point[2]).sort((a, b) => a - b);
    return values[Math.floor(values.length / 2)] ?? 0;
  }

  get outputs() {
    return this.run.widths.at(-1);
  }

  get softmaxed() {
    return this.run.loss === "cross_entropy";
  }

  /** Whether it predicts a number and no class. */
  get numeric() {
    return this.run.loss === "squared_error";
  }

  /** How many classes a row can be of. */
  get kinds() {
    return this.numeric ? 1 : this.softmaxed ? this.outputs : 2;
  }

  /** The class of a row, as far as one output, or softmax over all, is asked. */
  kindOf({ y }, output) {
    if (this.numeric) return 0;
    return this.softmaxed ? y.indexOf(Math.max(...y)) : Number(y[output] > 0.5);
  }

  /** The target of a class. */
  targetOf(kind, output) {
    return Array.from({ length: this.outputs }, (_, at) =>
      this.softmaxed ? Number(at === kind) : at === output ? kind : 0,
    );
  }

  /** What is right for a row, in words. */
  rightOf(row, output) {
    const { target } = this.run;
    if (this.numeric) return `${target.name} ${readable(this.answersOf(row.y)[0])}`;
    return `class ${className(this.run, this.kindOf(row, output))}`;
  }

  /** What logits say: probabilities, or numbers in the target's own units. */
  answersOf(logits) {
    const { mean, std } = this.run.target ?? {};
    if (this.numeric) return logits.map((each) => each * std + mean);
    return this.softmaxed ? softmax(logits, this.outputs) : logits.map(sigmoid);
  }

  /** Loss, accuracy or R2, and that in words, of a part of the rows; null where there are none. */
  measure(part) {
    const { x, y, count } = this[part];
    if (!count) return null;
    const logits = forward(this.net, x, count).values.at(-1);
    const loss = LOSSES[this.run.loss].value(logits, y, this.outputs);
    if (this.numeric) {
      const score = r2Of(logits, y);
      return { loss, score, words: `R² ${readable(score)}` };
    }
    const { right, total } = countRight(logits, y, this.outputs, this.softmaxed);
    const what = this.softmaxed || this.outputs === 1 ? "rows" : "answers";
    return { loss, score: right / total, words: `${right} of ${total} ${what} right` };
  }

  /** Rows of the next batch, as the run takes them: all, or some at a time. */
  batch() {
    const { x, y, count } = this.train;
    const size = this.run.batch_size;
    if (!size || size >= count) return { x, y, count };
    const steps = Math.ceil(count / size);
    const step = this.updates % steps;
    this.order ??= Array.from({ length: count }, (_, at) => at);
    if (this.run.shuffle && step === 0) this.shuffle();
    const chosen = this.order.slice(step * size, (step + 1) * size);
    const pick = (numbers, width) =>
      Float64Array.from(
        chosen.flatMap((row) => [...numbers.subarray(row * width, (row + 1) * width)]),
      );
    return { x: pick(x, this.net.widths[0]), y: pick(y, this.outputs), count: chosen.length };
  }

  shuffle() {
    const random = randomNumbers(this.updates + 1);
    for (let at = this.order.length - 1; at > 0; at--) {
      const other = Math.floor(random() * (at + 1));
      [this.order[at], this.order[other]] = [this.order[other], this.order[at]];
    }
  }

  /** Some updates of gradient descent from here; not told where more follow at once. */
  trainOn(times, told = true) {
    if (!this.train.count) return;
    if (!this.history.length) this.note();
    const often = Math.max(20, Math.ceil(times / 50)); // or many at once would be one straight line
    for (let time = 0; time < times; time++) {
      const { x, y, count } = this.batch();
      const pass = forward(this.net, x, count);
      const delta = LOSSES[this.run.loss].delta(pass.values.at(-1), y, this.outputs);
      this.optimizer.update(this.net.weights, backward(this.net, pass, delta, count));
      this.updates++;
      if (this.updates % often === 0) this.note();
    }
    this.weightsChanged = true;
    if (!told) return;
    this.note();
    this.listen("weights");
  }

  /** Note the losses for the curves; of many notes every second is kept. */
  note() {
    const [train, val] = [this.measure("train"), this.measure("val")];
    this.history.push({ update: this.updates, train, val });
    if (this.history.length > 600) this.history = this.history.filter((_, at) => at % 2 === 0);
  }

  changeRows() {
    this.rowsChanged = true;
    this.makeTables();
    this.listen("rows");
  }

  setHidden(hidden) {
    const widths = [this.net.widths[0], ...hidden, this.outputs];
    this.drawAnew({ widths, activations: hidden.map(() => this.activation) });
  }

  get activation() {
    return this.net.activations[0] ?? this.run.activations[0] ?? "sigmoid";
  }

  setActivation(name) {
    this.setNetwork({ ...this.net, activations: this.net.activations.map(() => name) });
  }

  /** Tick an extra input, or take it away. */
  setExtra(name, ticked) {
    const own = this.net.widths[0] - this.extras.length;
    const others = this.extras.filter((each) => each !== name);
    this.extras = ticked ? [...others, name] : others;
    this.makeTables();
    this.drawAnew({ widths: [own + this.extras.length, ...this.net.widths.slice(1)] });
  }

  /** The network, or one of another shape, with new weights, as if trained with another seed. */
  drawAnew(changes) {
    this.setNetwork(drawnAnew({ ...this.net, ...changes }, this.seed++));
  }

  setNetwork(net) {
    this.net = net;
    this.shapeChanged = true;
    this.updates = 0;
    this.history = [];
    this.beginOptimizer();
    this.note();
    this.listen("shape");
  }
}
