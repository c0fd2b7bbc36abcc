/** What a build costs over its teacher: tokens a second against a client that keeps nothing. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMost, type Figure, median, spread } from './figure.ts';
import { listen, measure } from './process.ts';
import { scripts } from './venv.ts';

const rounds = 3;
const concurrency = 16;
const sampleLength = 512;
/** vLLM on one core with the small LM, positions a second; then ten times as fast. */
const paces = [
  { k: 8, rate: 3500, samples: 100 },
  { k: 32, rate: 1375, samples: 40 },
  { k: 64, rate: 891, samples: 26 },
  { k: 8, rate: 35_000, samples: 400 },
  { k: 32, rate: 13_750, samples: 160 },
  { k: 64, rate: 8910, samples: 120 },
];
const wanted = 0.95;
const lagMaxMs = 50;

interface Lag {
  readonly p99: number;
  readonly max: number;
}

type Pace = (typeof paces)[number];

export async function* overhead(log: (text: string) => void): AsyncGenerator<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-overhead-'));
  try {
    for (const pace of paces) yield* atPace(folder, pace, log);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function* atPace(
  folder: string,
  pace: Pace,
  log: (text: string) => void,
): AsyncGenerator<Figure> {
  const { k, rate } = pace;
  const texts = join(folder, `texts-${k}-${rate}.jsonl`);
  writeTexts(texts, pace.samples);
  const [own, peer, lags]: [number[], number[], Lag[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    log(`k = ${k} at ${rate} positions/s, round ${round + 1} of ${rounds}`);
    own.push(
      await paced(rate, async (url) => {
        const config = join(folder, 'build.json');
        writeFileSync(config, JSON.stringify({ source: sourceOf(url, texts, k) }));
        const store = join(folder, `store-${k}-${rate}-${round}`);
        const args = ['dist/bench/capture-build.js', config, store];
        lags.push(JSON.parse((await measure(process.execPath, args)).stdout));
      }),
    );
    peer.push(
      await paced(rate, async (url) => {
        const client = join(scripts, 'capture_client.py');
        await measure('python3', [client, url, texts, String(k), String(concurrency)]);
      }),
    );
  }
  const ratios = own.map((value, i) => value / peer[i]);
  const name = `k = ${k}, a teacher of ${rate.toLocaleString('en')} positions/s`;
  yield {
    figure: `build, ${name} (ratio ${spread(ratios)})`,
    unit: 'positions/s',
    value: median(own),
    peer: 'Python client that keeps nothing',
    peerValue: median(peer),
    ratio: median(ratios),
    reach: `≥ ${wanted} ×`,
    ok: median(ratios) >= wanted,
  };
  const most = Math.max(...lags.map(({ max }) => max)).toFixed(0);
  const p99 = median(lags.map((lag) => lag.p99));
  yield atMost(`  event loop, late at p99 (at most ${most})`, 'ms', p99, lagMaxMs);
}

/** Positions a second, as the teacher saw it: from the first request to the last reply. */
async function paced(rate: number, work: (url: string) => Promise<void>): Promise<number> {
  const server = await listen(process.execPath, ['dist/bench/capture-server.js', '0', `${rate}`]);
  try {
    await work(server.url);
    const reply = await fetch(`${server.url}/stats`);
    const { positions, seconds } = (await reply.json()) as { positions: number; seconds: number };
    return positions / seconds;
  } finally {
    await server.stop();
  }
}

function sourceOf(url: string, texts: string, k: number) {
  return {
    type: 'vllm',
    url,
    texts: [texts],
    tokenizer: 'bench/data/small-lm/tokenizer.json',
    top_k: k,
    sample_length: sampleLength,
    concurrency,
  };
}

/** Any tokens: the teacher likes each of them best. */
function writeTexts(path: string, samples: number): void {
  const lines = Array.from({ length: samples }, (_, i) => {
    const tokens = Array.from(
      { length: sampleLength },
      (_, t) => 10 + (((i * 7919 + t * 104_729 + ((i * t) % 997)) >>> 0) % 8000),
    );
    return `${JSON.stringify({ tokens })}\n`;
  });
  writeFileSync(path, lines.join(''));
}
