// PyTorch's SGD, Adam and AdamW, step by step as its documentation has them.

/**
 * An optimizer: update(weights, gradient) changes the weights.
 *
 * settings: {name, lr, momentum, dampening, nesterov, weight_decay, betas, eps, amsgrad, maximize,
 *   clip: [value, "norm" or "value"]}
 * state: {step, momentum} or {step, mean, square, largest}, arrays as long as the weights, or null
 * factors: what the learning rate of each weight is multiplied by
 */
export function makeOptimizer(settings, state, factors) {
  const rule = settings.name === "SGD" ? updateBySgd : updateByAdam;
  const now = { step: state?.step ?? 0 };
  for (const name of ["momentum", "mean", "square", "largest"]) {
    if (state?.[name]) now[name] = Float64Array.from(state[name]);
  }
  return {
    settings,
    state: now,
    update(weights, gradient) {
      now.step++;
      const clipped = settings.clip ? clip(gradient, ...settings.clip) : gradient;
      const signed = settings.maximize ? clipped.map((each) => -each) : clipped;
      rule(settings, now, factors, weights, signed);
    },
  };
}

/** A gradient as Lightning clips it: each of its numbers, or its length. */
function clip(gradient, most, how) {
  if (how === "value") return gradient.map((each) => Math.max(-most, Math.min(most, each)));
  const length = Math.hypot(...gradient);
  const scale = Math.min(1, most / (length + 1e-6));
  return gradient.map((each) => each * scale);
}

function updateBySgd(settings, state, factors, weights, gradient) {
  const { lr, momentum = 0, dampening = 0, nesterov = false, weight_decay = 0 } = settings;
  const first = !state.momentum;
  if (momentum && first) state.momentum = new Float64Array(weights.length);
  for (let at = 0; at < weights.length; at++) {
    let step = gradient[at] + weight_decay * weights[at];
    if (momentum) {
      // the first gradient goes in whole, without the dampening
      const kept = first ? step : momentum * state.momentum[at] + (1 - dampening) * step;
      state.momentum[at] = kept;
      step = nesterov ? step + momentum * kept : kept;
    }
    weights[at] -= lr * factors[at] * step;
  }
}

function updateByAdam(settings, state, factors, weights, gradient) {
  const { lr, eps = 1e-8, amsgrad = false } = settings;
  const apart = settings.name === "AdamW"; // decay acts on the weights, not through the gradient
  const decay = settings.weight_decay ?? (apart ? 0.01 : 0);
  const [beta1, beta2] = settings.betas ?? [0.9, 0.999];
  for (const name of ["mean", "square", "largest"]) {
    state[name] ??= new Float64Array(weights.length);
  }
  const bias1 = 1 - beta1 ** state.step;
  const bias2 = Math.sqrt(1 - beta2 ** state.step);
  for (let at = 0; at < weights.length; at++) {
    const rate = lr * factors[at];
    if (apart) weights[at] *= 1 - rate * decay;
    const slope = apart ? gradient[at] : gradient[at] + decay * weights[at];
    state.mean[at] += (1 - beta1) * (slope - state.mean[at]);
    state.square[at] = beta2 * state.square[at] + (1 - beta2) * slope * slope;
    state.largest[at] = Math.max(state.largest[at], state.square[at]);
    const square = amsgrad ? state.largest[at] : state.square[at];
    weights[at] -= ((rate / bias1) * state.mean[at]) / (Math.sqrt(square) / bias2 + eps);
  }
}
