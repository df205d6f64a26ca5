// The losses that a run can be trained with: their value, and their derivative by each logit.
// Logits and targets are flat (rows, outputs).

import { sigmoid } from "./network.js";

/** Probabilities of the classes, softmax of each row's logits. */
export function softmax(logits, outputs) {
  const shares = new Float64Array(logits.length);
  for (let first = 0; first < logits.length; first += outputs) {
    let most = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < outputs; k++) most = Math.max(most, logits[first + k]);
    let sum = 0;
    for (let k = 0; k < outputs; k++) {
      shares[first + k] = Math.exp(logits[first + k] - most);
      sum += shares[first + k];
    }
    for (let k = 0; k < outputs; k++) shares[first + k] /= sum;
  }
  return shares;
}

const mean = (numbers) => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;

export const LOSSES = {
  // from the logits, so that a network that is very sure has a loss too
  bce: {
    value: (logits, y) =>
      mean(logits.map((z, at) => Math.max(z, 0) - z * y[at] + Math.log1p(Math.exp(-Math.abs(z))))),
    delta: (logits, y) => logits.map((z, at) => (sigmoid(z) - y[at]) / logits.length),
    guess: () => [Math.LN2, "p = ½ for every row"],
  },
  mse: {
    value: (logits, y) => mean(logits.map((z, at) => (sigmoid(z) - y[at]) ** 2)),
    delta: (logits, y) =>
      logits.map((z, at) => {
        const p = sigmoid(z);
        return (2 * (p - y[at]) * p * (1 - p)) / logits.length;
      }),
    guess: () => [0.25, "p = ½ for every row"],
  },
  squared_error: {
    value: (logits, y) => mean(logits.map((z, at) => (z - y[at]) ** 2)),
    delta: (logits, y) => logits.map((z, at) => (2 * (z - y[at])) / logits.length),
    guess: () => [1, "the mean for every row"], // their standard deviation is 1
  },
  cross_entropy: {
    value: (logits, y, outputs) =>
      outputs * mean(softmax(logits, outputs).map((p, at) => (y[at] ? -y[at] * Math.log(p) : 0))),
    delta: (logits, y, outputs) =>
      softmax(logits, outputs).map((p, at) => ((p - y[at]) * outputs) / logits.length),
    guess: (outputs) => [Math.log(outputs), `p = 1/${outputs} for every row`],
  },
};

/** How many of the answers are right, and of how many: of each row, or of each output of its own. */
export function countRight(logits, y, outputs, softmaxed) {
  let right = 0;
  if (!softmaxed) {
    for (let at = 0; at < logits.length; at++) right += logits[at] > 0 === y[at] > 0.5 ? 1 : 0;
    return { right, total: logits.length };
  }
  for (let first = 0; first < logits.length; first += outputs) {
    const largest = largestOf(logits, first, outputs);
    right += y[first + largest] > 0.5 ? 1 : 0;
  }
  return { right, total: logits.length / outputs };
}

/** Share of the squares of the targets, about their mean, that a network accounts for. */
export function r2Of(logits, y) {
  const middle = mean(y);
  const sum = (numbers) => numbers.reduce((all, each) => all + each ** 2, 0);
  return 1 - sum(logits.map((z, at) => z - y[at])) / sum(y.map((each) => each - middle));
}

/** Which of some numbers from `first` on is the largest. */
export function largestOf(numbers, first, count) {
  let largest = 0;
  for (let k = 1; k < count; k++) {
    if (numbers[first + k] > numbers[first + largest]) largest = k;
  }
  return largest;
}
