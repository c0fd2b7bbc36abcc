/** The flow of a build: capture → sparsify → encode → shard → store. Deterministic and resumable. */
import type { BuildConfig } from '../schemas/build-config.ts';
import type { AlignmentCheck } from '../schemas/manifest.ts';
import { measureSize } from './audit/size.ts';
import { createAssembler, type StageSeconds } from './build/assemble.ts';
import { openCodecFor } from './build/codec.ts';
import { completeManifest } from './build/finish.ts';
import { buildName, labelSpaceOf } from './build/identity.ts';
import { draftTargetSet } from './build/manifest-draft.ts';
import { completedShards } from './build/resume.ts';
import { createShards } from './build/shards.ts';
import { checkAlignment } from './capture/alignment.ts';
import type { Source } from './capture/source.ts';
import { openSource } from './capture/table.ts';
import { asLogitcaskError, LogitcaskError } from './errors.ts';
import { lockPath } from './shard/names.ts';
import { createReferencePicker } from './shard/reference.ts';
import { labelSpaceDigest } from './shard/sample-id.ts';
import {
  type BuildStatus,
  type ResolvedSnapshot,
  readBuildStatus,
  resolveSnapshot,
  writeBuildStatus,
} from './shard/snapshot.ts';
import { createSparsifier } from './sparsify/table.ts';
import { acquireLock } from './store/lock.ts';
import type { Store } from './store/store.ts';
import { openStore } from './store/table.ts';

export interface BuildProgress {
  readonly stage: 'prepare' | 'capture' | 'finish';
  readonly positions: number;
  readonly positionsTotal: number | undefined;
  readonly samples: number;
  readonly shards: number;
  readonly bytes: number;
}

export interface BuildOptions {
  /** Where the embedded teacher's text and tokenizer lie. */
  readonly dataFolder: string;
  readonly onProgress?: (progress: BuildProgress) => void;
  /** Stops the build between chunks; the shard under way is discarded. */
  readonly signal?: AbortSignal;
}

export interface BuildReport {
  readonly dataset: string;
  readonly snapshot: string;
  readonly build: string;
  readonly manifest: ResolvedSnapshot['manifest'];
  /** True where a complete build was found and nothing was scored. */
  readonly reused: boolean;
  /** Samples of an earlier, interrupted run that were kept. */
  readonly resumedSamples: number;
  /** Temporary files of dead writers that were removed. */
  readonly swept: number;
  readonly seconds: StageSeconds;
  /** Positions scored in this run. */
  readonly positions: number;
  /** Stored bytes by column over all shards. */
  readonly columns: Readonly<Record<string, number>>;
}

interface Run extends BuildOptions {
  readonly config: BuildConfig;
  readonly store: Store;
  readonly source: Source;
  readonly build: string;
  readonly seconds: StageSeconds;
  readonly status: (change: Partial<BuildStatus>) => Promise<void>;
}

/**
 * Builds a snapshot. The same configuration and inputs give the same files and the same id, whether
 * or not earlier runs were interrupted. Errors: those of the source, `build-running`, `store-*`,
 * `interrupted`.
 */
export async function build(config: BuildConfig, options: BuildOptions): Promise<BuildReport> {
  const seconds = { prepare: 0, capture: 0, sparsify: 0, encode: 0, write: 0, finish: 0 };
  const started = performance.now();
  const store = await openStore(config.store);
  try {
    const swept = await store.sweep();
    const source = await openSource(config.source, options);
    try {
      const name = buildName(config, source);
      const lock = await acquireLock(store, lockPath(config.dataset, name));
      try {
        seconds.prepare = (performance.now() - started) / 1000;
        const status = statusWriter(store, config.dataset, name);
        const run: Run = { ...options, config, store, source, build: name, seconds, status };
        const done = (await reuse(run)) ?? (await runBuild(run));
        const { columns } = await measureSize(store, {
          dataset: config.dataset,
          snapshot: done.snapshot,
        });
        const sizes = Object.fromEntries(columns.map((column) => [column.name, column.bytes]));
        return { ...done, dataset: config.dataset, build: name, swept, seconds, columns: sizes };
      } finally {
        await lock.release();
      }
    } finally {
      await source.close();
    }
  } finally {
    await store.close();
  }
}

type Outcome = Pick<
  BuildReport,
  'snapshot' | 'manifest' | 'reused' | 'resumedSamples' | 'positions'
>;

