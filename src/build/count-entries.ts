/** Entries of each target set of a snapshot: an index knows those of all together. */
import type { TargetSet } from '../../schemas/manifest.ts';
import { checkFrame } from '../encode/frame.ts';
import { cellsOf, itemBytes } from '../formats/cells.ts';
import { int32Of } from '../formats/layout.ts';
import type { SnapshotReader } from '../shard/reader.ts';

const rowsAtOnce = 64;

/** Reads the headers of frames, or the counts; throws `frame-damaged`. */
export async function countEntries(reader: SnapshotReader, sets: readonly TargetSet[]) {
  const { samples } = reader.manifest.totals;
  const suffixOf = ({ codec }: TargetSet) => (codec.name === 'planes' ? 'frame' : 'counts');
  const names = sets.map((set) => `${set.name}_${suffixOf(set)}`);
  const totals = sets.map(() => 0);
  for (let first = 0; first < samples; first += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, samples - first);
    const ordinals = Array.from({ length: rows }, (_, i) => first + i);
    const columns = await reader.read(ordinals, names);
    names.forEach((name, i) => {
      for (const cell of cellsOf(columns[name], itemBytes(reader.columns[name]))) {
        totals[i] += suffixOf(sets[i]) === 'frame' ? checkFrame(cell).entries : sumOf(cell);
      }
    });
  }
  return totals;
}

function sumOf(counts: Uint8Array): number {
  return int32Of(counts).reduce((sum, count) => sum + count, 0);
}
