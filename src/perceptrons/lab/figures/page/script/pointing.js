// What happens to a point of the plane or a row that is pointed at, pressed or moved.

import { kindsOf, targetOf } from "./controls.js";
import { tell } from "./dom.js";
import { forward } from "./network.js";
import { classOf, inputsOf } from "./rows.js";
import { className } from "./run.js";
import { answersOf } from "./status.js";

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
    const at = row ? row.point : point;
    const x = inputsOf(at, this.page.run.encode, play.extras);
    const { values } = forward(play.net, Float64Array.from(x), 1);
    const layers = values.map((each, layer) => [
      ...(layer === values.length - 1 ? answersOf.chances(play, each) : each),
    ]);
    this.page.diagram.drawValues(layers);
    const name = row
      ? `row ${play.rows.indexOf(row) + 1}${row.part === "val" ? " (validation)" : ""}`
      : "here";
    const kind = row
      ? `, class ${className(this.page.run, classOf(row.y, this.page.output, play.softmaxed))}`
      : "";
    const steps = layers.map(
      (each, layer) =>
        (layer ? (layer === layers.length - 1 ? "p" : `layer ${layer}`) : "inputs") +
        `  ${each
          .slice(0, 8)
          .map((value) => value.toFixed(3))
          .join("  ")}${each.length > 8 ? " …" : ""}`,
    );
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
    const y = targetOf(this.page.play, Number(this.tool.slice(4)), this.page.output);
    this.page.play.rows.push({ point, y, part: "train" });
    this.page.play.changeRows();
    return true;
  }

  drag(row, point) {
    row.point = point.slice(0, row.point.length);
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
    const kind = (classOf(row.y, output, play.softmaxed) + 1) % kindsOf(play);
    if (play.softmaxed) row.y = targetOf(play, kind, output);
    else row.y[output] = kind;
    const at = play.rows.indexOf(row);
    play.changeRows();
    this.page.plane.focusRow(at);
  }
}
