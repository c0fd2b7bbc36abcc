/** A close look at one position: what is summed up of it, in microseconds at 64 entries. */
import type { TargetSet } from '../../schemas/manifest.ts';
import { drawnWeight, massMin, restOf, stepOf } from './known-part.ts';
import { addTo, mergeSketches, newSketch, type Sketch } from './sketch.ts';
import { type AuditTargets, addSums } from './tally.ts';
import { addFit, newFit } from './temperature-fit.ts';

/** Nats; a position that carries little lies in the first bins. */
export const entropyEdges: number[] = [
  0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9, 10, 12, 16, 23,
];
const entropyBins = entropyEdges.length - 1;

/** Levels below this differ from their neighbours by more than 10 % of the probability. */
const levelMin = 20;

/** Nats; a stored −∞ is as far off as this, so that the report stays finite. */
const gapMost = 1e6;

/** Sums over the positions looked at; plain data. */
export interface Sums {
  positions: number;
  entropy: number;
  surprise: number;
  rest: number;
  outside: number;
  top1: number;
  readonly entropies: number[];
  readonly massByK: { k: number; mass: number }[];
  readonly fit: number[];
  readonly labelGap: Sketch;
  /** By extra temperature: positions whose log Z cannot be, and by how much at most. */
  readonly violations: number[];
  readonly gaps: number[];
}

export function newSums(set: TargetSet): Sums {
  const none = set.log_z.map(() => 0);
  return {
    positions: 0,
    entropy: 0,
    surprise: 0,
    rest: 0,
    outside: 0,
    top1: 0,
    entropies: new Array<number>(entropyBins).fill(0),
    massByK: ksOf(set).map((k) => ({ k, mass: 0 })),
    fit: newFit(),
    labelGap: newSketch(),
    violations: none,
    gaps: [...none],
  };
}

/** 1, 2, 4 … and K itself. */
function ksOf({ kind, sparsifier: { entries_max: most } }: TargetSet): number[] {
  if (kind === 'unbiased') return [];
  const ks: number[] = [];
  for (let k = 1; k < most; k *= 2) ks.push(k);
  return [...ks, most];
}

export function mergeSums(a: Sums, b: Sums): Sums {
  return {
    positions: a.positions + b.positions,
    entropy: a.entropy + b.entropy,
    surprise: a.surprise + b.surprise,
    rest: a.rest + b.rest,
    outside: a.outside + b.outside,
    top1: a.top1 + b.top1,
    entropies: addSums(a.entropies, b.entropies),
    massByK: a.massByK.map(({ k, mass }, i) => ({ k, mass: mass + b.massByK[i].mass })),
    fit: addSums(a.fit, b.fit),
    labelGap: mergeSketches(a.labelGap, b.labelGap),
    violations: addSums(a.violations, b.violations),
    gaps: a.gaps.map((gap, i) => Math.max(gap, b.gaps[i])),
  };
}

export interface Position {
  readonly own: AuditTargets;
  readonly t: number;
  /** The token that came next. */
  readonly next: number;
}

export type Look = (sums: Sums, position: Position) => void;

