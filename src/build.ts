/**
 * The flow of a build: capture → sparsify → encode → shard → store. Deterministic and resumable.
 */
import { availableParallelism } from 'node:os';
import type { BuildConfig, BuildSettings } from '../schemas/build-config.ts';
import type { AlignmentCheck } from '../schemas/manifest.ts';
import { measureSize } from './audit/size.ts';
import { begunAhead, timed } from './build/ahead.ts';
import { refuseOther, restoreReference } from './build/append.ts';
import { createAssembler, type StageSeconds } from './build/assemble.ts';
import { chooseRules } from './build/choose.ts';
import { completeManifest } from './build/finish.ts';
import { buildName } from './build/identity.ts';
import { draftInputs, draftTargetSets } from './build/manifest-draft.ts';
import { createPool } from './build/pool.ts';
import { completedShards } from './build/resume.ts';
import { reuse } from './build/reuse.ts';
import { type ChosenConfig, withSparsifier } from './build/rules.ts';
import { identified, sampleIdsOf, snapshotLabelSpace } from './build/sample-ids.ts';
import { openScores, type Scores } from './build/scores.ts';
import { createShards } from './build/shards.ts';
import { createStatusWriter, type StatusWriter } from './build/status.ts';
import { storesImages } from './build/store-images.ts';
import { checkAlignment } from './capture/alignment.ts';
import type { Source } from './capture/source.ts';
import { openSource } from './capture/table.ts';
import { createThreads, type Threads } from './capture/threads.ts';
import { asLogitcaskError, LogitcaskError } from './errors.ts';
import { engineName } from './kernel/wasm.ts';
import { lockPath } from './shard/names.ts';
import { createReferencePicker } from './shard/reference.ts';
import type { ResolvedSnapshot } from './shard/snapshot.ts';
import { acquireLock } from './store/lock.ts';
import type { Store } from './store/store.ts';
import { openStore } from './store/table.ts';

export interface BuildProgress {
  readonly stage: 'capture' | 'finish';
  readonly positions: number;
  /** Where it is not known before the end, an estimate. */
  readonly positionsTotal: number | undefined;
  readonly isEstimate: boolean;
  readonly samples: number;
  readonly shards: number;
  readonly bytes: number;
}

export interface BuildRunOptions {
  readonly onProgress?: (progress: BuildProgress) => void;
  /** Stops the build between chunks; the shard under way is discarded. */
  readonly signal?: AbortSignal;
  /** Snapshot of the same data set that this one adds to. */
  readonly parent?: ResolvedSnapshot;
  /** What showed that the source is aligned; by default its own first samples have to. */
  readonly alignment?: AlignmentCheck;
}

export interface BuildOptions extends BuildRunOptions {
  /** Where the embedded teacher's text and tokenizer lie. */
  readonly dataFolder: string;
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
  /** Seconds of work by stage; threads work at the same time, so that they may add up to more. */
  readonly seconds: StageSeconds;
  /** Seconds from start to end. */
  readonly elapsed: number;
  /** What read whole rows: `typescript`, slower, where WebAssembly has no SIMD. */
  readonly kernel: 'wasm' | 'typescript';
  /** Positions scored in this run. */
  readonly positions: number;
  /** Stored bytes by column over all shards. */
  readonly columns: Readonly<Record<string, number>>;
}

interface Run extends BuildRunOptions {
  readonly config: ChosenConfig;
  readonly store: Store;
  readonly source: Source;
  readonly build: string;
  readonly seconds: StageSeconds;
  readonly status: StatusWriter;
  readonly threads: Threads;
}

/**
 * Builds a snapshot. The same configuration and inputs give the same files and the same id, whether
 * or not earlier runs were interrupted. Errors: those of the source, `build-running`, `store-*`,
 * `interrupted`.
 */
export function build(given: BuildConfig, options: BuildOptions): Promise<BuildReport> {
  const open = (threads: Threads) => openSource(given.source, { ...options, threads });
  return buildFrom(given, open, options);
}

/** The same from a source that is not in the configuration. */
export async function buildFrom(
  given: BuildSettings,
  open: (threads: Threads) => Promise<Source>,
  options: BuildRunOptions,
): Promise<BuildReport> {
  const seconds = { prepare: 0, capture: 0, sparsify: 0, encode: 0, write: 0, finish: 0 };
  const started = performance.now();
  const store = await openStore(given.store);
  const threads = createThreads(given.workers ?? availableParallelism());
  try {
    const swept = await store.sweep();
    const source = await open(threads);
    try {
      const config = withSparsifier(given, source);
      const name = buildName(config, source, options.parent?.id);
      const lock = await acquireLock(store, lockPath(config.dataset, name));
      try {
        seconds.prepare = (performance.now() - started) / 1000;
        const status = createStatusWriter(store, { dataset: config.dataset, build: name });
        const run: Run = {
          ...options,
          config,
          store,
          source,
          build: name,
          seconds,
          status,
          threads,
        };
        const done = (await reuse(run)) ?? (await runBuild(run));
        const { columns } = await measureSize(store, {
          dataset: config.dataset,
          snapshot: done.snapshot,
        });
        return {
          ...done,
          dataset: config.dataset,
          build: name,
          swept,
          seconds,
          elapsed: (performance.now() - started) / 1000,
          kernel: engineName,
          columns: Object.fromEntries(columns.map((column) => [column.name, column.bytes])),
        };
      } finally {
        await lock.release();
      }
    } finally {
      await source.close();
    }
  } finally {
    await threads.close();
    await store.close();
  }
}

