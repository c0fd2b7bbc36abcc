/** Sample ids of many ordinals in any order: neighbours are read together. */
import type { SnapshotReader } from './reader.ts';
import { sampleIdBytes } from './sample-id.ts';

/** Ids between two wanted ones that are read along rather than skipped. */
const gapMax = 64;
const runMax = 65_536;

/** 16 bytes each, in the order asked for. Throws `sample-not-found`. */
export async function idsOf(
  reader: SnapshotReader,
  ordinals: readonly number[],
): Promise<Uint8Array> {
  const ids = new Uint8Array(ordinals.length * sampleIdBytes);
  const rows = Uint32Array.from(ordinals.keys()).sort((a, b) => ordinals[a] - ordinals[b]);
  for (let start = 0; start < rows.length; ) {
    const first = ordinals[rows[start]];
    let end = start + 1;
    while (end < rows.length) {
      const [before, next] = [ordinals[rows[end - 1]], ordinals[rows[end]]];
      if (next - before > gapMax || next - first >= runMax) break;
      end++;
    }
    const run = await reader.sampleIds(first, ordinals[rows[end - 1]] + 1);
    for (const row of rows.subarray(start, end)) {
      const at = (ordinals[row] - first) * sampleIdBytes;
      ids.set(run.subarray(at, at + sampleIdBytes), row * sampleIdBytes);
    }
    start = end;
  }
  return ids;
}
