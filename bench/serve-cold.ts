/** The first batch of a server that has just started, over a manifest of 10^9 samples. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openClient } from '../src/client/client.ts';
import { bytesOf } from '../src/formats/layout.ts';
import { atMost, type Figure, median, spread } from './figure.ts';
import { npyHeader, writeIds } from './inputs.ts';
import { multiply } from './multiplied.ts';
import { cli, listen, measure } from './process.ts';

const rounds = 5;
const shards = 10_000;
const shardSamples = 100_000;
const sampleLength = 4;
const width = 16;
const msMax = 200;

export async function* cold(folder: string, log: (text: string) => void): AsyncGenerator<Figure> {
  log('cold: one shard of 100,000 small samples, linked 10,000 times');
  const store = join(folder, 'cold');
  await buildShard(folder, store);
  await multiply(store, 'cold', () => shards);
  const plan = await planOf(store);
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
    const client = openClient({ url: server.url });
    const started = performance.now();
    const { rows } = await client.step({ plan, epoch: round, step: 12_345_678 });
    found.push(performance.now() - started);
    if (rows !== 8) throw new Error(`${rows} rows`);
    client.close();
    await server.stop();
  }
  const figure = `first batch, cold server, 10^9 samples in ${shards} shards (${spread(found)})`;
  yield atMost(figure, 'ms', median(found), msMax);
  rmSync(store, { recursive: true });
}

async function planOf(store: string): Promise<string> {
  const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
  const client = openClient({ url: server.url });
  const { plan, streams } = await client.createPlan({ streams: [{ dataset: 'cold' }] });
  client.close();
  await server.stop();
  if (streams[0].samples !== shards * shardSamples) throw new Error('another number of samples');
  return plan;
}

async function buildShard(folder: string, store: string): Promise<void> {
  const positions = shardSamples * sampleLength;
  const tokens = Int32Array.from({ length: positions }, (_, i) => (i * i) % width);
  const logits = Float32Array.from({ length: positions * width }, (_, at) => {
    return tokens[Math.floor(at / width) + 1] === at % width ? 4 : 0; // the next token is the peak
  });
  const files = { logits: join(folder, 'cold.npy'), tokens: join(folder, 'cold-tokens.npy') };
  const header = npyHeader('<f4', [positions, width]);
  writeFileSync(files.logits, Buffer.concat([header, bytesOf(logits)]));
  writeIds(files.tokens, tokens);
  const inputs = ['--logits', files.logits, '--tokens', files.tokens, '--store', store];
  const shape = ['--sample-length', String(sampleLength), '--k', '2', '--dataset', 'cold'];
  await measure(process.execPath, [cli, 'build', ...inputs, ...shape]);
}
