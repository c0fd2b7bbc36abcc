/** The first batch of a server that has just started, over a manifest of 10^9 samples. */
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openClient } from '../src/client/client.ts';
import { canonicalJson, sha256Hex } from '../src/formats/canonical.ts';
import { bytesOf } from '../src/formats/layout.ts';
import { atMost, type Figure, median, spread } from './figure.ts';
import { npyHeader, writeIds } from './inputs.ts';
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
  const { plan, snapshot } = await multiply(store);
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
    const client = openClient({ url: server.url });
    const started = performance.now();
    const { rows } = await client.step({ plan, epoch: round, step: 12_345_678 }, { snapshot });
    found.push(performance.now() - started);
    if (rows !== 8) throw new Error(`${rows} rows`);
    client.close();
    await server.stop();
  }
  const figure = `first batch, cold server, 10^9 samples in ${shards} shards (${spread(found)})`;
  yield atMost(figure, 'ms', median(found), msMax);
  rmSync(store, { recursive: true });
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

/** The snapshot with its only shard named over and over, and a plan of it. */
async function multiply(store: string): Promise<{ plan: string; snapshot: string }> {
  const at = (...names: string[]) => join(store, 'cold', ...names);
  const id = readFileSync(at('tags', 'latest'), 'utf8').trim();
  const manifest = JSON.parse(readFileSync(at('snapshots', `${id}.json`), 'utf8'));
  const one = ['shard', 'index'].map((role) =>
    manifest.files.find((file: { role: string; name: string }) => {
      return file.role === role && !file.name.endsWith('-samples.index');
    }),
  );
  const others = manifest.files.filter((file: object) => !one.includes(file));
  const name = (number: number, file: { name: string }) =>
    file.name.replace(/-00000\./, `-${String(number).padStart(5, '0')}.`);
  const files = [...others];
  for (let number = 0; number < shards; number++) {
    for (const file of one) {
      if (number > 0) linkSync(at('files', file.name), at('files', name(number, file)));
      files.push({ ...file, name: name(number, file) });
    }
  }
  const { samples, positions } = manifest.totals;
  const totals = { ...manifest.totals, samples: samples * shards, positions: positions * shards };
  const text = canonicalJson({ ...manifest, files, totals });
  const snapshot = sha256Hex(Buffer.from(text));
  writeFileSync(at('snapshots', `${snapshot}.json`), text);
  const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
  const client = openClient({ url: server.url });
  const streams = [{ dataset: 'cold', snapshot }];
  const {
    plan,
    streams: [drawn],
  } = await client.createPlan({ streams });
  if (drawn.samples !== shards * shardSamples) throw new Error(`${drawn.samples} samples`);
  client.close();
  await server.stop();
  return { plan, snapshot };
}
