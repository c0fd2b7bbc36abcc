/**
 * Kills a build, or the teacher that it asks, again and again, and looks at what was asked: nothing
 * that is kept is asked again, and the end is the same bytes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { sequenceKey, tokensOf } from '../src/capture/scored.ts';
import { type Listening, listen } from './process.ts';

const sampleLength = 96; // longer than the probe that every run begins with
const positionsPerSecond = 3500;
/** Every so many texts one comes that was there before. */
const repeatEvery = 20;
const killAfterMs = { least: 400, most: 2400 };

export interface Killed {
  readonly kills: number;
  /** Builds from begin to end, and those that ended with other bytes than one without a kill. */
  readonly captures: number;
  readonly different: number;
  /** Texts that were asked again since a kill came before the answer was kept. */
  readonly inFlight: number;
  /** Texts that were asked again although the answer was kept. */
  readonly askedTwice: number;
}

interface Place {
  readonly folder: string;
  readonly config: string;
  readonly journal: string;
  /** Keys of the texts, each once. */
  readonly texts: ReadonlySet<string>;
  readonly next: () => number;
}

/** Runs the compiled program, from the repository's root. */
export async function killCaptures(options: {
  readonly kills: number;
  readonly samples: number;
  readonly seed: number;
}): Promise<Killed> {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-kills-'));
  const next = random(options.seed);
  const texts = writeTexts(folder, options.samples, next);
  const [config, journal] = [join(folder, 'build.json'), join(folder, 'journal')];
  const place: Place = { folder, config, journal, texts, next };
  let server = await startServer(place, 0);
  const restart = async () => {
    server = await startServer(place, Number(new URL(server.url).port));
  };
  writeConfig(place, server.url);
  try {
    await build(place, 'whole').ended;
    const expected = visible(join(folder, 'whole'));
    const sum = { kills: 0, captures: 0, different: 0, inFlight: 0, askedTwice: 0 };
    while (sum.kills < options.kills) {
      const store = `killed${sum.captures++}`;
      const kill = () => server.child.kill('SIGKILL');
      const kills = options.kills - sum.kills;
      const found = await killCapture(place, store, { kills, teacher: { kill, restart } });
      sum.kills += found.kills;
      sum.inFlight += found.inFlight;
      sum.askedTwice += found.askedTwice;
      if (visible(join(folder, store)) !== expected) sum.different++;
    }
    return sum;
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

/** One capture to its end, through up to `kills` kills of builder or server. */
async function killCapture(
  place: Place,
  store: string,
  { kills, teacher }: { kills: number; teacher: { kill(): void; restart(): Promise<void> } },
): Promise<{ kills: number; inFlight: number; askedTwice: number }> {
  const { next, texts } = place;
  const from = asked(place).length;
  let [seen, count, askedTwice] = [from, 0, 0];
  let kept = new Set<string>();
  /** What was asked since the last kill, against what was kept then; what is kept now. */
  const look = () => {
    const now = keptIn(join(place.folder, store));
    const all = asked(place);
    askedTwice += all.slice(seen).filter((key) => kept.has(key)).length;
    [seen, kept] = [all.length, now];
  };
  let builder = build(place, store);
  while (count < kills) {
    const ms = killAfterMs.least + (killAfterMs.most - killAfterMs.least) * next();
    if (await Promise.race([builder.ended, wait(ms).then(() => false)])) break;
    count++;
    if (next() < 0.5) {
      builder.child.kill('SIGKILL');
      await builder.ended.catch(() => {});
      look();
      builder = build(place, store);
    } else {
      teacher.kill();
      look();
      await teacher.restart();
    }
  }
  await builder.ended;
  look();
  const own = asked(place)
    .slice(from)
    .filter((key) => texts.has(key));
  return { kills: count, inFlight: own.length - texts.size - askedTwice, askedTwice };
}

function writeTexts(folder: string, samples: number, next: () => number): Set<string> {
  const texts = Array.from({ length: samples }, () =>
    Array.from({ length: sampleLength }, () => 10 + Math.floor(8000 * next())),
  );
  for (let i = repeatEvery; i < samples; i += repeatEvery) texts[i] = texts[i - repeatEvery + 3];
  const lines = texts.map((tokens) => `${JSON.stringify({ tokens })}\n`);
  writeFileSync(join(folder, 'texts.jsonl'), lines.join(''));
  return new Set(texts.map((tokens) => sequenceKey(Int32Array.from(tokens))));
}

function writeConfig({ folder, config }: Place, url: string): void {
  const source = {
    type: 'vllm',
    url,
    tokenizer: 'bench/data/small-lm/tokenizer.json',
    texts: [join(folder, 'texts.jsonl')],
    top_k: 8,
    sample_length: sampleLength,
    concurrency: 8,
  };
  const shard = { bytes_max: 65_536, batch_bytes_max: 16_384 };
  writeFileSync(config, JSON.stringify({ source, shard, reference: { positions: 200 } }));
}

const startServer = ({ journal }: Place, port: number): Promise<Listening> =>
  listen(process.execPath, [
    'dist/bench/capture-server.js',
    String(port),
    String(positionsPerSecond),
    journal,
  ]);

/** `ended` is true; it throws where the build ended otherwise. */
function build(
  { folder, config }: Place,
  store: string,
): { child: ChildProcess; ended: Promise<true> } {
  const args = ['dist/src/cli.js', 'build', '--config', config, '--store', join(folder, store)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const ended = new Promise<true>((resolve, reject) => {
    child.on('close', (code) =>
      code === 0 ? resolve(true) : reject(new Error(`the build ended with ${code}: ${errors}`)),
    );
  });
  ended.catch(() => {}); // thrown where it is awaited
  return { child, ended };
}

/** Keys of the texts that the server was asked for, in order. */
function asked({ journal }: Place): string[] {
  return readFileSync(journal, 'utf8').split('\n').slice(0, -1);
}

/** Keys of the whole records of the logs of a store. */
function keptIn(store: string): Set<string> {
  const keys = new Set<string>();
  for (const name of namesIn(join(store, 'default', 'scores'))) {
    const bytes = readFileSync(join(store, 'default', 'scores', name));
    for (let at = 8; at + 8 <= bytes.length; ) {
      const end = at + 8 + bytes.readUInt32LE(at);
      if (end > bytes.length) break;
      keys.add(sequenceKey(tokensOf(bytes.subarray(at + 8, end))));
      at = end;
    }
  }
  return keys;
}

/** Names and digests of all that readers see of a store. */
function visible(store: string): string {
  const hash = createHash('sha256');
  for (const part of ['files', 'snapshots', 'tags']) {
    const root = join(store, 'default', part);
    for (const name of namesIn(root)
      .filter((name) => !name.startsWith('.'))
      .sort()) {
      if (!statSync(join(root, name)).isFile()) continue;
      hash.update(`${part}/${name}\n`).update(readFileSync(join(root, name)));
    }
  }
  return hash.digest('hex');
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch {
    return []; // killed before it was made, or complete
  }
}

/** A small deterministic generator (mulberry32). */
function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
