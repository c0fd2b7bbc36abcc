/** Batches built without HTTP. */
import type { BatchRequest } from '../../schemas/batch.ts';
import { type BatchRows, buildStream } from '../../src/serve/batch.ts';
import type { ServeContext } from '../../src/serve/context.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';

export async function streamOf(
  context: ServeContext,
  { reader, request, ...rows }: BatchRows & { reader: SnapshotReader; request: BatchRequest },
): Promise<Buffer> {
  const prepared = context.prepared([reader], request);
  return Buffer.concat((await buildStream(context, { prepared, rows })).pieces);
}
