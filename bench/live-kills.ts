/** Server and teacher are killed at random under load; every answer that was given stays. */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { cacheConfig, cachedTeacher } from '../schemas/serve-config.ts';
import { openCachedTeachers } from '../src/cache/open.ts';
import { allSealedTokens } from '../src/cache/sealed.ts';
import { sequenceKey } from '../src/capture/scored.ts';
import { createReader } from '../src/shard/open-snapshot.ts';
import { resolveSnapshot } from '../src/shard/snapshot.ts';
import { openStore } from '../src/store/table.ts';
import { atMost, type Figure, plain } from './figure.ts';
import {
  post,
  scoring,
  sequenceOf,
  startCache,
  startTeacher,
  tokenizerFile,
} from './live-stage.ts';
import type { Listening } from './process.ts';

const kills = 100;
const workers = 8;
const k = 16;
const length = 64;
const ports = { teacher: 18_521, server: 18_522 };
const teacherUrl = `http://127.0.0.1:${ports.teacher}`;
const serverUrl = `http://127.0.0.1:${ports.server}`;
/** Sealing is under way at many of the kills. */
const cache = { seal_ms: 700 };

interface Load {
  /** Seeds of the sequences whose scores a client has. */
  readonly acknowledged: Set<number>;
  stop(): Promise<void>;
}

/** Workers that score new sequences, and ask again for one that was not answered. */
function startLoad(): Load {
  const acknowledged = new Set<number>();
  let running = true;
  let next = 0;
  const worker = async () => {
    while (running) {
      const seed = next++;
      while (running) {
        const body = scoring(sequenceOf(seed, length), k);
        const answer = await post(`${serverUrl}/v1/completions`, body).catch(() => undefined);
        if (answer !== undefined) {
          acknowledged.add(seed);
          break;
        }
        await wait(20);
      }
    }
  };
  const all = Promise.all(Array.from({ length: workers }, worker));
  return {
    acknowledged,
    async stop() {
      running = false;
      await all;
    },
  };
}

async function kill(one: Listening): Promise<void> {
  const ended = new Promise((resolve) => one.child.on('close', resolve));
  one.child.kill('SIGKILL');
  await ended;
}

export async function* randomKills(
  folder: string,
  log: (text: string) => void,
): AsyncGenerator<Figure> {
  const home = join(folder, 'kills');
  const options = { folder: home, teacher: teacherUrl, k, cache, port: ports.server };
  let teacher = await startTeacher(0, ports.teacher);
  let server = await startCache(options);
  const load = startLoad();
  let killed = 0;
  try {
    for (; killed < kills; killed++) {
      if (killed % 10 === 0) log(`live: ${killed} kills, ${load.acknowledged.size} scores given`);
      await wait(50 + 1000 * Math.random());
      if (Math.random() < 0.3) {
        await kill(teacher);
        teacher = await startTeacher(0, ports.teacher);
      } else {
        await kill(server);
        server = await startCache(options);
      }
    }
    await wait(500);
    await load.stop();
  } finally {
    await load.stop();
    await kill(server);
    await kill(teacher);
  }
  const { lost, twice, samples } = await examine(join(home, 'store'), load.acknowledged);
  yield plain(
    `${killed} random kills of server and teacher: scores given`,
    'scores',
    load.acknowledged.size,
  );
  yield atMost('of these, not in the cache afterwards', 'scores', lost, 0);
  yield atMost(`sequences twice in the snapshot of ${samples}`, 'sequences', twice, 0);
}

/** Offline: what is not stored is not answered. */
async function examine(path: string, acknowledged: ReadonlySet<number>) {
  const store = await openStore(path);
  const own = { type: 'vllm', url: teacherUrl, tokenizer: tokenizerFile, top_k: k };
  const cached = await openCachedTeachers({
    store,
    teachers: { teacher: cachedTeacher.parse(own) },
    cache: cacheConfig.parse({ offline: true }),
    onError(error) {
      throw error;
    },
  });
  let lost = 0;
  for (const seed of acknowledged) {
    const tokens = Int32Array.from(sequenceOf(seed, length));
    const answer = await cached.teachers[0].score(tokens, 'examined').catch(() => undefined);
    const whole = answer?.rows.count === length && answer.rows.labelLogprob[0] < 0;
    if (!whole) lost++;
  }
  await cached.seal();
  await cached.close();
  const reader = createReader(store, await resolveSnapshot(store, 'live', 'latest'));
  const seen = new Set<string>();
  let samples = 0;
  for await (const tokens of allSealedTokens(reader)) {
    seen.add(sequenceKey(tokens));
    samples++;
  }
  await reader.close();
  await store.close();
  return { lost, samples, twice: samples - seen.size };
}
