// The page: what is on it, and what is drawn again when something has changed.

import { readColours } from "./colours.js";
import { Beside, drawTable, runColour } from "./compare.js";
import {
  drawRowControls,
  drawShapeControls,
  drawTrainingControls,
  keyMark,
  listenToControls,
} from "./controls.js";
import { Chart } from "./curves.js";
import { Diagram } from "./diagram.js";
import { byId, element, onceAFrame } from "./dom.js";
import { OwnLine } from "./line.js";
import { LOSSES } from "./losses.js";
import { cellInputs, lookAround } from "./map.js";
import { countOf } from "./network.js";
import { Plane } from "./plane.js";
import { Play } from "./play.js";
import { Player } from "./player.js";
import { Pointing } from "./pointing.js";
import { className, frameAt, unpackRun } from "./run.js";
import { answersOf, statusOf } from "./status.js";

// cells of a map along each axis, and those of a network of many weights
const [SIDE, FEWER, MANY] = [64, 40, 1000];
const runs = JSON.parse(byId("runs").textContent).map(unpackRun);

/** What is drawn beside the loss: accuracy, or something else that was measured. */
function secondOf(all) {
  const names = all.flatMap(({ curves }) => Object.keys(curves)).map((name) => name.split("/")[1]);
  return ["accuracy", "r2", ...names].find((name) => name !== "loss" && names.includes(name));
}

/** Parts of the rows that have a curve of their own. */
function partsOf({ curves }, name) {
  const [train, val] = ["train", "val"].map((part) => JSON.stringify(curves[`${part}/${name}`]));
  return ["train", ...(val && val !== train ? ["val"] : [])];
}

class Page {
  constructor() {
    this.pointing = new Pointing(this);
    this.plane = new Plane(byId("plane"), this.pointing);
    this.line = new OwnLine(this.plane, (text) => {
      byId("line-says").textContent = text;
    });
    this.diagram = new Diagram(byId("network"), {
      look: (layer, neuron) => this.look({ layer, neuron }),
      leave: () => this.look(null),
      choose: (layer, neuron) => this.choose(layer, neuron),
    });
    const jump = (update) => this.player.goTo(frameAt(this.run, update));
    this.charts = ["loss", secondOf(runs)]
      .filter(Boolean)
      .map((name) => new Chart(byId("curves"), name, jump));
    this.player = new Player(() => this.play);
    this.draw = onceAFrame(() => this.drawNow());
    this.beside = runs.length > 1 ? new Beside(runs, (number) => this.open(number)) : null;
    if (this.beside) drawTable(runs, (number) => this.open(number));
    byId("compare").hidden = runs.length < 2;
    listenToControls(() => this.play);
    this.listen();
  }

  listen() {
    byId("reset").addEventListener("click", () => this.open(this.number));
    byId("own-line").addEventListener("click", ({ currentTarget }) => {
      const shown = currentTarget.getAttribute("aria-pressed") !== "true";
      currentTarget.setAttribute("aria-pressed", shown);
      this.line.toggle(shown);
    });
    byId("third").addEventListener("input", ({ target }) => {
      this.play.third = Number(target.value);
      this.changed("rows");
    });
    new ResizeObserver(() => this.changed("shape")).observe(byId("network"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      readColours();
      this.draw();
    });
  }

  /** Look at one of the runs. */
  open(number) {
    this.number = number;
    this.run = runs[number];
    this.player.stop();
    byId("title").textContent = this.run.title;
    byId("note").textContent = this.run.note ?? "";
    const seen = this.run.frames.length > 0;
    for (const panel of document.querySelectorAll(".seen")) panel.hidden = !seen;
    for (const picture of document.querySelectorAll("[data-picture]")) {
      picture.hidden = seen || picture.dataset.picture !== String(number);
    }
    this.play = null;
    this.placeCharts();
    for (const row of document.querySelectorAll("#table [data-run]")) {
      row.toggleAttribute("aria-current", row.dataset.run === String(number));
    }
    if (seen) this.openPlay();
    else this.drawCharts();
  }

