/** Lengths, masks and meta of all samples of a snapshot, in stored order: what filters look at. */
import { textsOf } from '../formats/cells.ts';
import type { SampleFacts } from '../plan/filter.ts';
import type { Store } from '../store/store.ts';
import { decodeIndex, rowRecordBytes } from './index-file.ts';
import { filePath, indexNameOf, shardsOf } from './names.ts';
import type { SnapshotReader } from './reader.ts';

/** Samples whose meta is read at a time. */
const runSamples = 4096;

/** Reads each shard's index once; `meta` costs a pass over that column. */
export async function* sampleFacts(
  store: Store,
  reader: SnapshotReader,
  { meta }: { meta: boolean },
): AsyncGenerator<SampleFacts> {
  const { dataset, files } = reader.manifest;
  let first = 0;
  for (const { name } of shardsOf({ files })) {
    const path = filePath(dataset, indexNameOf(name));
    const { rows } = decodeIndex(await store.readAll(path), path);
    const samples = rows.length / rowRecordBytes;
    for (let from = 0; from < samples; from += runSamples) {
      const count = Math.min(runSamples, samples - from);
      const field = (offset: number) =>
        Uint32Array.from({ length: count }, (_, i) =>
          rows.readUInt32LE((from + i) * rowRecordBytes + offset),
        );
      yield {
        positions: field(16),
        learned: field(20),
        ...(meta ? { meta: await readMeta(reader, first + from, count) } : {}),
      };
    }
    first += samples;
  }
}

async function readMeta(reader: SnapshotReader, from: number, count: number): Promise<string[]> {
  const ordinals = Array.from({ length: count }, (_, i) => from + i);
  const { meta } = await reader.read(ordinals, ['meta']);
  return textsOf(meta);
}
