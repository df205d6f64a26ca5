// Several runs: a table that sorts, and their boundaries side by side.

import { byId, element } from "./dom.js";
import { cellInputs, lookAround, paintAnswer } from "./map.js";
import { Play } from "./play.js";
import { frameAt, readable } from "./run.js";
import { answersOf } from "./status.js";

const SIDE = 48;
const RUNS = 6; // colours of runs

export const runColour = (number) => `var(--run${number % RUNS})`;

/** Settings in which the runs differ, by name. */
function differing(runs) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))];
  const text = (run, name) => JSON.stringify(run.settings[name] ?? null);
  return names.filter((name) => runs.some((run) => text(run, name) !== text(runs[0], name)));
}

const lastOf = (points) => points?.at(-1)?.[1];

const shownAs = (value) =>
  typeof value === "object" && value !== null ? JSON.stringify(value) : value;

/** The table; open(number) is called for the run that is chosen. */
export function drawTable(runs, open) {
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))];
  const settings = differing(runs);
  const columns = ["run", ...metrics, ...settings];
  const lines = runs.map((run, number) => ({
    number,
    values: [
      run.title,
      ...metrics.map((name) => lastOf(run.curves[name])),
      ...settings.map((name) => shownAs(run.settings[name])),
    ],
  }));
  const body = element("tbody");
  const fill = () => body.replaceChildren(...lines.map((line) => lineOf(line, open)));
  const heads = columns.map((name, at) => {
    const head = element("th", { scope: "col" });
    head.append(element("button", { type: "button", onclick: () => sort(at, head) }, name));
    return head;
  });
  const sort = (at, head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const each of heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    lines.sort((one, other) => (down ? -1 : 1) * compare(one.values[at], other.values[at]));
    fill();
  };
  fill();
  byId("table").replaceChildren(
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body),
  );
  const said = settings.length
    ? `The runs differ in ${settings.join(", ")}.`
    : "The runs have the same settings.";
  byId("differ").textContent = said;
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one ?? "").localeCompare(String(other ?? ""), "en", { numeric: true });
}

function lineOf({ number, values }, open) {
  const [name, ...rest] = values;
  const choose = element("button", { type: "button", onclick: () => open(number) }, String(name));
  const colour = element("i", { style: `border-top-color: ${runColour(number)}` });
  const cells = rest.map((value) => {
    const text = typeof value === "number" ? readable(value) : String(value ?? "–");
    return element("td", { class: typeof value === "number" ? "numeric" : "" }, text);
  });
  return element(
    "tr",
    { "data-run": number },
    element("th", { scope: "row" }, colour, choose),
    ...cells,
  );
}

/** The boundaries of all runs beside each other, at the same update. */
export class Beside {
  constructor(runs, open) {
    this.shown = runs.flatMap((run, number) => {
      if (!run.frames.length) return [];
      const play = new Play(run, () => {});
      const canvas = element("canvas", { "aria-hidden": "true" });
      const caption = element("figcaption");
      const choose = element(
        "button",
        { type: "button", "aria-label": `open ${run.title}`, onclick: () => open(number) },
        canvas,
      );
      const figure = element("figure", { style: `--own: ${runColour(number)}` }, choose, caption);
      return [{ run, play, canvas, caption, figure, inputs: cellInputs(play, SIDE) }];
    });
    byId("beside").replaceChildren(...this.shown.map(({ figure }) => figure));
  }

  draw(update) {
    for (const { run, play, canvas, caption, inputs } of this.shown) {
      play.show(frameAt(run, update));
      paintAnswer(canvas, play, lookAround(play, inputs, SIDE), 0);
      const how = answersOf(play).unsure ? "no answer yet" : play.measure("train").words;
      caption.textContent = `${run.title}: ${how} at update ${readable(play.updates)}`;
    }
  }
}
