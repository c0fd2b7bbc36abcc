/**
 * Many ranks at once: how long their batches take, and what the server needs for them. Latencies
 * are taken in short rounds, ours and nginx' in turns on connections that stay: the tenth slowest
 * of a round's batches beside its median, as the machine was right then, and the median of the
 * rounds, so that one in which something else ran decides nothing.
 */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { openClient } from '../src/client/client.ts';
import { atMost, type Figure, median, middleHalf, plain } from './figure.ts';
import { multiply } from './multiplied.ts';
import { cli, type Listening, listen, peakMemory } from './process.ts';
import { type Stage, snapshotOf, startNginx } from './serve-peers.ts';

const rounds = 9;
const batchesOfRound = 1000;
const ofRound = `${batchesOfRound} batches, median of ${rounds} rounds`;
/** Until the engine has compiled what a step takes; of millions in a training run. */
const warmBatches = 3000;
const mib = 2 ** 20;
const memoryMax = 512;
const ranks = 64;
const stalled = 8;
const batchesOfMemory = 2000;

type Place = Pick<Stage, 'folder' | 'store' | 'log'>;

export async function* load(place: Place): AsyncGenerator<Figure> {
  const { folder, store, log } = place;
  const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
  const root = join(folder, 'bodies');
  mkdirSync(root);
  const nginx = await startNginx(join(folder, 'nginx-load'), root);
  try {
    for (const [dataset, layout] of [
      ['raw', 'dense'],
      ['zstd', 'frames'],
    ]) {
      const view = viewOf(store, dataset, layout);
      for (const world of [1, 8]) {
        log(`serve: latency of ${layout} with ${world} ranks`);
        const path = await pathsOf(server, view, world);
        const body = await (await fetch(server.url + path(0, 0))).arrayBuffer();
        writeFileSync(join(root, layout), new Uint8Array(body));
        const most = world === 1 ? 2.5 : 3;
        const who = world === 1 ? 'one rank' : `${world} ranks`;
        const ours = await openRanks({ url: server.url, path, world });
        const theirs = await openRanks({ url: nginx.url, path: () => `/${layout}`, world });
        yield* latencies(`${layout}, ${who}`, { ours, theirs, most });
      }
    }
  } finally {
    await nginx.stop();
    await server.stop();
  }
  log('serve: memory, 5 GiB of raw shards');
  await multiply(store, 'raw', (bytes) => Math.ceil((10 * memoryMax * mib) / bytes));
  yield* memory(store);
}

function viewOf(store: string, dataset: string, layout: string): string {
  return `layout=${layout}&dtype=float32&snapshot=${snapshotOf(store, dataset)}`;
}

/** Step `i`, counted through the epochs. */
function stepPath(plan: string, i: number, steps: number): string {
  return `/v1/plans/${plan}/epochs/${Math.floor(i / steps)}/steps/${i % steps}`;
}

type PathOf = (rank: number, i: number) => string;

/** Steps of a plan with batches of 8 samples for every rank. */
async function pathsOf({ url }: Listening, view: string, world: number): Promise<PathOf> {
  const client = openClient({ url });
  const streams = [{ dataset: 'raw' }];
  const { plan, steps_per_epoch: steps } = await client.createPlan({
    streams,
    global_batch: 8 * world,
  });
  client.close();
  return (rank, i) => `${stepPath(plan, i, steps)}?rank=${rank}&world=${world}&${view}`;
}

/** Of each round, in milliseconds. */
interface Latency {
  readonly median: number;
  readonly p99: number;
}

interface Ranks {
  round(): Promise<Latency>;
  close(): void;
}

/** Each rank asks on its own connection, for one batch after the other. */
async function openRanks(asked: { url: string; path: PathOf; world: number }): Promise<Ranks> {
  const { url, path, world } = asked;
  const connections = await Promise.all(Array.from({ length: world }, () => openRank(url)));
  const rank = async (number: number, count: number, found: number[]) => {
    for (let i = 0; i < count; i++) {
      const started = performance.now();
      await connections[number].take(path(number, i));
      found.push(performance.now() - started);
    }
  };
  const all = (count: number, found: number[]) =>
    Promise.all(connections.map((_, number) => rank(number, count / world, found)));
  await all(warmBatches, []);
  return {
    async round() {
      const found: number[] = [];
      await all(batchesOfRound, found);
      found.sort((a, b) => a - b);
      return { median: median(found), p99: found[Math.floor(found.length * 0.99)] };
    },
    close() {
      for (const connection of connections) connection.close();
    },
  };
}

