// A network of linear layers with an activation between them, and its gradients by the chain rule.
//
// net: {widths: [2, 2, 1], activations: ["sigmoid"], bias: true, weights}; the weights are in the
// order that PyTorch has them in: layer by layer, weight (outputs, inputs) before bias (outputs).
// Rows are flat: number `row * width + neuron` of an array belongs to that row and neuron.

export const sigmoid = (sum) => 1 / (1 + Math.exp(-sum));

const SLOPE = 0.01; // of leaky_relu below 0, as PyTorch has it

// value of a weighted sum, and its derivative given both
export const ACTIVATIONS = {
  sigmoid: { value: sigmoid, derivative: (_, value) => value * (1 - value) },
  tanh: { value: Math.tanh, derivative: (_, value) => 1 - value * value },
  relu: { value: (sum) => (sum > 0 ? sum : 0), derivative: (sum) => (sum > 0 ? 1 : 0) },
  leaky_relu: {
    value: (sum) => (sum > 0 ? sum : SLOPE * sum),
    derivative: (sum) => (sum > 0 ? 1 : SLOPE),
  },
  identity: { value: (sum) => sum, derivative: () => 1 },
};

/** Where each layer's numbers begin: [{inputs, outputs, weight, bias}]; bias is -1 without one. */
export function layersOf({ widths, bias }) {
  let start = 0;
  return widths.slice(1).map((outputs, number) => {
    const inputs = widths[number];
    const weight = start;
    start += inputs * outputs;
    const layer = { inputs, outputs, weight, bias: bias ? start : -1 };
    start += bias ? outputs : 0;
    return layer;
  });
}

export function countOf(net) {
  return layersOf(net).reduce(
    (sum, { inputs, outputs }) => sum + (inputs + (net.bias ? 1 : 0)) * outputs,
    0,
  );
}

/** Weighted sums of a layer (rows, outputs). */
function sumsOf(weights, layer, x, rows) {
  const { inputs, outputs, weight, bias } = layer;
  const sums = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    for (let output = 0; output < outputs; output++) {
      let sum = bias < 0 ? 0 : weights[bias + output];
      const first = weight + output * inputs;
      for (let input = 0; input < inputs; input++) {
        sum += weights[first + input] * x[row * inputs + input];
      }
      sums[row * outputs + output] = sum;
    }
  }
  return sums;
}

/** {sums, values} by layer; values[0] are the inputs, the last sums and values the logits. */
export function forward(net, x, rows) {
  const values = [x];
  const sums = layersOf(net).map((layer, number) => {
    const now = sumsOf(net.weights, layer, values[number], rows);
    const activation = ACTIVATIONS[net.activations[number]];
    values.push(activation ? now.map((sum) => activation.value(sum)) : now);
    return now;
  });
  return { sums, values };
}

/** Gradient of the loss by each weight, given it by each logit: `delta` (rows, outputs). */
export function backward(net, { sums, values }, delta, rows) {
  const gradient = new Float64Array(net.weights.length);
  const layers = layersOf(net);
  let after = delta;
  for (let number = layers.length - 1; number >= 0; number--) {
    const { inputs, outputs, weight, bias } = layers[number];
    const before = new Float64Array(rows * inputs);
    for (let row = 0; row < rows; row++) {
      for (let output = 0; output < outputs; output++) {
        const slope = after[row * outputs + output];
        if (bias >= 0) gradient[bias + output] += slope;
        const first = weight + output * inputs;
        for (let input = 0; input < inputs; input++) {
          gradient[first + input] += slope * values[number][row * inputs + input];
          before[row * inputs + input] += slope * net.weights[first + input];
        }
      }
    }
    if (number > 0) {
      const { derivative } = ACTIVATIONS[net.activations[number - 1]];
      const [sum, value] = [sums[number - 1], values[number]];
      after = before.map((slope, at) => slope * derivative(sum[at], value[at]));
    }
  }
  return gradient;
}

/** Repeatable random numbers from 0 to 1 (mulberry32). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A network with new weights, drawn as PyTorch's nn.Linear does: evenly up to 1/sqrt(inputs). */
export function drawnAnew(net, seed) {
  const random = randomNumbers(seed);
  const weights = new Float64Array(countOf(net));
  for (const { inputs, outputs, weight } of layersOf(net)) {
    const numbers = (inputs + (net.bias ? 1 : 0)) * outputs;
    for (let at = weight; at < weight + numbers; at++) {
      weights[at] = (2 * random() - 1) / Math.sqrt(inputs);
    }
  }
  return { ...net, weights };
}
