// A run as the page has it: what page.py packed, unpacked.

/** Numbers of 32 bits in base64, the lowest byte first, as rows of `width`. */
function unpack(text, width) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const numbers = new Float32Array(bytes.buffer);
  return Array.from({ length: width ? numbers.length / width : 0 }, (_, at) =>
    Float64Array.from(numbers.subarray(at * width, (at + 1) * width)),
  );
}

/** A run with its frames [{update, weights}] and its optimizer's state as arrays. */
export function unpackRun(packed) {
  const weights = unpack(packed.frames.weights, packed.frames.width);
  const frames = weights.map((each, at) => ({
    update: packed.frames.updates[at],
    weights: each,
  }));
  const state = { ...packed.optimizer.state };
  for (const name of ["momentum", "mean", "square", "largest"]) {
    if (state[name]) state[name] = unpack(state[name], packed.frames.width)[0];
  }
  return { ...packed, frames, optimizer: { ...packed.optimizer, state } };
}

/** The number of the last frame that is not after an update. */
export function frameAt(run, update) {
  let frame = 0;
  while (frame + 1 < run.frames.length && run.frames[frame + 1].update <= update) frame++;
  return frame;
}

/** A network of the run, with the weights of one of its frames. */
export function networkAt(run, frame) {
  const { widths, activations, bias } = run;
  return { widths, activations, bias, weights: run.frames[frame].weights.slice() };
}

/** What a class is called. */
export const className = (run, number) => run.class_names[number] ?? String(number);

/** A number with so many digits after its point. */
export const fixed = (value, digits) => value.toFixed(digits).replace("-", "−");

/** A weight or a bias: its sign, and two digits. */
export const signed = (value) => (value < 0 ? "" : "+") + fixed(value, 2);

/** A number as it is read best: 6,000 or 0.001235. */
export function readable(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
  const far = Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5;
  const text = far ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replaceAll("-", "−");
}
