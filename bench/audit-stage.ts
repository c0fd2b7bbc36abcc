/**
 * One measured run, in a process of its own: `audit STORE` audits the data set `planes` there,
 * `decode STORE THREADS` decodes as many positions of the same frames, held in memory.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { auditSnapshot } from '../src/audit/audit.ts';
import { openCodec } from '../src/encode/table.ts';
import { cellsOf, lengthsOf } from '../src/formats/cells.ts';
import { openSnapshot } from '../src/shard/open-snapshot.ts';
import { openStore } from '../src/store/table.ts';
import { dataset, type Stage } from './audit.ts';

interface Load {
  readonly store: string;
  /** Shards that this thread decodes: the same one, so often. */
  readonly shards: number;
}

async function audit(url: string): Promise<number> {
  const store = await openStore(url);
  const report = await auditSnapshot(store, { dataset, snapshot: 'latest' });
  await store.close();
  const { problems } = report.integrity;
  if (problems.total > 0) throw new Error(JSON.stringify(problems.rows));
  return report.coverage.positions;
}

/** The first shard's frames. */
async function frames(url: string) {
  const store = await openStore(url);
  const reader = await openSnapshot(store, { dataset, snapshot: 'latest' });
  const { manifest } = reader;
  const [set] = manifest.target_sets;
  const [{ samples }] = manifest.files;
  const ordinals = Array.from({ length: samples }, (_, i) => i);
  const { mask, teacher_frame } = await reader.read(ordinals, ['mask', 'teacher_frame']);
  await reader.close();
  await store.close();
  const codec = openCodec(set, manifest.label_space);
  return { codec, cells: cellsOf(teacher_frame, 1), counts: lengthsOf(mask) };
}

async function decode({ store, shards }: Load): Promise<number> {
  const { codec, cells, counts } = await frames(store);
  parentPort?.postMessage('ready');
  let positions = 0;
  for (let shard = 0; shard < shards; shard++) {
    for (let i = 0; i < cells.length; i++) positions += codec.decode([cells[i]], counts[i]).count;
    await new Promise((resolve) => setImmediate(resolve)); // so that native buffers are freed
  }
  return positions;
}

/** Seconds from when every thread has its frames. */
async function decodeAll(store: string, threads: number): Promise<Stage> {
  const snapshot = await openSnapshot(await openStore(store), { dataset, snapshot: 'latest' });
  const shards = snapshot.manifest.files.filter(({ role }) => role === 'shard').length;
  await snapshot.close();
  const workers = Array.from({ length: threads }, (_, i) => {
    const share = Math.floor(((i + 1) * shards) / threads) - Math.floor((i * shards) / threads);
    return new Worker(new URL(import.meta.url), { workerData: { store, shards: share } });
  });
  const next = (worker: Worker) =>
    new Promise<unknown>((resolve) => worker.once('message', resolve));
  await Promise.all(workers.map(next));
  return timed(async () => {
    const found = await Promise.all(workers.map(next));
    return found.reduce<number>((sum, positions) => sum + (positions as number), 0);
  });
}

async function timed(run: () => Promise<number>): Promise<Stage> {
  const [started, before] = [performance.now(), process.cpuUsage()];
  const positions = await run();
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - started) / 1000;
  return { positions, seconds, cpuSeconds: (user + system) / 1e6 };
}

if (isMainThread) {
  const [what, store, threads] = process.argv.slice(2);
  const stage =
    what === 'audit' ? await timed(() => audit(store)) : await decodeAll(store, Number(threads));
  console.log(JSON.stringify(stage));
} else {
  parentPort?.postMessage(await decode(workerData as Load));
}
