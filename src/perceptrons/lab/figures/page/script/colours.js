// Two scales, and no colour means two things: classes are orange, blue, ...; numbers are purple
// below 0 and green above. Both have the page's background in the middle.

const STEPS = 256;
let scales = {};

/** Red, green and blue of one of light-dark's two colours. */
function channels(pair) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const number = Number.parseInt(pair.match(/[0-9a-f]{6}/g)[dark ? 1 : 0], 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

const mix = (from, to, share) => from.map((each, at) => each + (to[at] - each) * share);

/** Read the colours anew, after the system has turned dark or light. */
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => channels(style.getPropertyValue(name));
  const middle = read("--map");
  const classes = Array.from({ length: 8 }, (_, at) => read(`--class${at}`));
  const scale = (low, high) =>
    Array.from({ length: STEPS }, (_, at) => {
      const way = (2 * at) / (STEPS - 1) - 1;
      return mix(middle, way < 0 ? low : high, 0.82 * Math.abs(way));
    });
  scales = {
    middle,
    classes,
    binary: scale(classes[0], classes[1]),
    numbers: scale(read("--below"), read("--above")),
  };
}

const step = (share) => Math.max(0, Math.min(STEPS - 1, Math.round(share * (STEPS - 1))));

/** Colour of a probability of the second of two classes. */
export const binaryColour = (p) => scales.binary[step(p)];

/** Colour of a number between -1 and 1. */
export const numberColour = (value) => scales.numbers[step((value + 1) / 2)];

/** Colour of the likeliest of several classes, paler the less sure. */
export function winnerColour(winner, share, count) {
  const sure = Math.max(0, (share - 1 / count) / (1 - 1 / count));
  return mix(scales.middle, scales.classes[winner % scales.classes.length], 0.8 * sure);
}

/** A class's own colour, for rows and keys. */
export const classColour = (number) => `var(--class${number % 8})`;
