// Loss and accuracy over the updates: of the run, of other runs beside it, and of training on.

import { element, shape, tell } from "./dom.js";
import { readable } from "./run.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [520, 190, 46, 24, 22, 8];

/** Four or five round numbers from low to high. */
export function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 2 || 1));
  const wide = [1, 2, 2.5, 5, 10]
    .map((each) => each * step)
    .find((each) => (high - low) / each <= 5);
  const first = Math.ceil(low / wide - 1e-9);
  return Array.from({ length: Math.floor(high / wide + 1e-9) - first + 1 }, (_, at) =>
    Number(((first + at) * wide).toPrecision(6)),
  );
}

export class Chart {
  /** series: [{label, points: [[update, value]], colour, dashed}]; jump(update) on a click. */
  constructor(box, title, jump) {
    this.title = title;
    this.jump = jump;
    this.ground = shape("g");
    this.own = shape("g");
    this.now = shape("path", { class: "now" });
    this.drawing = shape(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": title },
      this.ground,
      this.own,
      this.now,
    );
    this.key = element("span", { class: "key" });
    const caption = element("figcaption", {}, title, this.key);
    box.append(element("figure", {}, caption, this.drawing));
    this.drawing.addEventListener("pointermove", (event) => this.hover(event));
    this.drawing.addEventListener("pointerdown", (event) => this.jump(this.updateAt(event)));
    this.drawing.addEventListener("pointerleave", () => tell(""));
  }

  /** The curves of runs, and a dashed line at `guess`, [value, words], where that is known. */
  place(series, guess, fixed) {
    this.series = series.filter(({ points }) => points.length);
    this.guess = guess;
    this.fixed = fixed;
    this.tail = [];
    this.frame(0);
    this.drawSeries();
    this.drawKey();
  }

  /** What each curve is, where there is more than one. */
  drawKey() {
    const all = [...this.series, ...this.tail];
    const items = all.map(({ label, colour, dashed }) => {
      const style = `border-top-style: ${dashed ? "dashed" : "solid"}; border-top-color: ${colour}`;
      return element("span", {}, element("i", { style }), label);
    });
    this.key.replaceChildren(...(all.length > 1 ? items : []));
  }

  /** Make room up to an update, and for all values. */
  frame(update) {
    const all = [...this.series, ...this.tail].flatMap(({ points }) => points);
    const values = all.map(([, value]) => value).filter(Number.isFinite);
    const most = values.reduce((a, b) => Math.max(a, b), this.guess ? this.guess[0] * 1.08 : 0);
    this.end = all.reduce((end, [at]) => Math.max(end, at), Math.max(update ?? 0, 1));
    this.low = Math.max(
      -1,
      values.reduce((a, b) => Math.min(a, b), 0),
    );
    this.high = (this.fixed ?? most * 1.05) || 1;
  }

  x(update) {
    return LEFT + ((WIDTH - LEFT - RIGHT) * update) / this.end;
  }

  y(value) {
    const share = (value - this.low) / (this.high - this.low);
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * Math.max(0, Math.min(1.02, share));
  }

  /** A curve; of a share of the rows, which jumps, in steps. */
  line({ points, colour, dashed, strong }) {
    const path = points
      .filter(([, value]) => Number.isFinite(value))
      .map(([update, value], at) => {
        const [x, y] = [this.x(update).toFixed(1), this.y(value).toFixed(1)];
        if (!at) return `M${x} ${y}`;
        return this.fixed ? `H${x}V${y}` : `L${x} ${y}`;
      });
    const style = `stroke: ${colour}; stroke-width: ${strong ? 3.5 : 2}`;
    return shape("path", { d: path.join(""), class: dashed ? "curve dashed" : "curve", style });
  }

  /** A horizontal line. */
  level(value, kind) {
    return shape("path", { class: kind, d: `M${LEFT} ${this.y(value)}H${WIDTH - RIGHT}` });
  }

  drawSeries() {
    const text = (x, y, how, words) => shape("text", { class: `tick ${how}`, x, y }, words);
    const marks = ticks(this.low, this.high).flatMap((value) => [
      this.level(value, "rule"),
      text(LEFT - 6, this.y(value) + 4, "end", readable(value)),
    ]);
    const times = ticks(0, this.end).map((update) =>
      text(Math.min(this.x(update), WIDTH - 22), HEIGHT - 6, "middle", readable(update)),
    );
    const guess = this.guess
      ? [
          this.level(this.guess[0], "guess"),
          text(WIDTH - RIGHT - 6, this.y(this.guess[0]) - 4, "end", this.guess[1]),
        ]
      : [];
    const lines = this.series.map((each) => this.line(each));
    this.ground.replaceChildren(...marks, ...times, ...guess, ...lines);
  }

  /** Where we are, and what training on has brought: tail like series. */
  drawNow(update, tail) {
    const before = this.tail.length;
    this.tail = tail.filter(({ points }) => points.length > 1);
    if (this.tail.length !== before) this.drawKey();
    const [end, high, low] = [this.end, this.high, this.low];
    this.frame(update);
    if (this.end !== end || this.high !== high || this.low !== low) this.drawSeries();
    this.own.replaceChildren(...this.tail.map((each) => this.line(each)));
    const x = this.x(update);
    this.now.setAttribute("d", update >= 0 ? `M${x} ${TOP - 6}V${HEIGHT - BOTTOM}` : "");
  }

  updateAt({ clientX }) {
    const box = this.drawing.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * WIDTH;
    return Math.max(0, Math.min(1, (x - LEFT) / (WIDTH - LEFT - RIGHT))) * this.end;
  }

  hover(event) {
    const update = this.updateAt(event);
    const nearest = (points) =>
      points.reduce((best, each) =>
        Math.abs(each[0] - update) < Math.abs(best[0] - update) ? each : best,
      );
    const told = [...this.series, ...this.tail].slice(0, 12).map(({ label, points }) => {
      const [at, value] = nearest(points);
      return `${label}, update ${readable(at)}: ${readable(value)}`;
    });
    tell(told.join("\n"), event);
  }
}
