/** What a server must show before anything is scored: its k, its alignment to what was sent. */
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import type { ServerFacts } from './servers/server.ts';

const probeTokens = 64;
/** Largest mean difference of log-probs of equal contexts: batches change the last bits of bf16. */
const agreementMax = 0.05;

export interface Probe {
  readonly k: number;
  /** What to do where the server gives too little. */
  readonly hint: string;
  /** Lists may leave entries out: the longest one counts. */
  readonly isPartial: boolean;
  readonly facts: ServerFacts;
  readonly score: (tokens: Int32Array) => Promise<ListRows>;
  readonly sampleTokens: Int32Array;
}

export interface Probed {
  /** Fewest entries of a position; of a partial server the most. */
  readonly entries: number;
  /** Mean absolute difference of log-probs where two texts are equal. */
  readonly difference: number;
}

/** Throws `teacher-unsuitable`, `source-misaligned`. */
export async function probeServer(probe: Probe): Promise<Probed> {
  const { k, hint, facts, score, isPartial } = probe;
  const tokens = probe.sampleTokens.slice(0, probeTokens);
  const rows = await named(probe, score(tokens));
  const entries = (isPartial ? Math.max : Math.min)(...lengthsOf(rows));
  if (entries < Math.min(k, rows.width)) {
    const message = `capture: ${facts.version} gives ${entries} entries where ${k} were asked for`;
    throw new LogitcaskError('teacher-unsuitable', `${message}; ${hint}`, {
      expected: k,
      got: entries,
    });
  }
  const other = tokens.slice();
  other[other.length - 1] = (other[other.length - 1] + 1) % rows.width;
  const difference = disagreement(rows, await score(other));
  if (difference <= agreementMax) return { entries, difference };
  const message =
    `capture: with ${facts.version} positions change by ${difference.toPrecision(3)} with a ` +
    'later token: its rows are shifted, or it is no causal teacher';
  throw new LogitcaskError('source-misaligned', message, {
    expected: `a mean difference of at most ${agreementMax}`,
    got: difference,
  });
}

/** What is wrong with a first reply is said with the server's name, and what to do. */
async function named<T>({ facts, hint }: Probe, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof LogitcaskError) || cause.code !== 'teacher-unsuitable') throw cause;
    const { code, expected, got } = cause;
    const message = `${cause.message}; this is ${facts.version} with ${facts.model}: ${hint}`;
    throw new LogitcaskError(code, message, { expected, got, cause });
  }
}

/** Entries of each position but the last. */
export function lengthsOf({ offsets, count }: ListRows): number[] {
  return Array.from({ length: count - 1 }, (_, t) => offsets[t + 1] - offsets[t]);
}

/** Over the ids that both lists of a position hold; lists without any count as far apart. */
function disagreement(a: ListRows, b: ListRows): number {
  let sum = 0;
  let positions = 0;
  for (let t = 0; t + 1 < a.count; t++) {
    if (a.offsets[t] === a.offsets[t + 1] && b.offsets[t] === b.offsets[t + 1]) continue;
    const held = new Map<number, number>();
    for (let i = a.offsets[t]; i < a.offsets[t + 1]; i++) held.set(a.ids[i], a.logprobs[i]);
    let own = 0;
    let shared = 0;
    for (let i = b.offsets[t]; i < b.offsets[t + 1]; i++) {
      const logprob = held.get(b.ids[i]);
      if (logprob === undefined) continue;
      own += Math.abs(logprob - b.logprobs[i]);
      shared++;
    }
    sum += shared === 0 ? 10 : own / shared;
    positions++;
  }
  return sum / Math.max(1, positions);
}
