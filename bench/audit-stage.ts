/**
 * One measured run, in a process of its own: `audit STORE` audits the data set `planes` there,
 * `decode STORE THREADS` decodes as many frames as an audit does, which lie in memory: those of one
 * shard, again and again.
 */
import { setImmediate } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { auditSnapshot } from '../src/audit/audit.ts';
import { openCodec } from '../src/encode/table.ts';
import { cellsOf, lengthsOf } from '../src/formats/cells.ts';
import { openSnapshot } from '../src/shard/open-snapshot.ts';
import { openStore } from '../src/store/table.ts';
import { dataset, type Stage } from './audit.ts';

interface Load {
  readonly store: string;
  /** Samples that this thread decodes. */
  readonly from: number;
  readonly to: number;
}

async function audit(url: string): Promise<number> {
  const store = await openStore(url);
  const report = await auditSnapshot(store, { dataset, snapshot: 'latest' });
  await store.close();
  const { problems } = report.integrity;
  if (problems.total > 0) throw new Error(JSON.stringify(problems.rows));
  return report.coverage.positions;
}

/** As many samples as its share of the snapshot has. */
async function decode({ store: url, from, to }: Load): Promise<number> {
  const store = await openStore(url);
  const reader = await openSnapshot(store, { dataset, snapshot: 'latest' });
  const { target_sets, label_space, files } = reader.manifest;
  const codec = openCodec(target_sets[0], label_space);
  const ordinals = Array.from({ length: files[0].samples }, (_, i) => i);
  const { mask, teacher_frame } = await reader.read(ordinals, ['mask', 'teacher_frame']);
  const [cells, counts] = [cellsOf(teacher_frame, 1), lengthsOf(mask)];
  parentPort?.postMessage('ready');
  let positions = 0;
  for (let first = from; first < to; first += ordinals.length) {
    for (let i = 0; i < Math.min(ordinals.length, to - first); i++) {
      const sample = { count: counts[i], slot: 0 };
      const found = codec.decodeLent?.([cells[i]], sample) ?? codec.decode([cells[i]], counts[i]);
      positions += found.count;
    }
    await setImmediate(); // until then Node frees no block that was decompressed
  }
  await reader.close();
  await store.close();
  return positions;
}

/** Seconds from when every thread has opened the snapshot. */
async function decodeAll(store: string, threads: number): Promise<Stage> {
  const snapshot = await openSnapshot(await openStore(store), { dataset, snapshot: 'latest' });
  const { samples } = snapshot.manifest.totals;
  await snapshot.close();
  const workers = Array.from({ length: threads }, (_, i) => {
    const [from, to] = [i, i + 1].map((n) => Math.floor((n * samples) / threads));
    // as small a young heap as an audit's threads have: larger, decoding takes longer
    const resourceLimits = { maxYoungGenerationSizeMb: 4 };
    return new Worker(new URL(import.meta.url), {
      workerData: { store, from, to },
      resourceLimits,
    });
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
