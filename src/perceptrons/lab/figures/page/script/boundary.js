// Lines on a grid of values, and what the best of all lines could do for some rows.

/** Where values (side, side) are 0, as segments [x, y, x, y] in cells: marching squares. */
export function zeroLines(values, side) {
  const segments = [];
  for (let line = 0; line < side - 1; line++) {
    for (let column = 0; column < side - 1; column++) {
      const corners = [
        [column, line],
        [column + 1, line],
        [column + 1, line + 1],
        [column, line + 1],
      ];
      const at = corners.map(([x, y]) => values[y * side + x]);
      const ends = [];
      for (let edge = 0; edge < 4; edge++) {
        const [a, b] = [at[edge], at[(edge + 1) % 4]];
        if (a > 0 === b > 0) continue;
        const [from, to] = [corners[edge], corners[(edge + 1) % 4]];
        const way = a / (a - b);
        ends.push(from[0] + way * (to[0] - from[0]), from[1] + way * (to[1] - from[1]));
      }
      for (let first = 0; first + 4 <= ends.length; first += 4) {
        segments.push(ends.slice(first, first + 4));
      }
    }
  }
  return segments;
}

/** On which side of the line from a to b a point is: above 0, below 0, or 0. */
export function sideOf([ax, ay], [bx, by], [x, y]) {
  return (bx - ax) * (y - ay) - (by - ay) * (x - ax);
}

/** How many rows [{point, kind: 0 or 1}] a line has right, the better way round. */
export function rightByLine(rows, a, b) {
  const right = rows.filter(({ point, kind }) => sideOf(a, b, point) > 0 === (kind === 1)).length;
  return Math.max(right, rows.length - right);
}

const MOST = 200; // rows up to which all lines are tried

/**
 * How many rows the best line has right; null where there are too many to try.
 *
 * The best one can be turned and moved until it all but touches two rows.
 */
export function bestOfAllLines(rows) {
  if (rows.length > MOST) return null;
  let best = Math.min(rows.length, 1);
  rows.forEach(({ point: [a, b] }, i) => {
    for (const { point } of rows.slice(0, i)) {
      const [x, y] = [point[0] - a, point[1] - b];
      for (const turn of [-1e-4, 1e-4])
        for (const shift of [-1e-3, 0, 1e-3]) {
          const [dx, dy] = [x - turn * y, y + turn * x];
          const from = [a + x / 2 - shift * y, b + y / 2 + shift * x];
          best = Math.max(best, rightByLine(rows, from, [from[0] + dx, from[1] + dy]));
        }
    }
  });
  return best;
}

/** Two rows of one class and two of the other whose segments cross: why no line parts them. */
export function crossing(rows) {
  if (rows.length > 40) return null;
  const pairs = [0, 1].map((wanted) => {
    const points = rows.filter(({ kind }) => kind === wanted).map(({ point }) => point);
    return points.flatMap((one, at) => points.slice(0, at).map((other) => [one, other]));
  });
  const apart = (a, b, one, other) => sideOf(a, b, one) * sideOf(a, b, other) < 0;
  for (const [a, b] of pairs[0]) {
    for (const [c, d] of pairs[1]) {
      if (apart(a, b, c, d) && apart(c, d, a, b)) return [a, b, c, d];
    }
  }
  return null;
}
