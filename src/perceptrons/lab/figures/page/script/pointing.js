// What happens to a point of the plane or a row that is pointed at, pressed or moved.

import { typedTarget } from "./controls.js";
import { tell } from "./dom.js";
import { forward } from "./network.js";
import { inputsOf } from "./rows.js";
import { fixed } from "./run.js";

export class Pointing {
  /** page: has play, run, plane, line and diagram, and draw(). */
  constructor(page) {
    this.page = page;
  }

  /** A point or row that is pointed at: all activations along the way. */
  hover(point, row, event) {
    const { play } = this.page;
    if (!play || !point) {
      this.page.diagram.drawValues(null);
      tell("");
      return;
    }
    const at = row ? row.point : point.slice(0, play.span.length);
    const x = inputsOf(at, this.page.run.encode, play.extras);
    const { values } = forward(play.net, Float64Array.from(x), 1);
    const layers = values.map((each, layer) => [
      ...(layer === values.length - 1 ? play.answersOf(each) : each),
    ]);
    this.page.diagram.drawValues(layers);
    const name = row
      ? `row ${play.rows.indexOf(row) + 1}${row.part === "val" ? " (validation)" : ""}`
      : "here";
    const kind = row ? `, ${play.rightOf(row, this.page.output)}` : "";
    const hidden = layers.slice(1, -1).map((_, at) => `layer ${at + 1}`);
    const titles = ["inputs", ...hidden, play.numeric ? "answer" : "p"];
    const steps = layers.map((each, layer) => {
      const few = each.slice(0, 8).map((value) => fixed(value, 3));
      return [titles[layer], ...few, ...(each.length > 8 ? ["…"] : [])].join("  ");
    });
    tell([name + kind, ...steps].join("\n"), event);
  }

  get tool() {
    return document.querySelector("[name=tool]:checked")?.value ?? "move";
  }

  /** A press on the plane; whether it has been taken care of. */
  press(point, row) {
    if (this.tool === "remove" && row) {
      this.remove(row);
      return true;
    }
    if (!this.tool.startsWith("add")) return false;
    const { play, output } = this.page;
    const inputs = play.span.length;
    const right = play.numeric
      ? typedTarget(play)
      : play.targetOf(Number(this.tool.slice(4)), output);
    const y = play.numeric && inputs === 1 ? [point[1]] : right;
    play.rows.push({ point: point.slice(0, inputs), y, part: "train" });
    play.changeRows();
    return true;
  }

  drag(row, point) {
    row.point = point.slice(0, row.point.length);
    if (this.page.play.numeric && row.point.length === 1) row.y = [point[1]];
    this.page.play.rowsChanged = true;
    this.page.play.makeTables();
    this.page.plane.placeRows();
    this.page.line.count(true);
    this.page.draw();
  }

  remove(row) {
    if (this.page.play.rows.length < 2) return;
    const at = this.page.play.rows.indexOf(row);
    this.page.play.rows.splice(at, 1);
    this.page.play.changeRows();
    this.page.plane.focusRow(at);
  }

  /** Give a row the next class. */
  turn(row) {
    const { play, output } = this.page;
    if (play.numeric) return;
    const kind = (play.kindOf(row, output) + 1) % play.kinds;
    if (play.softmaxed) row.y = play.targetOf(kind, output);
    else row.y[output] = kind;
    const at = play.rows.indexOf(row);
    play.changeRows();
    this.page.plane.focusRow(at);
  }
}