function statusWriter(store: Store, dataset: string, build: string): Run['status'] {
  let status: BuildStatus = {
    build,
    state: 'running',
    snapshot: null,
    samples: 0,
    positions: 0,
    shards: 0,
    updatedMs: 0,
    error: null,
  };
  return async (change) => {
    status = { ...status, ...change, updatedMs: Date.now() };
    await writeBuildStatus(store, dataset, status);
  };
}

/** A complete build of the same name, provided that the tag can simply point at it. */
async function reuse({ config, store, build }: Run): Promise<Outcome | undefined> {
  const statuses = await readBuildStatus(store, config.dataset);
  const done = statuses.find((status) => status.build === build && status.state === 'complete');
  if (done?.snapshot == null) return undefined;
  const { id, manifest } = await resolveSnapshot(store, config.dataset, done.snapshot);
  await store.write(`${config.dataset}/tags/${config.tag}`, Buffer.from(`${id}\n`));
  return { snapshot: id, manifest, reused: true, resumedSamples: 0, positions: 0 };
}

async function runBuild(run: Run): Promise<Outcome> {
  try {
    const started = performance.now();
    const alignment = await checkAlignment(run.source);
    run.seconds.prepare += (performance.now() - started) / 1000;
    return await captureAll(run, alignment);
  } catch (error) {
    await run.status({ state: 'failed', error: asLogitcaskError(error).code }).catch(() => {});
    throw error;
  }
}

async function captureAll(run: Run, alignment: AlignmentCheck): Promise<Outcome> {
  const { config, store, source, build, seconds } = run;
  const labelSpace = labelSpaceOf(source);
  const sparsifier = createSparsifier(config.sparsifier);
  const exact = createSparsifier({ type: 'top-k', k: config.reference.entries });
  const picker = createReferencePicker(config.reference);
  const place = { store, dataset: config.dataset, build };
  const complete = await completedShards(place, picker);
  const codec = await openCodecFor(config, { source, sparsifier });
  const set = draftTargetSet({ config, codec, sparsifier, identity: source.identity });
  const resumedSamples = complete.reduce((sum, { samples }) => sum + samples, 0);
  const assembler = createAssembler({
    set: config.target_set,
    sparsifier,
    codec,
    temperatures: config.temperatures,
    labelSpace: labelSpaceDigest(labelSpace),
    reference: { picker, sparsifier: exact },
    seconds,
    ordinal: resumedSamples,
  });
  const shards = createShards({ ...place, config, set, picker, complete, labelSpace });
  let positions = 0;
  let samples = resumedSamples;
  const before = complete.reduce((sum, header) => sum + header.positions, 0);
  const report = (stage: BuildProgress['stage']) =>
    run.onProgress?.({
      stage,
      positions: before + positions,
      positionsTotal: source.positions,
      samples,
      shards: shards.complete.length,
      bytes: shards.bytes,
    });
  try {
    await run.status({ samples, positions: before, shards: complete.length });
    const from = complete.at(-1)?.nextInput ?? 0;
    for await (const chunk of timed(source.chunks(from), seconds)) {
      if (run.signal?.aborted) throw stopped();
      const row = assembler.add(chunk);
      if (row !== undefined) {
        const writing = performance.now();
        const closed = await shards.add(row, chunk.sample.ordinal + 1);
        samples++;
        if (closed) await run.status({ samples, shards: shards.complete.length });
        seconds.write += (performance.now() - writing) / 1000;
      }
      positions += chunk.rows.count;
      report('capture');
    }
    await shards.finish();
  } catch (error) {
    await shards.abort();
    throw error;
  }
  report('finish');
  const finishing = performance.now();
  const resolved = await completeManifest({
    ...place,
    tag: config.tag,
    set,
    source,
    labelSpace,
    alignment,
    picker,
    shards: shards.complete,
  });
  const totals = { samples, positions: before + positions, shards: shards.complete.length };
  await run.status({ state: 'complete', snapshot: resolved.id, ...totals });
  seconds.finish = (performance.now() - finishing) / 1000;
  const { id: snapshot, manifest } = resolved;
  return { snapshot, manifest, reused: false, resumedSamples, positions };
}

function stopped(): LogitcaskError {
  const message = 'build: stopped; whole shards are kept, run it again to go on behind them';
  return new LogitcaskError('interrupted', message);
}

/** Counts the time that the source takes. */
async function* timed<T>(items: AsyncIterable<T>, seconds: StageSeconds): AsyncGenerator<T> {
  let asked = performance.now();
  for await (const item of items) {
    seconds.capture += (performance.now() - asked) / 1000;
    yield item;
    asked = performance.now();
  }
}
