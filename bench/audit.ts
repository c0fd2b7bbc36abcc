/** A full audit of a snapshot beside nothing but the decoding of its frames, on all cores. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashSampleIds } from '../src/audit/digests.ts';
import { createReader } from '../src/shard/open-snapshot.ts';
import { resolveSnapshot, writeSnapshot } from '../src/shard/snapshot.ts';
import { openStore } from '../src/store/table.ts';
import { consoleFigures } from './console.ts';
import { atMost, type Benchmark, type Figure, median, spread } from './figure.ts';
import { repeatedDump } from './inputs.ts';
import { multiply } from './multiplied.ts';
import { cli, measure } from './process.ts';

export const dataset = 'planes';

/** What a measured process prints. */
export interface Stage {
  readonly positions: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

const rounds = 3;
/** Shards of 4 MB, a sixteenth of what a build makes them. */
const repeats = 256;
/** So many that starting threads takes no share. */
const copies = 128;
const ratioMin = 0.6;
const memoryMaxMiB = 512;
const script = new URL('./audit-stage.js', import.meta.url).pathname;

export const audit: Benchmark = {
  name: 'audit',
  summary: 'a full audit beside decoding alone on as many threads; the first paint of the console',
  async *run(log): AsyncGenerator<Figure> {
    const store = mkdtempSync(join(tmpdir(), 'logitcask-audit-'));
    try {
      log(`a snapshot of ${(512 * repeats * copies).toLocaleString('en')} positions`);
      await makeSnapshot(store);
      yield* measureRounds(store, log);
    } finally {
      rmSync(store, { recursive: true });
    }
    yield* consoleFigures(log);
  },
};

async function makeSnapshot(store: string): Promise<void> {
  const { logits, tokens } = await repeatedDump(repeats);
  const args = [cli, 'build', '--logits', logits, '--tokens', tokens, '--store', store];
  await measure(process.execPath, [...args, '--dataset', dataset, '--k', '64']);
  const opened = await openStore(store);
  const { manifest: small } = await resolveSnapshot(opened, dataset, 'latest');
  const large = await multiply(store, dataset, () => copies);
  // as a build would write it: with its reference, and the address of its content
  const files = [...large.files, ...small.files.filter(({ role }) => role === 'reference')];
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const manifest = { ...large, files, totals: { ...large.totals, bytes } };
  const content_id = await hashSampleIds(createReader(opened, { id: '', manifest }));
  await writeSnapshot(opened, { ...manifest, content_id }, 'latest');
  await opened.close();
}

async function* measureRounds(store: string, log: (text: string) => void): AsyncGenerator<Figure> {
  const threads = availableParallelism();
  const [audits, decodes]: [Stage[], Stage[]] = [[], []];
  let memory = 0;
  for (let round = 1; round <= rounds; round++) {
    log(`round ${round} of ${rounds}`);
    const decoded = await measure(process.execPath, [script, 'decode', store, String(threads)]);
    decodes.push(JSON.parse(decoded.stdout));
    const audited = await measure(process.execPath, [script, 'audit', store]);
    audits.push(JSON.parse(audited.stdout));
    memory = Math.max(memory, audited.memory);
  }
  const decoding = `decoding alone, ${threads} threads`;
  const speeds = (stages: readonly Stage[]) => stages.map((one) => one.positions / one.seconds);
  const perCpu = (stages: readonly Stage[]) => stages.map((one) => one.positions / one.cpuSeconds);
  yield beside('full audit', 'positions/s', [speeds(audits), speeds(decodes)], decoding);
  yield {
    ...beside('full audit', 'positions/CPU-s', [perCpu(audits), perCpu(decodes)], decoding),
    reach: null,
    ok: null,
  };
  yield atMost('full audit, peak memory', 'MiB', memory / 2 ** 20, memoryMaxMiB);
}

function beside(
  figure: string,
  unit: string,
  ...[[own, other], peer]: [readonly [number[], number[]], string]
): Figure {
  const [value, peerValue] = [median(own), median(other)];
  const ratio = value / peerValue;
  return {
    figure: `${figure} (${spread(own)})`,
    unit,
    value,
    peer: `${peer} (${spread(other)})`,
    peerValue,
    ratio,
    reach: `≥ ${ratioMin} ×`,
    ok: ratio >= ratioMin,
  };
}
