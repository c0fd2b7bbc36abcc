/** The packs of a stream in a file, so that a plan finds any of them: 256 to a page. */
import type { PlanPacking } from '../../schemas/plan.ts';
import type { OrderStore } from './order-store.ts';
import { createPacker, type Pack } from './pack.ts';
import { damaged, openPages, writePages } from './pages.ts';

/** Documents in the order in which they are packed. */
export interface Documents {
  readonly ordinals: readonly number[];
  readonly positions: ArrayLike<number>;
}

export interface WrittenPacking {
  readonly sha256: string;
  readonly packs: number;
  /** Positions of all documents. */
  readonly positions: number;
}

const pagePacks = 256;
const segmentBytes = 16;

export async function writePacking(
  store: OrderStore,
  name: string,
  options: { packing: PlanPacking; documents: AsyncIterable<Documents> },
): Promise<WrittenPacking> {
  const writer = await writePages(store, name);
  const packer = createPacker(options.packing);
  let page: Pack[] = [];
  let packs = 0;
  let positions = 0;
  const append = async (closed: readonly Pack[]) => {
    for (const pack of closed) {
      packs++;
      if (page.push(pack) < pagePacks) continue;
      await writer.append(encodePage(page), page.length);
      page = [];
    }
  };
  try {
    for await (const documents of options.documents) {
      for (const [i, ordinal] of documents.ordinals.entries()) {
        positions += documents.positions[i];
        await append(packer.add(ordinal, documents.positions[i]));
      }
    }
    await append(packer.finish());
    if (page.length > 0) await writer.append(encodePage(page), page.length);
    return { sha256: await writer.commit(positions), packs, positions };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Segments up to each pack's end, u32; then segments: ordinal u64, first u32, positions u32. */
function encodePage(packs: readonly Pack[]): Buffer {
  const segments = packs.flat();
  const bytes = Buffer.alloc(4 * packs.length + segmentBytes * segments.length);
  let end = 0;
  for (const [i, pack] of packs.entries()) {
    end += pack.length;
    bytes.writeUInt32LE(end, 4 * i);
  }
  for (const [i, { ordinal, first, positions }] of segments.entries()) {
    const at = 4 * packs.length + segmentBytes * i;
    bytes.writeBigUInt64LE(BigInt(ordinal), at);
    bytes.writeUInt32LE(first, at + 8);
    bytes.writeUInt32LE(positions, at + 12);
  }
  return bytes;
}

/** The segments of pack `item`. */
export type PackOf = (item: number) => Promise<Pack>;

export async function openPacking(
  store: OrderStore,
  name: string,
  sha256: string,
): Promise<PackOf> {
  const pages = await openPages(store, name, sha256);
  return async (item) => {
    const { page, inside, number } = await pages.find(item);
    const packs = Math.min(pagePacks, pages.items - number * pagePacks);
    const from = inside === 0 ? 0 : page.readUInt32LE(4 * (inside - 1));
    const to = page.readUInt32LE(4 * inside);
    if (4 * packs + segmentBytes * to > page.length) throw damaged(name, `pack ${item}`, 'none');
    return Array.from({ length: to - from }, (_, i) => {
      const at = 4 * packs + segmentBytes * (from + i);
      return {
        ordinal: Number(page.readBigUInt64LE(at)),
        first: page.readUInt32LE(at + 8),
        positions: page.readUInt32LE(at + 12),
      };
    });
  };
}