/** Rounds in turns, so that what else the machine does meets both. */
async function* latencies(
  what: string,
  sides: { ours: Ranks; theirs: Ranks; most: number },
): AsyncGenerator<Figure> {
  const { most } = sides;
  const [ours, theirs]: [Latency[], Latency[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 1) theirs.push(await sides.theirs.round());
    ours.push(await sides.ours.round());
    if (round % 2 === 0) theirs.push(await sides.theirs.round());
  }
  for (const side of [sides.ours, sides.theirs]) side.close();
  const peer = (values: number[]) => `nginx, as many bytes of a file (${middleHalf(values)})`;
  const beside = (of: (one: Latency) => number) => [ours.map(of), theirs.map(of)] as const;
  const [mine, its] = beside((one) => one.median);
  const figure = `p50 of ${ofRound}, ${what} (${middleHalf(mine)})`;
  const medians = plain(figure, 'ms', median(mine));
  yield { ...medians, peer: peer(its), peerValue: median(its) };
  const [tails, itsTails] = beside((one) => one.p99 / one.median);
  const tail = `p99 / p50 of ${ofRound}, ${what} (${middleHalf(tails)})`;
  const figures = atMost(tail, '×', median(tails), most);
  yield { ...figures, peer: peer(itsTails), peerValue: median(itsTails) };
}

/** One rank's connection, its bytes read into one buffer and thrown away. */
interface Rank {
  /** Resolves when the whole answer is there. */
  take(path: string): Promise<void>;
  close(): void;
}

const headMax = 4096;

/** As lean as a client can be: what is timed is the server. */
async function openRank(url: string): Promise<Rank> {
  const { hostname, port } = new URL(url);
  let head = '';
  let left = 0;
  let done: (error?: Error) => void = () => {};
  const arrived = (length: number, bytes: Uint8Array) => {
    if (left === 0) {
      head += Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(length, headMax)).toString(
        'latin1',
      );
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return true;
      if (!head.startsWith('HTTP/1.1 200')) done(new Error(head));
      const before = head.length - Math.min(length, headMax); // of earlier pieces
      left = Number(/content-length: (\d+)/i.exec(head)?.[1]) - (length - (end + 4 - before));
    } else left -= length;
    if (left === 0) {
      head = '';
      done();
    }
    return true;
  };
  const onread = { buffer: new Uint8Array(mib), callback: arrived };
  const socket = connect({ host: hostname, port: Number(port), onread });
  socket.on('error', (error) => done(error));
  socket.on('close', () => done(new Error('closed')));
  await once(socket, 'connect');
  return {
    take: (path) =>
      new Promise((resolve, reject) => {
        done = (error) => (error === undefined ? resolve() : reject(error));
        socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
      }),
    close: () => socket.destroy(),
  };
}

/** 64 ranks, 8 of which ask and then read nothing; the others take 2,000 batches. */
async function* memory(store: string): AsyncGenerator<Figure> {
  const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
  const client = openClient({ url: server.url });
  const streams = [{ dataset: 'raw' }];
  const { plan, steps_per_epoch: steps } = await client.createPlan({
    streams,
    global_batch: 8 * ranks,
  });
  client.close();
  const view = `world=${ranks}&${viewOf(store, 'raw', 'dense')}`;
  const pathOf = (rank: number, i: number) => `${stepPath(plan, i, steps)}?rank=${rank}&${view}`;
  const { hostname, port } = new URL(server.url);
  const deaf = Array.from({ length: stalled }, (_, rank) => {
    const socket = connect(Number(port), hostname);
    socket.write(`GET ${pathOf(rank, 0)} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    return socket.on('error', () => {}).pause();
  });
  const reading = Array.from({ length: ranks - stalled }, async (_, i) => {
    const connection = await openRank(server.url);
    for (let n = 0; n < batchesOfMemory / (ranks - stalled); n++) {
      await connection.take(pathOf(stalled + i, n));
    }
    connection.close();
  });
  await Promise.all(reading);
  const used = peakMemory(server.pid) / mib;
  const figure = `peak memory, ${ranks} ranks, ${stalled} of them stalled, 5 GiB of dense batches`;
  yield atMost(figure, 'MiB', used, memoryMax);
  for (const socket of deaf) socket.destroy();
  await server.stop();
}
