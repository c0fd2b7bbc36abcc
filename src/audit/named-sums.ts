/**
 * Sums by name in bounded memory: exact for the names that come first in the alphabet, one line for
 * all others. Parts that are merged give what the whole gives, in any grouping.
 */

/** Names that are kept apart. */
export const namesMax = 1000;
/** The name of all others together. */
export const othersName = '(others)';
const nameLengthMax = 200;

/** Plain data. */
export interface NamedSums {
  readonly rows: readonly (readonly [name: string, sums: readonly number[]])[];
  readonly others: readonly number[];
}

export interface NamedCounter {
  add(name: string, values: readonly number[]): void;
  value(): NamedSums;
}

export function createNamedSums(width: number): NamedCounter {
  const others = new Array<number>(width).fill(0);
  let sums = new Map<string, number[]>();
  let last: string | undefined;
  const trim = () => {
    if (sums.size <= namesMax) return;
    const sorted = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
    sums = new Map(sorted.slice(0, namesMax));
    for (const [, values] of sorted.slice(namesMax)) addTo(others, values);
    last = sorted[namesMax - 1][0];
  };
  return {
    add(given, values) {
      const name = given.length > nameLengthMax ? given.slice(0, nameLengthMax) : given;
      const known = sums.get(name);
      if (known !== undefined) addTo(known, values);
      else if (last !== undefined && name > last) addTo(others, values);
      else {
        sums.set(name, [...values]);
        if (sums.size >= 2 * namesMax) trim();
      }
    },
    value() {
      trim();
      return { rows: [...sums], others };
    },
  };
}

export function mergeNamedSums(a: NamedSums, b: NamedSums): NamedSums {
  const all = createNamedSums(a.others.length);
  for (const [name, values] of [...a.rows, ...b.rows]) all.add(name, values);
  const { rows, others } = all.value();
  return { rows, others: others.map((own, i) => own + a.others[i] + b.others[i]) };
}

/** All lines; `(others)` where there are any. */
export function linesOf({ rows, others }: NamedSums): NamedSums['rows'] {
  return others.every((sum) => sum === 0) ? rows : [...rows, [othersName, others]];
}

function addTo(sums: number[], values: readonly number[]): void {
  for (let i = 0; i < sums.length; i++) sums[i] += values[i];
}
