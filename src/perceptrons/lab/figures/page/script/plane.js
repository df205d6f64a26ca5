// The large panel: the map that is chosen, the rows over it, and the reader's own line.

import { zeroLines } from "./boundary.js";
import { classColour, numberColour } from "./colours.js";
import { ticks } from "./curves.js";
import { ARROWS, element, fill, shape, tell } from "./dom.js";
import { DEVIATIONS, leadsOf, paintAnswer, paintNeuron } from "./map.js";
import { readable } from "./run.js";

const SIZE = 400; // of the drawing's own coordinates
const MARKS = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  (r) => `M${-r} ${-r}H${r}V${r}H${-r}Z`,
  (r) => `M0 ${-1.2 * r}L${1.15 * r} ${0.8 * r}H${-1.15 * r}Z`,
  (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
];

/** The mark of a class, which tells classes apart without colour. */
export const markOf = (number, radius) => MARKS[number % MARKS.length](radius);

export class Plane {
  /** actions: describe(row), drag(row, point), press(point, row), remove(row), turn(row). */
  constructor(box, actions) {
    this.actions = actions;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.lines = shape("path", { class: "boundary" });
    this.marks = shape("g");
    this.over = shape("svg", { width: SIZE, height: SIZE }); // nothing of it is drawn outside
    this.scales = shape("g", { "aria-hidden": "true" });
    this.drawing = shape(
      "svg",
      { viewBox: `0 0 ${SIZE} ${SIZE}`, tabindex: 0, role: "group", id: "boundary" },
      this.scales,
      this.lines,
      this.marks,
      this.over,
    );
    box.append(this.canvas, this.drawing);
    this.points = [];
    this.listen();
  }

  /** Where a place on the axes is in the drawing. */
  xy(place) {
    const [x, y] = this.play.axes.map(([low, high], axis) => (place[axis] - low) / (high - low));
    return [SIZE * x, SIZE * (1 - y)];
  }

  /** Numbers and names of both axes, outside of the map. */
  drawAxes() {
    const { axes, rows, run, softmaxed } = this.play;
    const text = (x, y, how, words) => shape("text", { class: `tick ${how}`, x, y }, words);
    const [low, high] = axes.map(([start]) => start);
    const marks = axes.map(([start, end], axis) => {
      const binary = rows.every(({ point }) => point[axis] === 0 || point[axis] === 1);
      return binary ? [0, 1] : ticks(start, end);
    });
    const up = run.inputs[1] ?? (softmaxed ? "" : (run.target?.name ?? "p"));
    this.scales.replaceChildren(
      ...marks[0].map((x) => text(this.xy([x, high])[0], SIZE + 17, "middle", readable(x))),
      ...marks[1].map((y) => text(-6, this.xy([low, y])[1] + 4, "end", readable(y))),
      text(SIZE, SIZE + 34, "end", `${run.inputs[0]} →`),
      text(-6, 10, "end", `${up} ↑`),
    );
  }

  /** The place on the axes that an event is at, and the third input. */
  pointOf({ clientX, clientY }) {
    const box = this.drawing.getBoundingClientRect();
    const shares = [(clientX - box.left) / box.width, 1 - (clientY - box.top) / box.height];
    const place = this.play.axes.map(([low, high], axis) => low + (high - low) * shares[axis]);
    return this.play.span.length === 3 ? [...place, this.play.third] : place;
  }

  /** With one input, what the network answers for each value of it. */
  curveOf({ side, pass }, output) {
    const [low, high] = this.play.axes[0];
    const answers = pass.values.at(-1).subarray(0, side * this.play.outputs);
    const heights = this.play.numeric ? answers : this.play.answersOf(answers);
    return Array.from({ length: side }, (_, cell) => {
      const place = [
        low + ((high - low) * (cell + 0.5)) / side,
        heights[cell * this.play.outputs + output],
      ];
      return `${cell ? "L" : "M"}${this.xy(place)
        .map((each) => each.toFixed(1))
        .join(" ")}`;
    }).join("");
  }

