/**
 * Codec `plain`: the integers of `planes` as columns of their own, for any Arrow or Parquet reader.
 * Nothing is compressed here: that is the container's part.
 */
import type { DecodedTargets, TargetKind } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { type ColumnType, list, primitive } from '../formats/layout.ts';
import type { Cell, Codec } from './codec.ts';
import { dequantise, type Grid, isScore, type Levels, quantise, scoreMax } from './levels.ts';

export interface PlainOptions {
  readonly kind: TargetKind;
  /** Step on √p. */
  readonly step: number;
  /** Unbiased targets: the weight of sampled entries. */
  readonly tau?: number;
  /** V, the size of the label space. */
  readonly width: number;
}

const scaledColumns = {
  // as the wire has it: two of its bytes are mostly 0, and a page without them is no smaller
  counts: list(primitive('uint32')),
  ids: list(primitive('uint32')),
  levels: list(primitive('uint16')),
  rest: list(primitive('uint16')),
} as const satisfies Record<string, ColumnType>;

/** Columns of the targets of a kind, as stored and as the layout `plain` sends them. */
export function plainColumns(kind: TargetKind): Readonly<Record<string, ColumnType>> {
  const { rest, ...entries } = scaledColumns;
  return kind === 'scaled' ? { ...entries, rest } : entries;
}

/** Cells in the order of the columns. */
export function plainCells({ kind, counts, ids, levels, rest }: Levels): Cell[] {
  return kind === 'scaled' ? [counts, ids, levels, rest] : [counts, ids, levels];
}

export function plain({ kind, step, tau = 0, width }: PlainOptions): Codec {
  const grid: Grid = { step: Math.fround(step), tau: Math.fround(tau) };
  return {
    name: 'plain',
    parameters: kind === 'unbiased' ? { step, tau } : { step },
    columns: plainColumns(kind),
    encode: (targets) => plainCells(quantise(targets, grid)),
    decode: (cells, count): DecodedTargets =>
      dequantise(readPlain(cells, { kind, width, count, step: grid.step }), grid),
  };
}

/** What a sample's cells must fit; of independent targets the set's step, as float32. */
export interface PlainShape {
  readonly kind: TargetKind;
  readonly width: number;
  readonly count: number;
  readonly step?: number;
}

/** Throws `frame-damaged` where the cells contradict each other, or an id or level cannot be. */
export function readPlain(
  cells: readonly Uint8Array[],
  { kind, width, count, step = 0 }: PlainShape,
): Levels {
  const [countBytes, idBytes, levelBytes, restBytes = new Uint8Array()] = cells;
  const counts = new Uint32Array(alignedTo(4, countBytes));
  const ids = new Uint32Array(alignedTo(4, idBytes));
  const levels = new Uint16Array(alignedTo(2, levelBytes));
  const rest = new Uint16Array(alignedTo(2, restBytes));
  const shapes = [counts.length, ids.length, levels.length, rest.length];
  const entries = counts.reduce((sum, entries) => sum + entries, 0); // in float64: cannot wrap
  const expected = [count, entries, entries, kind === 'scaled' ? count : 0];
  if (shapes.some((length, i) => length !== expected[i])) {
    throw contradiction(`lengths ${expected}`, `lengths ${shapes}`);
  }
  checkIds(counts, ids, width);
  if (kind !== 'unbiased' && levels.includes(0)) throw contradiction('levels ≥ 1', 0);
  if (kind === 'independent') {
    const most = scoreMax(step);
    const wrong = levels.find((level) => !isScore(level, most));
    if (wrong !== undefined) throw contradiction('levels of probabilities', wrong);
  }
  return { kind, counts, ids, levels, rest };
}

function checkIds(counts: Uint32Array, ids: Uint32Array, width: number): void {
  let i = 0;
  for (let t = 0; t < counts.length; t++) {
    let before = -1;
    for (const end = i + counts[t]; i < end; i++) {
      const id = ids[i];
      if (id <= before || id >= width) throw contradiction(`${before} < id < ${width}`, id);
      before = id;
    }
  }
}

/** A copy: cells lie at any alignment. */
function alignedTo(width: number, cell: Uint8Array): ArrayBuffer {
  if (cell.byteLength % width === 0) return new Uint8Array(cell).buffer;
  throw contradiction(`whole values of ${width} bytes`, `${cell.byteLength} bytes`);
}

function contradiction(expected: string, got: unknown): LogitcaskError {
  const message = 'plain: the columns of a sample contradict each other; restore a good copy';
  return new LogitcaskError('frame-damaged', message, { expected, got });
}
