/**
 * A sample's entries in rank order with their log-probs, as `dense` sends them. One way a codec:
 * all skip the probabilities that the codec itself would give, and the logarithms taken of them.
 */
import type { LabelSpace, TargetSet } from '../../schemas/manifest.ts';
import { damaged, type FrameHeader } from './frame.ts';
import { type Levels, restMass, scoreOf } from './levels.ts';
import { readPlain } from './plain.ts';
import { decodePlanes } from './planes.ts';
import { readRaw } from './raw.ts';

/** Entries flattened, value descending and id ascending on ties within a position. */
export interface Ranked {
  /** Length count + 1. */
  readonly offsets: Uint32Array;
  readonly ids: Uint32Array;
  readonly logprobs: Float32Array;
  /** Residual mass, length count; empty for unbiased targets. */
  readonly rest: Float32Array;
}

export interface RankOptions {
  readonly set: TargetSet;
  readonly labelSpace: LabelSpace;
  /** Positions of the sample. */
  readonly count: number;
}

type Rank = (cells: readonly Uint8Array[], options: RankOptions) => Ranked;

/** By codec. */
export const ranked: Readonly<Record<string, Rank>> = {
  planes: ([frame], { labelSpace, count }) => {
    const { header, levels } = decodePlanes(frame, { width: labelSpace.size });
    if (header.positions === count) return rankLevels(levels, header);
    throw damaged('it holds another number of positions', count, header.positions);
  },
  plain: (cells, { set, labelSpace, count }) => {
    const { kind, codec } = set;
    const parameters = codec.parameters as Readonly<Record<string, number>>;
    const step = Math.fround(parameters.step);
    const levels = readPlain(cells, { kind, width: labelSpace.size, count, step });
    return rankLevels(levels, { step, tau: Math.fround(parameters.tau ?? 0) });
  },
  raw: (cells, { set, labelSpace, count }) =>
    readRaw(cells, { kind: set.kind, width: labelSpace.size, count }),
};

/** ln of every level². */
const logSquare: Float64Array = Float64Array.from({ length: 65_536 }, (_, i) => 2 * Math.log(i));

/**
 * Sorts a whole sample at once: by level, then stably back to the positions. Two passes over the
 * entries, where sorting position by position takes six times as long.
 */
export function rankLevels(
  stored: Levels,
  { step, tau }: Pick<FrameHeader, 'step' | 'tau'>,
): Ranked {
  const { kind, counts, levels } = stored;
  const count = counts.length;
  const offsets = new Uint32Array(count + 1);
  const positions = new Uint32Array(levels.length);
  for (let t = 0; t < count; t++) {
    offsets[t + 1] = offsets[t] + counts[t];
    positions.fill(t, offsets[t], offsets[t + 1]);
  }
  if (kind === 'independent') return rankScores(stored, { offsets, positions, step });
  const { rest, shift } = kind === 'scaled' ? scaled(stored, offsets) : unbiased(count, step);
  const logTau = Math.log(tau);
  const order = descending(levels, kind === 'scaled' ? 0 : keyOfTau(step, tau));
  const next = offsets.slice(0, count);
  const ids = new Uint32Array(levels.length);
  const logprobs = new Float32Array(levels.length);
  for (let i = 0; i < order.length; i++) {
    const entry = order[i];
    const position = positions[entry];
    const at = next[position]++;
    const level = levels[entry];
    ids[at] = stored.ids[entry];
    logprobs[at] = level === 0 ? logTau : logSquare[level] + shift[position];
  }
  return { offsets, ids, logprobs, rest };
}

/** Entries by level, highest first, otherwise as they stand; level 0 has a key of its own. */
function descending(levels: Uint16Array, zeroKey: number): Uint32Array {
  let max = zeroKey;
  for (let i = 0; i < levels.length; i++) if (2 * levels[i] > max) max = 2 * levels[i];
  const starts = new Uint32Array(max + 2);
  const keyAt = (i: number) => max - (levels[i] === 0 ? zeroKey : 2 * levels[i]);
  for (let i = 0; i < levels.length; i++) starts[keyAt(i) + 1]++;
  for (let key = 0; key < max; key++) starts[key + 1] += starts[key];
  const order = new Uint32Array(levels.length);
  for (let i = 0; i < levels.length; i++) order[starts[keyAt(i)]++] = i;
  return order;
}

/**
 * Where τ stands among the levels' values, doubled: odd between two of them, even beside its equal.
 */
function keyOfTau(step: number, tau: number): number {
  const value = (level: number) => Math.fround((level * step) ** 2);
  const level = Math.round(Math.sqrt(tau) / step);
  return 2 * level + Math.sign(Math.fround(tau) - value(level));
}

/** p = level² · (1 − rest) / Σ level²: the part of ln p that all entries of a position share. */
function scaled({ counts, levels, rest }: Levels, offsets: Uint32Array) {
  const masses = new Float32Array(counts.length);
  const shift = new Float64Array(counts.length);
  for (let t = 0; t < counts.length; t++) {
    masses[t] = counts[t] === 0 ? 1 : restMass[rest[t]];
    let sum = 0;
    for (let i = offsets[t]; i < offsets[t + 1]; i++) sum += levels[i] * levels[i];
    shift[t] = Math.log((1 - masses[t]) / sum);
  }
  return { rest: masses, shift };
}

/** A level says how high a score is: only the logarithm differs. */
function rankScores(
  { ids, levels }: Levels,
  { offsets, positions, step }: { offsets: Uint32Array; positions: Uint32Array; step: number },
): Ranked {
  const order = Uint32Array.from(levels.keys()).sort((a, b) => {
    return positions[a] - positions[b] || levels[b] - levels[a] || a - b;
  });
  const logprobs = Float32Array.from(order, (entry) => Math.log(scoreOf(levels[entry], step)));
  const ranked = Uint32Array.from(order, (entry) => ids[entry]);
  return { offsets, ids: ranked, logprobs, rest: new Float32Array(0) };
}

function unbiased(count: number, step: number) {
  return { rest: new Float32Array(0), shift: new Float64Array(count).fill(2 * Math.log(step)) };
}
