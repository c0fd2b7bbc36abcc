/** The snapshots that a plan's streams are read from, and the view that a rank has of a step. */
import type { BatchRequest } from '../../schemas/batch.ts';
import { LogitcaskError } from '../errors.ts';
import type { OpenPlan } from '../plan/open-plan.ts';
import { snapshotPath } from '../shard/names.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { listDatasets } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import type { ServeContext } from './context.ts';
import type { Place } from './metadata.ts';

/** Where batches stand in a plan; numbers that change from request to request are apart. */
export function placeOf(
  { id, packLength }: OpenPlan,
  { rank, world, replicate }: BatchRequest,
  varying: Readonly<Record<string, number>>,
): Place {
  const packs: Record<string, string> =
    packLength === undefined ? {} : { pack_length: String(packLength) };
  const numbers = Object.entries(varying).map(([key, value]) => [key, String(value)]);
  return {
    fixed: {
      plan: id,
      rank: String(rank),
      world: String(world),
      replicate: String(replicate),
      ...packs,
    },
    varying: Object.fromEntries(numbers),
  };
}

/**
 * The plan's own snapshots; where the request names another one it takes the place of those with
 * the same content (another codec or teacher). Throws `conflict` where there are none.
 */
export async function readersOf(
  context: ServeContext,
  { plan }: OpenPlan,
  { snapshot }: Pick<BatchRequest, 'snapshot'>,
): Promise<SnapshotReader[]> {
  const other = snapshot === undefined ? undefined : await anywhere(context, plan, snapshot);
  const contents = plan.identity.streams.map(({ content_id }) => content_id);
  if (other !== undefined && !contents.includes(other.manifest.content_id)) {
    throw otherSamples(other, contents);
  }
  return Promise.all(
    plan.streams.map(async (stream, i) => {
      if (other?.manifest.content_id === contents[i]) return other;
      const reader = await context.snapshot(stream.dataset, stream.snapshot);
      if (reader.manifest.content_id === contents[i]) return reader;
      throw otherSamples(reader, [contents[i]]);
    }),
  );
}

function otherSamples({ id, manifest }: SnapshotReader, contents: string[]): LogitcaskError {
  const message = `request: snapshot ${id} does not hold the samples of the plan`;
  const expected = contents.length === 1 ? contents[0] : contents;
  return new LogitcaskError('conflict', message, { expected, got: manifest.content_id });
}

/** Equal content may lie in another data set than those that the plan was first made for. */
async function anywhere(
  context: ServeContext,
  { streams: [first, ...others] }: OpenPlan['plan'],
  snapshot: string,
): Promise<SnapshotReader> {
  const open = context.opened(snapshot);
  if (open !== undefined) return open;
  const own = [first, ...others].find((stream) => stream.snapshot === snapshot)?.dataset;
  const dataset = own ?? (await datasetOf(context.store, snapshot)) ?? first.dataset;
  return context.snapshot(dataset, snapshot);
}

async function datasetOf(store: Store, snapshot: string): Promise<string | undefined> {
  for (const dataset of await listDatasets(store)) {
    if ((await store.size(snapshotPath(dataset, snapshot))) !== undefined) return dataset;
  }
  return undefined;
}
