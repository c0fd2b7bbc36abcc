/** A request for a plan, against a store: streams are found, filters and packs computed once. */
import type { PlanFilter, PlanPacking, PlanRequest, StoredPlan } from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { keeps, type SampleFacts, writeFilter } from '../plan/filter.ts';
import { type Documents, writePacking } from '../plan/packing.ts';
import { readTrailer, type Trailer } from '../plan/pages.ts';
import { makePlan, type PlanStream } from '../plan/plan.ts';
import { filterPath, packingPath } from '../plan/stored.ts';
import { createReader } from '../shard/open-snapshot.ts';
import { sampleFacts } from '../shard/sample-facts.ts';
import { labelSpaceDigest } from '../shard/sample-id.ts';
import { type ResolvedSnapshot, resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';

export interface PlanMaker {
  /**
   * Errors: `dataset-not-found`, `snapshot-not-found`, `conflict` (streams with other label
   * spaces), `request-invalid` (shares that cannot be met, or a filter or packs over too many
   * samples).
   */
  make(request: PlanRequest): Promise<StoredPlan>;
}

interface Context {
  readonly store: Store;
  /** Files that are being written, by name: the same one is not computed twice at a time. */
  readonly running: Map<string, Promise<Trailer>>;
  /** Samples that a filter or packs may go through. */
  readonly samplesMax: number;
}

export function createPlanMaker(store: Store, { samplesMax }: { samplesMax: number }): PlanMaker {
  const context: Context = { store, running: new Map(), samplesMax };
  return {
    async make(request) {
      const snapshots = await Promise.all(
        request.streams.map(({ dataset, snapshot }) => resolveSnapshot(store, dataset, snapshot)),
      );
      refuseMixture(snapshots);
      const streams: PlanStream[] = [];
      // one after the other: each may go through all its samples
      for (const snapshot of snapshots) streams.push(await streamOf(context, snapshot, request));
      return makePlan(request, streams);
    },
  };
}

function refuseMixture(snapshots: readonly ResolvedSnapshot[]): void {
  const [first, ...others] = snapshots.map(({ manifest }) => manifest);
  const expected = labelSpaceDigest(first.label_space).toString('hex');
  for (const { dataset, kind, label_space } of others) {
    const got = labelSpaceDigest(label_space).toString('hex');
    if (kind === first.kind && got === expected) continue;
    const message = `plan: ${dataset} has another label space or kind than ${first.dataset}`;
    throw new LogitcaskError('conflict', message, { expected, got });
  }
}

async function streamOf(
  context: Context,
  snapshot: ResolvedSnapshot,
  { filter: filterRule, packing: packingRule }: PlanRequest,
): Promise<PlanStream> {
  const { id, manifest } = snapshot;
  const { samples } = manifest.totals;
  if ((filterRule !== null || packingRule !== null) && samples > context.samplesMax) {
    const message =
      'plan: a filter or packs of so many samples take long; make the plan with `logitcask plan`';
    const expected = `at most ${context.samplesMax} samples`;
    throw new LogitcaskError('request-invalid', message, { expected, got: samples });
  }
  if (packingRule !== null && manifest.kind !== 'text') {
    const message = `plan: samples of kind ${manifest.kind} cannot be packed, only text can`;
    throw new LogitcaskError('request-invalid', message, { expected: 'text', got: manifest.kind });
  }
  let filter: PlanStream['filter'] = null;
  if (filterRule !== null) {
    const name = digestOf({ algorithm: 'filter/1', snapshot: id, filter: filterRule });
    const { items: kept, sha256 } = await once(context, filterPath(name), async (path) => {
      await writeFilter(context.store, path, {
        filter: filterRule,
        facts: factsOf(context, snapshot, filterRule),
      });
    });
    filter = { name, sha256, kept };
  }
  let packing: PlanStream['packing'] = null;
  if (packingRule !== null) {
    const name = packingName(id, packingRule, filterRule);
    const { items, sum, sha256 } = await once(context, packingPath(name), async (path) => {
      const documents = documentsOf(factsOf(context, snapshot, filterRule), filterRule);
      await writePacking(context.store, path, { packing: packingRule, documents });
    });
    packing = { name, sha256, packs: items, positions: sum };
  }
  return {
    dataset: manifest.dataset,
    snapshot: id,
    contentId: manifest.content_id,
    samples,
    filter,
    packing,
  };
}

function packingName(snapshot: string, packing: PlanPacking, filter: PlanFilter | null): string {
  return digestOf({ algorithm: 'best-fit/1', snapshot, packing, filter });
}

async function once(
  { store, running }: Context,
  path: string,
  write: (path: string) => Promise<void>,
): Promise<Trailer> {
  const find = async () => {
    const known = await readTrailer(store, path);
    if (known !== undefined) return known;
    await write(path);
    return (await readTrailer(store, path))!;
  };
  const found = running.get(path) ?? find();
  running.set(path, found);
  try {
    return await found;
  } finally {
    running.delete(path);
  }
}

function factsOf(
  { store }: Context,
  { id, manifest }: ResolvedSnapshot,
  filter: PlanFilter | null,
): AsyncIterable<SampleFacts> {
  const reader = createReader(store, { id, manifest });
  return sampleFacts(store, reader, { meta: filter?.meta !== undefined });
}

async function* documentsOf(
  all: AsyncIterable<SampleFacts>,
  filter: PlanFilter | null,
): AsyncGenerator<Documents> {
  let first = 0;
  for await (const facts of all) {
    const kept = Array.from(facts.positions.keys()).filter(
      (i) => filter === null || keeps(filter, facts, i),
    );
    yield {
      ordinals: kept.map((i) => first + i),
      positions: kept.map((i) => facts.positions[i]),
    };
    first += facts.positions.length;
  }
}
