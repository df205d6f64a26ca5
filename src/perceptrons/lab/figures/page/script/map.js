// What a network or one of its neurons says all over the plane.

import { binaryColour, numberColour, winnerColour } from "./colours.js";
import { largestOf } from "./losses.js";
import { forward } from "./network.js";
import { cellsOf, inputsOf } from "./rows.js";

export const DEVIATIONS = 2; // from the mean, at which a predicted number has its full colour

/** What the network is given in each cell of the plane, flat. */
export function cellInputs(play, side) {
  const cells = cellsOf(play.span, side, play.third);
  return Float64Array.from(cells.flatMap((point) => inputsOf(point, play.run.encode, play.extras)));
}

/** The network at each cell: {side, pass}, for all maps of one drawing. */
export function lookAround(play, inputs, side) {
  return { side, pass: forward(play.net, inputs, side * side) };
}

/** Paint a canvas of side by side pixels; the browser enlarges it smoothly. */
function paint(canvas, side, colourOf) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(side, side);
  for (let cell = 0; cell < side * side; cell++) {
    const colour = colourOf(cell);
    picture.data[4 * cell] = colour[0];
    picture.data[4 * cell + 1] = colour[1];
    picture.data[4 * cell + 2] = colour[2];
    picture.data[4 * cell + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

/** How a neuron's value becomes a number from -1 to 1, given its activation and all its values. */
function shareOf(activation, values, width, neuron) {
  if (activation === "sigmoid") return (value) => 2 * value - 1;
  if (activation === "tanh") return (value) => value;
  let largest = 1e-9;
  for (let at = neuron; at < values.length; at += width) {
    largest = Math.max(largest, Math.abs(values[at]));
  }
  return (value) => value / largest;
}

/** A map of a neuron: layer 0 are the inputs, the last layer the outputs, as probabilities. */
export function paintNeuron(canvas, play, { side, pass }, layer, neuron) {
  const width = play.net.widths[layer];
  const values = pass.values[layer];
  const at = (cell) => values[cell * width + neuron];
  if (layer < play.net.widths.length - 1) {
    const range = shareOf(layer ? play.net.activations[layer - 1] : "", values, width, neuron);
    paint(canvas, side, (cell) => numberColour(range(at(cell))));
  } else if (play.numeric) {
    paint(canvas, side, (cell) => numberColour(at(cell) / DEVIATIONS));
  } else {
    const shares = play.answersOf(values);
    const colour = play.softmaxed ? (p) => winnerColour(neuron, p, width) : binaryColour;
    paint(canvas, side, (cell) => colour(shares[cell * width + neuron]));
  }
}

/** A map of what the network answers: of the likeliest class, or of one output. */
export function paintAnswer(canvas, play, look, output) {
  const { side, pass } = look;
  if (!play.softmaxed) {
    paintNeuron(canvas, play, look, play.net.widths.length - 1, output);
    return;
  }
  const width = play.outputs;
  const shares = play.answersOf(pass.values.at(-1));
  paint(canvas, side, (cell) => {
    const winner = largestOf(shares, cell * width, width);
    return winnerColour(winner, shares[cell * width + winner], width);
  });
}

/** Values that are 0 where the answer changes, a grid for each boundary. */
export function leadsOf(play, { side, pass }, layer, neuron) {
  const last = play.net.widths.length - 1;
  const width = play.net.widths[layer];
  const values = layer === last ? pass.values[layer] : pass.sums[layer - 1];
  const whole = layer === last && play.softmaxed && neuron === null;
  const one = (cell, wanted) => values[cell * width + wanted];
  const grid = (value) => Float64Array.from({ length: side * side }, (_, cell) => value(cell));
  if (layer === last && play.numeric) return [];
  if (!whole) return layer ? [grid((cell) => one(cell, neuron ?? 0))] : [];
  return Array.from({ length: width }, (_, wanted) =>
    grid((cell) => {
      let other = Number.NEGATIVE_INFINITY;
      for (let k = 0; k < width; k++) if (k !== wanted) other = Math.max(other, one(cell, k));
      return one(cell, wanted) - other;
    }),
  );
}
