// The reader's own line: two handles, and a count of the rows that it has right.

import { bestOfAllLines, crossing, rightByLine } from "./boundary.js";
import { ARROWS, fill, shape } from "./dom.js";

export class OwnLine {
  /** say(text) tells how many rows the line has right. */
  constructor(plane, say) {
    this.plane = plane;
    this.say = say;
    this.ends = null;
    this.stroke = shape("path", { class: "own" });
    this.why = shape("path", { class: "why" });
    this.handles = [0, 1].map((number) => this.handle(number));
  }

  handle(number) {
    const made = shape("circle", {
      r: 9,
      class: "handle",
      tabindex: 0,
      role: "slider",
      "data-handle": number,
      "aria-label": `end ${number + 1} of your line: arrow keys move it`,
    });
    made.addEventListener("pointerdown", (event) => {
      made.setPointerCapture(event.pointerId);
      event.stopPropagation();
    });
    made.addEventListener("pointermove", (event) => {
      if (event.buttons) this.move(number, this.plane.pointOf(event));
    });
    made.addEventListener("keydown", (event) => {
      const way = ARROWS[event.key];
      if (!way) return;
      const step = ([low, high], axis) => this.ends[number][axis] + 0.02 * way[axis] * (high - low);
      this.move(number, this.plane.play.axes.map(step));
      event.preventDefault();
    });
    return made;
  }

  toggle(shown) {
    const { axes } = this.plane.play;
    const at = (...shares) => axes.map(([low, high], axis) => low + shares[axis] * (high - low));
    this.ends = shown ? [at(0.12, 0.55), at(0.88, 0.62)] : null;
    this.tried = 0;
    this.best = this.mine = 0;
    this.plane.over.replaceChildren(...(shown ? [this.why, this.stroke, ...this.handles] : []));
    this.count(true);
  }

  move(number, point) {
    this.ends[number] = point.slice(0, 2);
    this.tried++;
    this.count();
  }

  /** Count the rows right; `anew` where the rows have changed. */
  count(anew = false) {
    if (!this.ends) {
      this.say("");
      return;
    }
    const { play, output } = this.plane;
    const { rows } = play;
    const kinds = rows.map((row) => ({ point: row.point, kind: play.kindOf(row, output) }));
    if (anew) {
      this.best = bestOfAllLines(kinds);
      this.mine = 0;
      this.cross = crossing(kinds);
    }
    const right = rightByLine(kinds, ...this.ends);
    this.mine = Math.max(this.mine, right);
    this.draw();
    this.say(this.told(right, rows.length));
  }

  /** Whether the reader has seen that no line is better. */
  get isOver() {
    const known = this.best !== null && this.best < this.plane.play.rows.length;
    return known && (this.mine >= this.best || this.tried > 40);
  }

  told(right, total) {
    const said = [`Your line has ${right} of ${total} rows right; your best so far: ${this.mine}.`];
    if (this.best === total) said.push(`A line can have all ${total} right.`);
    if (this.isOver) {
      said.push(`No line has more than ${this.best} of ${total}.`);
      if (this.cross)
        said.push(
          "The dotted segments show why: a side of the line that holds both rows of one class holds the crossing, which lies between the two of the other.",
        );
    }
    return said.join(" ");
  }

  draw() {
    const [[a, b], [c, d]] = this.ends.map((end) => this.plane.xy(end));
    const [x, y] = [1000 * (c - a), 1000 * (d - b)];
    this.stroke.setAttribute("d", `M${a - x} ${b - y}L${c + x} ${d + y}`);
    this.handles.forEach((made, number) => {
      const [cx, cy] = this.plane.xy(this.ends[number]);
      const [x, y] = this.ends[number].map((value) => value.toFixed(2));
      fill(made, { cx, cy, "aria-valuetext": `${x}, ${y}`, "aria-valuenow": x });
    });
    const places = this.isOver && this.cross ? this.cross.map((point) => this.plane.xy(point)) : [];
    const path = places.map(([x, y], at) => `${at % 2 ? "L" : "M"}${x} ${y}`);
    this.why.setAttribute("d", path.join(""));
  }
}
