/** Several sequences in one request to a server; where it fails, each is asked for alone. */
import type { ListRows } from '../distribution/rows.ts';
import { concernsRequest, isServerFault } from './teacher-http.ts';

/** Sequences of a request. */
const togetherMax = 16;
/** Entries of its lists: about 5 MB of JSON from vLLM, and as much as one long sequence has. */
const entriesMax = 65_536;

export function fitsTogether(sequences: readonly Int32Array[], k: number): boolean {
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  return sequences.length <= togetherMax && tokens * k <= entriesMax;
}

export interface Together {
  /** In one request; absent where the server takes one sequence at a time. */
  readonly all: ((sequences: readonly Int32Array[]) => Promise<ListRows[]>) | undefined;
  readonly one: (tokens: Int32Array) => Promise<ListRows>;
}

/** A result for each: what is wrong with one is no error of the others. */
export async function scoreTogether(
  sequences: readonly Int32Array[],
  { all, one }: Together,
): Promise<PromiseSettledResult<ListRows>[]> {
  if (all !== undefined && sequences.length > 1) {
    try {
      const rows = await all(sequences);
      return rows.map((value) => ({ status: 'fulfilled', value }));
    } catch (reason) {
      if (!concernsRequest(reason)) return sequences.map(() => ({ status: 'rejected', reason }));
    }
  }
  return oneByOne(sequences, one);
}

/** So many server faults one after another are no longer the sequences' own. */
const faultsMax = 2;

/** A server that is away, or broken, is not asked for those that are left. */
async function oneByOne(
  sequences: readonly Int32Array[],
  one: Together['one'],
): Promise<PromiseSettledResult<ListRows>[]> {
  const results: PromiseSettledResult<ListRows>[] = [];
  let faults = 0;
  let end: PromiseRejectedResult | undefined;
  for (const tokens of sequences) {
    const [result] = end ? [end] : await Promise.allSettled([one(tokens)]);
    results.push(result);
    if (result.status === 'fulfilled' || !isServerFault(result.reason)) faults = 0;
    else faults++;
    if (result.status === 'fulfilled') continue;
    if (faults >= faultsMax || !concernsRequest(result.reason)) end = result;
  }
  return results;
}
