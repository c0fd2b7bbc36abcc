/** What every route works with: the store, open snapshots and plans under limits. */
import { fileURLToPath } from 'node:url';
import type { ServeConfig } from '../../schemas/serve-config.ts';
import { builtWebFolder } from '../built.ts';
import { type OpenPlan, openPlan } from '../plan/open-plan.ts';
import type { Permutation } from '../plan/permutation.ts';
import { readPlan } from '../plan/stored.ts';
import { createReader } from '../shard/open-snapshot.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { resolveSnapshot } from '../shard/snapshot.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import { auditEnd } from './audit-end.ts';
import { type Auditor, realAuditor } from './auditor.ts';
import { type Audits, createAudits } from './audits.ts';
import type { ObservedTeacher } from './cached-teacher.ts';
import { createConverter } from './converter.ts';
import { createGenerations, type Generations } from './facade/generations.ts';
import { type Integrity, openIntegrity } from './integrity.ts';
import { createLog, type Log } from './log.ts';
import { createMeters, type Meters } from './meters.ts';
import { createPrepare } from './prepare.ts';
import { createReadySamples, type ReadySamples } from './ready.ts';
import { createReplies, type Replies } from './replies.ts';
import { createTokenTexts, type TokenTextsCache } from './token-texts.ts';
import type { Uploads } from './uploads.ts';
import { readWebFiles, type WebFiles } from './web-files.ts';

const plansOpenMax = 64;
/** Tables of the orders of small sets, over all plans. */
const orderBytesMax = 64 * 1024 * 1024;
/** The first batches come first. */
const checkDelayMs = 1000;

export interface ServeContext {
  readonly store: Store;
  readonly config: ServeConfig;
  readonly log: Log;
  readonly meters: Meters;
  readonly integrity: Integrity;
  /** A snapshot by digest or tag; its files are proved in the background once it is opened. */
  snapshot(dataset: string, ref: string): Promise<SnapshotReader>;
  /** A snapshot that is open, by digest, in whatever data set it lies. */
  opened(id: string): SnapshotReader | undefined;
  plan(id: string): Promise<OpenPlan>;
  /** What a request asks of snapshots; kept for the requests like it. */
  readonly prepared: ReturnType<typeof createPrepare>;
  readonly ready: ReadySamples;
  /** Texts of tokens, by the tokenizer of a snapshot. */
  readonly texts: TokenTextsCache;
  readonly replies: Replies;
  readonly generations: Generations;
  /** Teachers that are asked for what is not cached; none where the server has none. */
  teachers: readonly ObservedTeacher[];
  /** What teacher workers push; none where the server takes nothing. */
  readonly uploads: Uploads | undefined;
  /** The console. */
  readonly web: WebFiles;
  /** Audits that were asked for. */
  readonly audits: Audits;
  /** True once the server is about to stop. */
  stopping: boolean;
  close(): Promise<void>;
}

interface Given extends Partial<Pick<ServeContext, 'uploads'>> {
  readonly auditor?: Auditor;
  readonly webFolder?: string;
}

export async function createContext(
  store: Store,
  config: ServeConfig,
  { uploads, auditor = realAuditor, webFolder = fileURLToPath(builtWebFolder) }: Given = {},
): Promise<ServeContext> {
  const { snapshots_open_max, directory_bytes_max } = config.limits;
  const readers = createLru<SnapshotReader>(snapshots_open_max, (reader) => void reader.close());
  const plans = createLru<OpenPlan>(plansOpenMax);
  const orders = createLru<Permutation>(orderBytesMax);
  const integrity = await openIntegrity(store);
  const { cache_bytes_max: cacheBytesMax, loads_max: loadsMax } = config.limits;
  const converter = createConverter();
  const ready = createReadySamples({
    cacheBytesMax,
    loadsMax,
    converter,
    onDamage: (dataset, shard) => void integrity.check(dataset, shard).catch(() => {}),
  });
  const texts = createTokenTexts({ store, integrity, converter });
  const generations = createGenerations();
  const log = createLog(config.log);
  const onEnd = auditEnd(store, { integrity, log });
  return {
    store,
    config,
    log,
    meters: createMeters(),
    integrity,
    ready,
    texts,
    replies: createReplies(config.limits),
    teachers: [], // once their answers are counted
    generations,
    uploads,
    web: await readWebFiles(webFolder),
    audits: createAudits({ store, auditor, config: config.audit, onEnd }),
    prepared: createPrepare(),
    stopping: false,
    async snapshot(dataset, ref) {
      const known = readers.get(ref); // digests only: tags move
      if (known?.manifest.dataset === dataset) return known;
      const resolved = await resolveSnapshot(store, dataset, ref);
      const open = readers.get(resolved.id);
      if (open !== undefined) return open;
      const reader = createReader(store, { ...resolved, cacheBytesMax: directory_bytes_max });
      readers.set(resolved.id, reader, 1);
      setTimeout(() => void integrity.checkAll(reader.manifest), checkDelayMs).unref();
      return reader;
    },
    opened: (id) => readers.get(id),
    async plan(id) {
      const known = plans.get(id);
      if (known !== undefined) return known;
      const plan = await openPlan(await readPlan(store, id), { store, orders });
      plans.set(id, plan, 1);
      return plan;
    },
    async close() {
      integrity.stop();
      generations.close();
      ready.clear();
      texts.clear();
      readers.clear();
      plans.clear();
      await converter.close();
    },
  };
}