type Outcome = Pick<
  BuildReport,
  'snapshot' | 'manifest' | 'reused' | 'resumedSamples' | 'positions'
>;

async function runBuild(run: Run): Promise<Outcome> {
  const { store, config, source } = run;
  let scores: Scores | undefined;
  try {
    scores = await openScores(store, config.dataset, source);
    const started = performance.now();
    // images predict nothing that follows them
    const { vision } = source;
    const alignment = vision ? null : (run.alignment ?? (await checkAlignment(source)));
    const stages = await openStages(run);
    run.seconds.prepare += (performance.now() - started) / 1000;
    const positions = await captureAll(run, stages);
    const finishing = performance.now();
    const { id, manifest } = await completeManifest({
      ...stages,
      alignment,
      storesImages: storesImages(config),
      signal: run.signal,
    });
    await scores.remove();
    const { samples } = manifest.totals;
    const state = { state: 'complete' as const, snapshot: id };
    const { positions: positionsTotal } = manifest.totals;
    await run.status.write({ ...state, samples, positions: positionsTotal, positionsTotal });
    run.seconds.finish = (performance.now() - finishing) / 1000;
    const resumedSamples = stages.resumed.samples;
    return { snapshot: id, manifest, reused: false, resumedSamples, positions };
  } catch (error) {
    await run.status
      .write({ state: 'failed', error: asLogitcaskError(error).code })
      .catch(() => {});
    throw error;
  } finally {
    await scores?.close();
  }
}

/** The stages that a chunk passes, set up behind what an interrupted run left. */
async function openStages({ config, store, source, build, seconds, threads, parent }: Run) {
  const place = { store, dataset: config.dataset, build, format: config.format };
  const labelSpace = snapshotLabelSpace(source);
  const inputs = draftInputs(config, source);
  const rules = await chooseRules(config, source);
  const { positions: total, learned } = source;
  const picker = createReferencePicker({ ...config.reference, total, learned });
  const sets = draftTargetSets({ config, rules, source });
  refuseOther(parent, sets, labelSpace);
  await restoreReference(store, parent, picker);
  const idOf = sampleIdsOf(source);
  if (source.samples !== undefined) picker.foresee(identified(source.samples(), idOf));
  const complete = await completedShards(place, picker);
  const sum = (field: 'samples' | 'positions') =>
    complete.reduce((total, header) => total + header[field], 0);
  const resumed = { samples: sum('samples'), positions: sum('positions') };
  const pool = createPool(threads);
  const assembler = createAssembler({
    heads: rules.map((own, i) => ({ set: sets.at(i), rules: own })),
    pool,
    idOf,
    kept: inputs,
    reference: { picker, entries: config.reference.entries },
    seconds,
    ordinal: (parent?.manifest.totals.samples ?? 0) + resumed.samples,
  });
  const shards = createShards({ ...place, config, sets, picker, complete, labelSpace, inputs });
  const stages = { sets, source, labelSpace, inputs, picker, resumed, pool, assembler, shards };
  return { ...place, tag: config.tag, parent, ...stages };
}

/** Takes every chunk through the stages; returns the positions that were scored. */
async function captureAll(
  run: Run,
  { shards, assembler, pool, resumed }: Awaited<ReturnType<typeof openStages>>,
): Promise<number> {
  const { source, seconds } = run;
  let positions = 0;
  let { samples } = resumed;
  const total = () => ({ positionsTotal: totalOf(source, resumed.positions + positions) ?? null });
  const report = (stage: BuildProgress['stage']) => {
    const done = resumed.positions + positions;
    run.onProgress?.({
      stage,
      positions: done,
      positionsTotal: totalOf(source, done),
      isEstimate: source.positions === undefined,
      samples,
      shards: shards.complete.length,
      bytes: shards.bytes,
    });
  };
  try {
    await run.status.write({ ...resumed, ...total(), shards: shards.complete.length });
    const from = shards.complete.at(-1)?.nextInput ?? 0;
    const chunks = source.unread?.(from) ?? source.chunks(from, pool.lend);
    for await (const begun of begunAhead(timed(chunks, seconds), assembler, pool.ahead)) {
      if (run.signal?.aborted) throw stopped();
      const { sample, rows, head = 0 } = begun.chunk;
      const row = assembler.add(begun, await begun.reduced);
      if (head === 0) positions += rows.count;
      if (row !== undefined) {
        const writing = performance.now();
        const closed = await shards.add(row, sample.ordinal + 1);
        samples++;
        const reached = { samples, positions: resumed.positions + positions, ...total() };
        if (closed) await run.status.write({ ...reached, shards: shards.complete.length });
        else await run.status.progress(reached);
        seconds.write += (performance.now() - writing) / 1000;
      }
      report('capture');
    }
    await shards.finish();
    await run.status.write({ shards: shards.complete.length });
  } catch (error) {
    await shards.abort();
    throw error;
  } finally {
    await run.threads.close(); // what is left needs none of them, nor their memory
  }
  report('finish');
  return positions;
}

/** An estimate where the source does not know how many positions it has. */
function totalOf(source: Source, done: number): number | undefined {
  const share = source.share?.() ?? 0;
  return source.positions ?? (share > 0 ? Math.max(done, Math.round(done / share)) : undefined);
}

function stopped(): LogitcaskError {
  const message =
    'build: stopped; whole shards are kept, and what a server answered: run it again to go on';
  return new LogitcaskError('interrupted', message);
}