  /** The map and its boundary, once the weights are others; `chosen` is {layer, neuron}. */
  drawMap(look, chosen) {
    const last = this.play.net.widths.length - 1;
    const answer = chosen.layer === last && (chosen.neuron === null || !this.play.softmaxed);
    if (answer) paintAnswer(this.canvas, this.play, look, chosen.neuron ?? 0);
    else paintNeuron(this.canvas, this.play, look, chosen.layer, chosen.neuron);
    if (answer && this.play.span.length === 1 && !this.play.softmaxed) {
      this.lines.setAttribute("d", this.curveOf(look, chosen.neuron ?? 0));
      return;
    }
    const unsure = answer && this.unsure;
    const leads = unsure ? [] : leadsOf(this.play, look, chosen.layer, chosen.neuron);
    const scale = SIZE / look.side;
    const at = (value) => ((value + 0.5) * scale).toFixed(1);
    const segments = leads.flatMap((values) => zeroLines(values, look.side));
    const path = segments.map(([a, b, c, d]) => `M${at(a)} ${at(b)}L${at(c)} ${at(d)}`);
    this.lines.setAttribute("d", path.join(""));
  }

  /** The rows, once they are others. */
  drawRows(output) {
    this.output = output;
    const { rows } = this.play;
    const radius = rows.length > 60 ? 4 : rows.length > 12 ? 6 : 9;
    this.points = rows.map((row, at) => {
      return shape("path", {
        d: markOf(this.play.kindOf(row, output), radius),
        class: `point ${row.part}`,
        "data-row": at,
        role: "img",
        tabindex: -1,
      });
    });
    this.marks.replaceChildren(...this.points);
    this.placeRows();
  }

  placeRows() {
    const { play, output } = this;
    const [low, high] = play.span[2] ?? [0, 1];
    play.rows.forEach((row, at) => {
      const kind = play.kindOf(row, output);
      const [x, y] = this.xy([...row.point, play.numeric ? row.y[0] : kind]);
      const far = play.span.length === 3 ? Math.abs(row.point[2] - play.third) / (high - low) : 0;
      const colour = play.numeric
        ? `rgb(${numberColour(row.y[0] / DEVIATIONS)})`
        : classColour(kind);
      fill(this.points[at], {
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
        style: `--own: ${colour}; opacity: ${Math.max(0.12, 1 - 2.5 * far)}`,
        "aria-label": `row ${at + 1}, ${play.rightOf(row, output)}`,
      });
    });
  }

  /** Cross out the rows that the network has wrong. */
  drawWrong(wrong) {
    this.points.forEach((mark, at) => {
      mark.classList.toggle("wrong", wrong[at]);
    });
  }

  rowOf(event) {
    const at = event.target.dataset?.row;
    return at === undefined ? null : this.play.rows[at];
  }

  listen() {
    let held = null;
    const on = (name, act) => this.drawing.addEventListener(name, act);
    on("pointerdown", (event) => {
      held = this.rowOf(event);
      if (event.target.dataset.handle) return;
      if (held) this.drawing.setPointerCapture(event.pointerId);
      if (this.actions.press(this.pointOf(event), held)) held = null;
    });
    on("pointermove", (event) => {
      if (held && event.buttons) this.actions.drag(held, this.pointOf(event));
      else this.actions.hover(this.pointOf(event), this.rowOf(event), event);
    });
    on("pointerup", () => {
      held = null;
    });
    on("pointerleave", () => this.actions.hover(null, null, null));
    on("keydown", (event) => this.pressKey(event));
    on("focusout", () => tell(""));
  }

  /** Arrow keys go from row to row; with shift they move it; delete and enter change it. */
  pressKey(event) {
    const { rows, axes } = this.play;
    const way = ARROWS[event.key];
    if (event.target.dataset?.handle || !rows.length) return;
    const at = this.points.indexOf(document.activeElement);
    if (way && event.shiftKey && at >= 0) {
      const place = [...rows[at].point, rows[at].y[0]];
      axes.forEach(([low, high], axis) => {
        place[axis] += way[axis] * 0.03 * (high - low);
      });
      this.actions.drag(rows[at], place);
    } else if (way) {
      const next = (at + way[0] - way[1] + rows.length) % rows.length;
      this.focusRow(at < 0 ? 0 : next);
    } else if (event.key === "Delete" && at >= 0) this.actions.remove(rows[at]);
    else if (event.key === "Enter" && at >= 0) this.actions.turn(rows[at]);
    else return;
    event.preventDefault();
  }

  focusRow(at) {
    const mark = this.points[Math.min(at, this.points.length - 1)];
    const row = this.rowOf({ target: mark });
    mark.focus();
    this.actions.hover(row.point, row, { target: mark });
  }

  setTitle(title) {
    this.drawing.setAttribute("aria-label", title);
  }
}
