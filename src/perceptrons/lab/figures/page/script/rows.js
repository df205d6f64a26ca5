// The rows that a network learns from, and what it is given of each.

// inputs that the reader may add to those of the run
export const EXTRAS = {
  "x1*x2": { label: "x1·x2", needs: 2, value: ([a, b]) => a * b },
  "x1^2": { label: "x1²", needs: 1, value: ([a]) => a * a },
  "x2^2": { label: "x2²", needs: 2, value: ([, b]) => b * b },
};

/** What the network is given for a point: the run's own inputs of it, then the extra ones. */
export function inputsOf(point, encode, extras) {
  const own = encode
    ? encode.matrix.map((line, at) =>
        line.reduce((sum, each, input) => sum + each * point[input], encode.offset[at]),
      )
    : point;
  return [...own, ...extras.map((name) => EXTRAS[name].value(point))];
}

/** Rows [{point, y, part}] as flat arrays {x, y, count}. */
export function tableOf(rows, encode, extras) {
  return {
    x: Float64Array.from(rows.flatMap(({ point }) => inputsOf(point, encode, extras))),
    y: Float64Array.from(rows.flatMap(({ y }) => y)),
    count: rows.length,
  };
}

/** The rows of a run, to be changed at will. */
export function rowsOf(run) {
  return ["train", "val"].flatMap((part) => {
    const { x = [], y = [] } = run.rows[part] ?? {};
    return x.map((point, at) => ({ point: [...point], y: [...y[at]], part }));
  });
}

/** From the least to the most of some values, and a margin round that. */
export function rangeOf(values) {
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const margin = 0.35 * (high > low ? high - low : 1);
  return [low - margin, high + margin];
}

/** The middles of `side` by `side` cells of the plane as points, the first row of them on top. */
export function cellsOf(span, side, third) {
  const at = (axis, number) => {
    const [low, high] = span[axis] ?? [0, 1];
    return low + ((high - low) * (number + 0.5)) / side;
  };
  const cells = [];
  for (let line = side - 1; line >= 0; line--) {
    for (let column = 0; column < side; column++) {
      const point = [at(0, column), at(1, line), third];
      cells.push(point.slice(0, span.length));
    }
  }
  return cells;
}
