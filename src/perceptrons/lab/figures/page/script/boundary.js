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

const MOST = 250; // rows up to which all lines are tried

/**
 * How many rows the best line has right; null where there are too many to try.
 *
 * Any way that a line can part the rows is that of a line through two of them, turned a little
 * about a place between two rows that lie on it.
 */
export function bestOfAllLines(rows) {
  if (rows.length > MOST) return null;
  const ones = rows.filter(({ kind }) => kind === 1).length;
  let best = Math.max(ones, rows.length - ones);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < i; j++) {
      best = Math.max(best, bestThrough(rows, rows[i].point, rows[j].point));
    }
  }
  return best;
}

function bestThrough(rows, a, b) {
  const scale = 1e-9 * ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2);
  if (scale === 0) return 0;
  const on = [];
  let right = 0; // with class 1 on the left, of the rows that are not on the line
  for (const { point, kind } of rows) {
    const side = sideOf(a, b, point);
    if (Math.abs(side) > scale) right += side > 0 === (kind === 1) ? 1 : 0;
    else on.push([(b[0] - a[0]) * point[0] + (b[1] - a[1]) * point[1], kind]);
  }
  on.sort(([one], [other]) => one - other);
  const ones = on.filter(([, kind]) => kind === 1).length;
  const off = rows.length - on.length;
  let best = 0;
  let before = 0; // of class 1 among those before the place that the line is turned about
  for (let cut = 0; cut <= on.length; cut++) {
    // rows at one place cannot be parted
    if (cut === 0 || cut === on.length || on[cut][0] > on[cut - 1][0]) {
      const same = before + (on.length - cut - (ones - before));
      best = Math.max(best, Math.max(right, off - right) + Math.max(same, on.length - same));
    }
    before += cut < on.length && on[cut][1] === 1 ? 1 : 0;
  }
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
