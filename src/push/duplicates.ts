/** Which samples of an upload come into the snapshot: each once, and none that the parent has. */
import { sampleIdBytes } from '../shard/sample-id.ts';
import { knownSamples } from '../shard/sample-index.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { readIds, type StoredShard } from './shard-file.ts';

/** Flags of all samples, shard by shard. 24 bytes of memory a sample. */
export async function freshSamples(
  store: Store,
  shards: readonly StoredShard[],
  parent: ResolvedSnapshot | undefined,
): Promise<Uint8Array> {
  const ids = Buffer.concat(await Promise.all(shards.map((shard) => readIds(store, shard))));
  const count = ids.length / sampleIdBytes;
  const order = sortedById(ids);
  const first = order.filter((row, i) => i === 0 || compareIds(ids, order[i - 1], row) !== 0);
  const fresh = new Uint8Array(count);
  for (const row of first) fresh[row] = 1;
  if (parent === undefined) return fresh;
  const { manifest } = parent;
  const sampleIds = Buffer.alloc(first.length * sampleIdBytes);
  first.forEach((row, i) => {
    ids.copy(sampleIds, i * sampleIdBytes, row * sampleIdBytes, (row + 1) * sampleIdBytes);
  });
  const known = await knownSamples(store, { dataset: manifest.dataset, manifest, sampleIds });
  first.forEach((row, i) => {
    if (known[i] === 1) fresh[row] = 0;
  });
  return fresh;
}

/** Rows by id; equal ones in their order. */
function sortedById(ids: Buffer): Uint32Array {
  const count = ids.length / sampleIdBytes;
  const begin = Float64Array.from({ length: count }, (_, i) =>
    ids.readUIntBE(i * sampleIdBytes, 6),
  );
  return Uint32Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => begin[a] - begin[b] || compareIds(ids, a, b) || a - b,
  );
}

function compareIds(ids: Buffer, a: number, b: number): number {
  const [atA, atB] = [a * sampleIdBytes, b * sampleIdBytes];
  return ids.compare(ids, atB, atB + sampleIdBytes, atA, atA + sampleIdBytes);
}
