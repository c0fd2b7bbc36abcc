/** Peak memory of build and serve under 512 MiB, over data ten times that size. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openClient } from '../src/client/client.ts';
import { atMost, type Figure, plain } from './figure.ts';
import { repeatedDump } from './inputs.ts';
import { multiply } from './multiplied.ts';
import { cli, listen, measure, peakMemory } from './process.ts';

const limitMiB = 512;
const dataBytes = 10 * limitMiB * 2 ** 20;
const steps = 2000;

export async function* memory(log: (text: string) => void): AsyncGenerator<Figure> {
  const store = mkdtempSync(join(tmpdir(), 'logitcask-memory-'));
  try {
    const times = Math.ceil(dataBytes / (512 * 8192 * 2));
    log(`memory: a dump of ${times * 8} MiB`);
    const { logits, tokens } = await repeatedDump(times);
    const args = [cli, 'build', '--logits', logits, '--tokens', tokens, '--store', store, '--json'];
    const built = await measure(process.execPath, args);
    const positions = JSON.parse(built.stdout).positions as number;
    yield plain('build from a 5 GiB dump', 'positions/s', positions / built.seconds);
    yield atMost('build from a 5 GiB dump, peak memory', 'MiB', built.memory / 2 ** 20, limitMiB);
    log('memory: serving 5 GiB of raw shards');
    yield* servingMemory(store);
  } finally {
    rmSync(store, { recursive: true });
  }
}

/** A data set of the size, made of links to one real shard: what is read is all there. */
async function* servingMemory(folder: string): AsyncGenerator<Figure> {
  const { logits, tokens } = await repeatedDump(64);
  const build = [cli, 'build', '--logits', logits, '--tokens', tokens, '--store', folder];
  await measure(process.execPath, [...build, '--dataset', 'raw', '--codec', 'raw', '--k', '64']);
  await multiply(folder, 'raw', (bytes) => Math.ceil(dataBytes / bytes));
  const server = await listen(process.execPath, [cli, 'serve', '--store', folder, '--port', '0']);
  const client = openClient({ url: server.url });
  try {
    const plan = await client.createPlan({ streams: [{ dataset: 'raw' }], global_batch: 8 });
    const every = Math.max(1, Math.floor(plan.steps_per_epoch / steps));
    for (let step = 0; step < plan.steps_per_epoch; step += every) {
      await client.step({ plan: plan.plan, epoch: 0, step }, { layout: 'dense', dtype: 'float32' });
    }
    const mib = peakMemory(server.pid) / 2 ** 20;
    yield atMost('serve 5 GiB, 2,000 dense batches, peak memory', 'MiB', mib, limitMiB);
  } finally {
    client.close();
    await server.stop();
  }
}