  openPlay() {
    const play = new Play(this.run, (what) => this.changed(what));
    this.play = play;
    this.chosen = null;
    this.plane.play = play;
    this.player.place(this.run);
    const twoClasses = play.span.length === 2 && !play.softmaxed && !play.numeric;
    byId("own-line").hidden = !twoClasses;
    byId("own-line").setAttribute("aria-pressed", "false");
    this.line.toggle(false);
    byId("space").hidden = play.span.length < 3;
    const [min, max] = play.span[2] ?? [0, 1];
    Object.assign(byId("third"), { min, max, step: (max - min) / 100, value: play.third });
    byId("third-name").textContent = this.run.inputs[2] ?? "";
    this.plane.drawAxes();
    const mark = (text, ...how) => element("span", {}, keyMark(...how), ` ${text}`);
    const marks = play.numeric
      ? ["above", "below"].map((way) => mark(`${way} the mean`, 0, `var(--${way})`))
      : Array.from({ length: play.kinds }, (_, kind) => mark(className(this.run, kind), kind));
    byId("classes").replaceChildren(...marks);
    drawRowControls(play);
    drawTrainingControls(play);
    byId("tail-note").textContent = this.run.training_note ?? "";
    this.changed("shape");
  }

  changed(what) {
    if (!this.play) return;
    if (what === "shape") {
      this.chosen = null;
      this.diagram.place(this.play);
      drawShapeControls(this.play);
      drawTrainingControls(this.play);
    }
    if (what !== "weights") {
      this.side = countOf(this.play.net) > MANY ? FEWER : SIDE;
      this.inputs = cellInputs(this.play, this.side);
      this.plane.drawRows(this.output);
      this.line.count(true);
    }
    this.draw();
  }

  /** Which neuron the large map is of: the one pointed at, the one chosen, or the answer. */
  get target() {
    return this.looked ?? this.chosen ?? { layer: this.play.net.widths.length - 1, neuron: null };
  }

  /** The output by which rows are coloured. */
  get output() {
    const last = this.play.net.widths.length - 1;
    return this.target.layer === last ? (this.target.neuron ?? 0) : 0;
  }

  look(target) {
    this.looked = target;
    this.draw();
  }

  choose(layer, neuron) {
    const same = this.chosen?.layer === layer && this.chosen?.neuron === neuron;
    this.chosen = same ? null : { layer, neuron };
    if (this.play) this.changed("rows");
  }

  drawNow() {
    const { play } = this;
    if (!play) return;
    const answers = answersOf(play);
    const look = lookAround(play, this.inputs, this.side);
    this.plane.unsure = answers.unsure;
    this.plane.drawMap(look, this.target);
    this.plane.drawWrong(answers.wrong);
    this.diagram.draw(look);
    this.diagram.drawChosen(this.target);
    const status = statusOf(play, answers, this.target);
    byId("status").textContent = status.line;
    byId("map-title").textContent = status.map;
    this.plane.setTitle(
      `${status.map}; ${play.rows.length} rows: arrow keys go from one to the next`,
    );
    const changed = play.rowsChanged || play.shapeChanged || play.weightsChanged;
    byId("changed").hidden = !changed;
    byId("title").textContent = this.run.title + (changed ? ", changed in this page" : "");
    this.player.draw();
    this.drawCharts(play.updates);
  }

  placeCharts() {
    const several = runs.length > 1;
    const guess = LOSSES[this.run.loss]?.guess(this.run.widths?.at(-1) ?? 2);
    for (const chart of this.charts) {
      const series = (several ? runs : [this.run]).flatMap((run) =>
        partsOf(run, chart.title).map((part) => ({
          label: several ? `${run.title} ${part}` : { train: "training", val: "validation" }[part],
          points: run.curves[`${part}/${chart.title}`] ?? [],
          colour: several ? runColour(runs.indexOf(run)) : "var(--ink)",
          dashed: part === "val",
          strong: several && run === this.run,
        })),
      );
      chart.place(
        series,
        chart.title === "loss" ? guess : null,
        chart.title === "accuracy" ? 1.02 : undefined,
      );
      chart.drawing.setAttribute(
        "aria-label",
        `${chart.title} of ${series.map(({ label }) => label).join(", ")}`,
      );
    }
  }

  drawCharts(update) {
    const history = this.play?.history ?? [];
    const tail = (name) =>
      ["train", "val"].map((part) => ({
        label: `trained on in this page${part === "val" ? ", validation" : ""}`,
        points: history.flatMap((each) => (each[part] ? [[each.update, each[part][name]]] : [])),
        colour: "var(--accent)",
        dashed: part === "val",
      }));
    for (const [chart, name] of [
      [this.charts[0], "loss"],
      [this.charts[1], "score"],
    ])
      chart?.drawNow(update, tail(name));
    if (this.beside && this.lastUpdate !== update) this.beside.draw(update);
    this.lastUpdate = update;
  }
}

readColours();
document.body.classList.add("alive");
const page = new Page();
page.open(0);
globalThis.page = page; // to be looked at in the browser's console
