/**
 * Samples that come more than once, by content address: exact, in passes over ranges of ids that
 * each fit in memory. Reads the shards' indexes, 24 bytes a sample, once a pass.
 */
import { decodeIndex, rowRecordBytes } from '../shard/index-file.ts';
import { filePath } from '../shard/names.ts';
import { sampleIdBytes } from '../shard/sample-id.ts';
import type { Store } from '../store/store.ts';

export interface Duplicates {
  /** Beyond the first of each. */
  readonly samples: number;
  readonly positions: number;
}

const passSamplesDefault = 1_000_000;
const idWords = sampleIdBytes / 4;
const rowWords = rowRecordBytes / 4;

export interface DuplicatesOptions {
  readonly dataset: string;
  /** Names of the indexes of the shards. */
  readonly indexes: readonly string[];
  readonly samples: number;
  /** Samples whose ids are held at a time, about 24 bytes each. */
  readonly passSamplesMax?: number;
  /** Awaited after each index; what it throws ends the work. */
  readonly paced?: (bytes: number) => Promise<void>;
}

/** Throws `index-damaged`. */
export async function countDuplicates(
  store: Store,
  options: DuplicatesOptions,
): Promise<Duplicates> {
  const { dataset, indexes, samples, passSamplesMax = passSamplesDefault, paced } = options;
  const passes = Math.max(1, Math.ceil(samples / passSamplesMax));
  const found = { samples: 0, positions: 0 };
  for (let pass = 0; pass < passes; pass++) {
    const seen = createIdSet(Math.ceil(samples / passes));
    for (const name of indexes) {
      const path = filePath(dataset, name);
      const bytes = await store.readAll(path);
      await paced?.(bytes.length);
      const { rows } = decodeIndex(bytes, path);
      const words = new Uint32Array(new Uint8Array(rows).buffer);
      for (let at = 0; at < words.length; at += rowWords) {
        // the upper bits decide the pass, so that the lower ones stay good for the table
        if (Math.floor((words[at + 3] / 2 ** 32) * passes) !== pass) continue;
        if (seen.add(words, at)) continue;
        found.samples++;
        found.positions += words[at + idWords];
      }
    }
  }
  return found;
}

/** A table of ids with open addressing; ids are digests, so that their bits are spread already. */
function createIdSet(expected: number) {
  let room = 1024;
  while (room < 2 * expected) room *= 2;
  let ids = new Uint32Array(idWords * (room / 2));
  let slots = new Uint32Array(room); // number of the id + 1
  let size = 0;
  /** The slot that holds the id, or the free one where it belongs. */
  const slotOf = (words: Uint32Array, at: number) => {
    let slot = words[at] & (room - 1);
    for (; slots[slot] !== 0; slot = (slot + 1) & (room - 1)) {
      const own = (slots[slot] - 1) * idWords;
      let k = 0;
      while (k < idWords && ids[own + k] === words[at + k]) k++;
      if (k === idWords) break;
    }
    return slot;
  };
  const grow = () => {
    const before = ids;
    room *= 2;
    ids = new Uint32Array(idWords * (room / 2));
    ids.set(before);
    slots = new Uint32Array(room);
    for (let i = 0; i < size; i++) slots[slotOf(ids, i * idWords)] = i + 1;
  };
  return {
    /** False where it is there already. */
    add(words: Uint32Array, at: number): boolean {
      if (size === room / 2) grow();
      const slot = slotOf(words, at);
      if (slots[slot] !== 0) return false;
      ids.set(words.subarray(at, at + idWords), size * idWords);
      slots[slot] = ++size;
      return true;
    },
  };
}
