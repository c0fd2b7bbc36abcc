/** What a benchmark reports: one figure, what stands beside it, and whether it reaches its goal. */

export interface Figure {
  readonly figure: string;
  readonly unit: string;
  readonly value: number | null;
  /** What it is compared with, in the same run. */
  readonly peer: string | null;
  readonly peerValue: number | null;
  /** value / peerValue, or its inverse where smaller is better: larger is better for us. */
  readonly ratio: number | null;
  /** The goal, in words; null: printed only. */
  readonly reach: string | null;
  /** Null where nothing is asked, or where the peer could not run. */
  readonly ok: boolean | null;
}

export interface Benchmark {
  readonly name: string;
  readonly summary: string;
  run(log: (text: string) => void): AsyncIterable<Figure>;
}

/** A figure that stands alone. */
export function plain(figure: string, unit: string, value: number): Figure {
  return { figure, unit, value, peer: null, peerValue: null, ratio: null, reach: null, ok: null };
}

/** A figure that must stay below a limit. */
export function atMost(figure: string, unit: string, value: number, limit: number): Figure {
  return { ...plain(figure, unit, value), reach: `≤ ${limit}`, ok: value <= limit };
}

/** A size or cost beside a peer's: ratio = peer / ours. */
export function smaller(
  what: { figure: string; unit: string; value: number },
  peer: { name: string; value: number },
  ratioMin: number | null,
): Figure {
  const ratio = peer.value / what.value;
  return {
    ...what,
    peer: peer.name,
    peerValue: peer.value,
    ratio,
    reach: ratioMin === null ? null : `≥ ${ratioMin} × smaller`,
    ok: ratioMin === null ? null : ratio >= ratioMin,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Least and greatest, for the reader to judge the median by. */
export function spread(values: readonly number[]): string {
  return `${Math.min(...values).toPrecision(3)}–${Math.max(...values).toPrecision(3)}`;
}

/** The middle half, where single values may be far off. */
export function middleHalf(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const [from, to] = [1 / 4, 3 / 4].map((part) => sorted[Math.round(part * (sorted.length - 1))]);
  return `${from.toPrecision(3)}–${to.toPrecision(3)}`;
}

const number = (value: number | null) =>
  value === null
    ? '–'
    : value.toLocaleString('en', { maximumSignificantDigits: value >= 1000 ? 6 : 4 });

export function printTable({ name, summary }: Benchmark, figures: readonly Figure[]): void {
  const rows = [
    ['figure', 'value', 'unit', 'beside', 'value', 'ratio', 'reach', ''],
    ...figures.map((f) => [
      f.figure,
      number(f.value),
      f.unit,
      f.peer ?? '',
      f.peer === null ? '' : number(f.peerValue),
      f.ratio === null ? '' : f.ratio.toFixed(2),
      f.reach ?? '',
      f.ok === null ? '' : f.ok ? 'reached' : 'FALLS SHORT',
    ]),
  ];
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  console.log(`\n${name}: ${summary}\n`);
  for (const row of rows) {
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    );
  }
}