/** `width` is V. */
export function createLook(set: TargetSet, width: number): Look {
  const drawn = drawnWeight(set);
  const step = stepOf(set);
  const comparedMin = (levelMin * step) ** 2;
  // of log Z at T = 1: what float32 and rounding to a level change
  const tolerance = 1e-3 + 4 * step;
  let logprobs = new Float64Array(set.sparsifier.entries_max);
  let ranked = new Float32Array(set.sparsifier.entries_max);
  return (sums, { own, t, next }) => {
    const { targets, labelLogprob, logZ } = own;
    const [from, to] = [targets.offsets[t], targets.offsets[t + 1]];
    if (to - from > logprobs.length) {
      logprobs = new Float64Array(to - from);
      ranked = new Float32Array(to - from);
    }
    const known = knownOf(targets, { from, to, drawn, next, logprobs });
    const rest = restOf(targets, t, known.mass);
    const others = Math.max(1, width - known.count);
    const logRest = Math.log(Math.max(rest, massMin) / others);
    const entropy = known.entropy - rest * logRest;
    sums.positions++;
    sums.entropy += entropy;
    sums.entropies[binOf(entropy)]++;
    sums.top1 += known.best === next ? 1 : 0;
    sums.rest += targets.kind === 'scaled' ? rest : known.drawn;
    if (Number.isNaN(known.own)) {
      sums.outside++;
      sums.surprise -= logRest;
    } else {
      sums.surprise -= known.own;
      addFit(sums.fit, logprobs, known);
      const label = labelLogprob?.[t] ?? Number.NaN;
      if (Math.exp(known.own) >= comparedMin && !Number.isNaN(label)) {
        addTo(sums.labelGap, Math.min(gapMost, Math.abs(label - known.own)));
      }
    }
    if (targets.kind === 'unbiased') return;
    addMassByK(sums.massByK, targets.probs.subarray(from, to), ranked);
    for (const [j, temperature] of set.log_z.entries()) {
      const stored = logZ[t * set.log_z.length + j];
      const cells = { logprobs, count: known.count, logRest, others };
      const gap = Number.isNaN(stored)
        ? 0
        : Math.min(gapMost, outOfReach(stored, temperature, cells));
      if (gap > tolerance * Math.max(1, 1 / temperature)) sums.violations[j]++;
      sums.gaps[j] = Math.max(sums.gaps[j], gap);
    }
  };
}

interface Known {
  /** Entries whose probability is known, and its sum. */
  readonly count: number;
  readonly mass: number;
  /** Sum of the weights that only say what was drawn. */
  readonly drawn: number;
  /** −Σ p log p over those known. */
  readonly entropy: number;
  /** The most probable of them, −1 where there is none. */
  readonly best: number;
  /** Log-prob of the next token; NaN where it is not known. */
  readonly own: number;
}

/** Writes the log-probs of the known entries to `logprobs`. */
function knownOf(
  { ids, probs }: AuditTargets['targets'],
  options: {
    from: number;
    to: number;
    drawn: number;
    next: number;
    logprobs: Float64Array;
  },
): Known {
  const { from, to, drawn, next, logprobs } = options;
  let count = 0;
  let mass = 0;
  let drawnMass = 0;
  let entropy = 0;
  let best = -1;
  let most = 0;
  let own = Number.NaN;
  for (let i = from; i < to; i++) {
    const p = probs[i];
    if (p === drawn) {
      drawnMass += p;
      continue;
    }
    if (p === 0) continue; // raw: below the least float32
    const logprob = Math.log(p);
    logprobs[count++] = logprob;
    mass += p;
    entropy -= p * logprob;
    if (ids[i] === next) own = logprob;
    if (p > most || (p === most && ids[i] < best)) {
      most = p;
      best = ids[i];
    }
  }
  return { count, mass, drawn: drawnMass, entropy, best, own };
}

function binOf(entropy: number): number {
  let bin = 0;
  while (bin < entropyBins - 1 && entropy >= entropyEdges[bin + 1]) bin++;
  return bin;
}

function addMassByK(massByK: Sums['massByK'], probs: Float32Array, scratch: Float32Array): void {
  const sorted = scratch.subarray(0, probs.length);
  sorted.set(probs);
  sorted.sort();
  let mass = 0;
  let taken = 0;
  for (const one of massByK) {
    for (; taken < one.k && taken < sorted.length; taken++) {
      mass += sorted[sorted.length - 1 - taken];
    }
    one.mass += mass;
  }
}

/**
 * How far log Σ p^(1/T) lies outside what the entries allow: the ids that are not stored add most
 * where the rest is spread evenly over them and least where one has all of it (below T = 1 the
 * other way round).
 */
function outOfReach(
  stored: number,
  temperature: number,
  cells: { logprobs: Float64Array; count: number; logRest: number; others: number },
): number {
  const { logprobs, count, logRest, others } = cells;
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Math.exp(logprobs[i] / temperature);
  const even = others * Math.exp(logRest / temperature);
  const one = Math.exp((logRest + Math.log(others)) / temperature);
  const [least, most] = [Math.log(sum + Math.min(even, one)), Math.log(sum + Math.max(even, one))];
  return Math.max(0, least - stored, stored - most);
}
