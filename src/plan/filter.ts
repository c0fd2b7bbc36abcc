/** Which samples of a snapshot a plan takes: a bitmap in pages, and the n-th sample of it. */
import type { PlanFilter } from '../../schemas/plan.ts';
import type { OrderStore } from './order-store.ts';
import { damaged, openPages, writePages } from './pages.ts';

/** What filters and packs look at, of a run of samples in stored order. */
export interface SampleFacts {
  readonly positions: Uint32Array;
  readonly learned: Uint32Array;
  /** JSON of each sample's meta; only where it was asked for. */
  readonly meta?: readonly string[];
}

export interface WrittenFilter {
  readonly sha256: string;
  readonly kept: number;
}

/** The ordinal of the n-th sample that a filter keeps. */
export type Select = (item: number) => Promise<number>;

const pageSamples = 32_768;

export function keeps(filter: PlanFilter, facts: SampleFacts, i: number): boolean {
  const { positions, learned, meta } = filter;
  if (positions !== undefined && !within(positions, facts.positions[i])) return false;
  if (learned !== undefined && !within(learned, facts.learned[i])) return false;
  if (meta === undefined) return true;
  const value = JSON.parse(facts.meta![i])?.[meta.field];
  return meta.in.includes(value);
}

function within(
  { min = 0, max = Number.POSITIVE_INFINITY }: { min?: number; max?: number },
  n: number,
) {
  return n >= min && n <= max;
}

/** Page p holds the bits of samples 32,768 p on, low bits first. */
export async function writeFilter(
  store: OrderStore,
  name: string,
  options: { filter: PlanFilter; facts: AsyncIterable<SampleFacts> },
): Promise<WrittenFilter> {
  const writer = await writePages(store, name);
  let bits = new Uint8Array(pageSamples / 8);
  let samples = 0;
  let inPage = 0;
  let kept = 0;
  const flush = async () => {
    await writer.append(bits.subarray(0, (((samples - 1) % pageSamples) >> 3) + 1), inPage);
    kept += inPage;
    bits = new Uint8Array(pageSamples / 8);
    inPage = 0;
  };
  try {
    for await (const facts of options.facts) {
      for (let i = 0; i < facts.positions.length; i++) {
        const at = samples++ % pageSamples;
        if (keeps(options.filter, facts, i)) {
          bits[at >> 3] |= 1 << (at & 7);
          inPage++;
        }
        if (at === pageSamples - 1) await flush();
      }
    }
    if (samples % pageSamples !== 0) await flush();
    return { sha256: await writer.commit(samples), kept };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

export async function openFilter(store: OrderStore, name: string, sha256: string): Promise<Select> {
  const pages = await openPages(store, name, sha256);
  return async (item) => {
    const { page, inside, number } = await pages.find(item);
    let left = inside;
    for (let byte = 0; byte < page.length; byte++) {
      const own = bitCounts[page[byte]];
      if (left >= own) {
        left -= own;
        continue;
      }
      let bit = 0;
      for (let set = -1; ; bit++) {
        if ((page[byte] >> bit) & 1) set++;
        if (set === left) return number * pageSamples + byte * 8 + bit;
      }
    }
    throw damaged(name, `item ${item}`, 'fewer bits');
  };
}

const bitCounts = Uint8Array.from(
  { length: 256 },
  (_, byte) => [...byte.toString(2)].filter((bit) => bit === '1').length,
);
