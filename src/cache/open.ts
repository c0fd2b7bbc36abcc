/** Teachers behind caches, from the configuration of the server; seals what they gather. */
import { buildConfig } from '../../schemas/build-config.ts';
import type { AlignmentCheck } from '../../schemas/manifest.ts';
import type { CacheConfig, CachedTeacherConfig } from '../../schemas/serve-config.ts';
import { readInput } from '../capture/input-file.ts';
import { proofTokens, proveScorer } from '../capture/prove.ts';
import { openScorer, type Scorer } from '../capture/server-source.ts';
import type { TeacherIdentity } from '../capture/source.ts';
import { openTokenizer } from '../capture/tokenizer.ts';
import { asLogitcaskError, LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { createReader } from '../shard/open-snapshot.ts';
import { headSnapshot } from '../shard/snapshot.ts';
import { acquireLock, type Lock } from '../store/lock.ts';
import type { Store } from '../store/store.ts';
import { type SealOptions, sealCache } from './seal.ts';
import { TeacherCache } from './teacher-cache.ts';

const checkMs = 1000;

export interface CachedTeachers {
  readonly teachers: readonly TeacherCache[];
  /** Seals now. */
  seal(): Promise<void>;
  /** Lets go of everything; what is not sealed stays in the logs. */
  close(): Promise<void>;
}

export interface OpenCacheOptions {
  readonly store: Store;
  /** By target set. */
  readonly teachers: Readonly<Record<string, CachedTeacherConfig>>;
  readonly cache: CacheConfig;
  /** Told of a seal that failed; it is tried again. */
  readonly onError: (error: LogitcaskError) => void;
}

/**
 * Errors: those of `openScorer`, `source-misaligned`, `build-running` (another server has the
 * cache), `conflict` (it holds another teacher's scores).
 */
export async function openCachedTeachers(options: OpenCacheOptions): Promise<CachedTeachers> {
  const opened: Opened[] = [];
  const close = async () => {
    for (const { cache, lock, scorer } of opened) {
      await cache.close();
      await scorer?.close();
      await lock.release();
    }
  };
  try {
    for (const name of Object.keys(options.teachers)) opened.push(await openOne(name, options));
  } catch (error) {
    await close();
    throw error;
  }
  const sealing = createSealing(opened, options);
  return {
    teachers: opened.map(({ cache }) => cache),
    seal: sealing.all,
    async close() {
      await sealing.stop();
      await close();
    },
  };
}

interface Opened {
  readonly cache: TeacherCache;
  readonly lock: Lock;
  readonly seal: SealOptions;
  readonly scorer: Scorer | undefined;
}

/** What the scores of a folder are of. */
interface Stored {
  readonly identity: TeacherIdentity;
  readonly k: number;
  readonly contextMax?: number;
  readonly alignment?: AlignmentCheck;
}

async function openOne(name: string, options: OpenCacheOptions): Promise<Opened> {
  const { store, cache: config } = options;
  const teacher = options.teachers[name];
  const folder = `${config.dataset}/scores/${name}`;
  const tokenizerJson = await readInput(teacher.tokenizer);
  const tokenizer = openTokenizer(tokenizerJson, teacher.tokenizer);
  const lock = await acquireLock(store, `${folder}/lock`);
  let scorer: Scorer | undefined;
  try {
    const own = { ...teacher, sample_length: 512, licence: config.licence };
    if (!config.offline) scorer = await openScorer(own, tokenizer);
    const asking = scorer;
    const stored = await storedOf(store, `${folder}/teacher.json`, {
      scorer,
      fresh: async (own) => ({
        identity: own.identity,
        k: teacher.top_k,
        contextMax: own.facts.contextMax,
        alignment: await proveScorer(own, proofTokens(own, tokenizer)),
      }),
    });
    const settings = settingsOf(options, name, stored.k);
    const parent = await headSnapshot(store, settings);
    const cache = await TeacherCache.open(
      {
        store,
        folder,
        name,
        identity: stored.identity,
        k: stored.k,
        contextMax: stored.contextMax,
        served: { model: scorer?.model ?? stored.identity.name, tokenizer, pass: scorer?.pass },
        teacher: asking && {
          fits: asking.fits,
          scoreAll: (sequences) => asked(asking, sequences),
        },
        concurrency: () => asking?.window.limit ?? 1,
        limits: config,
      },
      parent && createReader(store, parent),
    );
    const { alignment } = stored;
    const seal = { store, settings, tokenizerJson, alignment, licence: config.licence };
    return { cache, lock, seal, scorer };
  } catch (error) {
    await scorer?.close();
    await lock.release();
    throw error;
  }
}

async function asked(scorer: Scorer, sequences: readonly Int32Array[]) {
  const results = await scorer.scoreAll(sequences);
  if (results.some(({ status }) => status === 'fulfilled')) scorer.window.grow();
  return results;
}

/** A snapshot for the first teacher lies in the data set itself, others beside it. */
function settingsOf({ store, cache, teachers }: OpenCacheOptions, name: string, k: number) {
  const { source: _, ...settings } = buildConfig.parse({
    store: store.url,
    dataset: Object.keys(teachers)[0] === name ? cache.dataset : `${cache.dataset}-${name}`,
    tag: cache.tag,
    target_set: name,
    sparsifier: { type: 'top-k', k },
  });
  return settings;
}

interface StoredOptions {
  readonly scorer: Scorer | undefined;
  readonly fresh: (scorer: Scorer) => Promise<Stored>;
}

/** Proves a teacher that is new here; one that is known must be the same. */
async function storedOf(
  store: Store,
  path: string,
  { scorer, fresh }: StoredOptions,
): Promise<Stored> {
  const known =
    (await store.size(path)) === undefined
      ? undefined
      : (JSON.parse((await store.readAll(path)).toString()) as Stored);
  if (scorer === undefined) {
    if (known !== undefined) return known;
    const message = `score: there is nothing at ${path}: this cache was never filled`;
    throw new LogitcaskError('dataset-not-found', message);
  }
  const now = await fresh(scorer);
  const same = ({ identity, k }: Stored) => canonicalJson({ identity, k });
  if (known === undefined) await store.write(path, Buffer.from(canonicalJson(now)));
  else if (same(known) !== same(now)) {
    const message =
      'score: the cache holds the scores of another teacher, or of other lists; ' +
      'choose another data set (cache.dataset)';
    const details = {
      expected: { ...known.identity, k: known.k },
      got: { ...now.identity, k: now.k },
    };
    throw new LogitcaskError('conflict', message, details);
  }
  return known ?? now;
}

/** Seals one cache after another, when a log is large or old enough. */
function createSealing(opened: readonly Opened[], { cache: config, onError }: OpenCacheOptions) {
  let running: Promise<void> = Promise.resolve();
  let since = Date.now();
  const all = () => {
    running = running.then(async () => {
      since = Date.now();
      for (const { cache, seal } of opened) await sealCache(cache, seal);
    });
    const result = running;
    running = running.catch(() => {});
    return result;
  };
  let busy = false;
  const timer = setInterval(
    () => {
      const isLarge = opened.some(
        ({ cache }) => cache.segments.active.log.bytes >= config.seal_bytes,
      );
      if (busy || !(isLarge || Date.now() - since >= config.seal_ms)) return;
      busy = true;
      all()
        .catch((error) => onError(asLogitcaskError(error)))
        .finally(() => {
          busy = false;
        });
    },
    Math.min(checkMs, config.seal_ms),
  );
  timer.unref();
  return {
    all,
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}
