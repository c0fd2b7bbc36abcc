import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run, start } from '../commands/program.ts';
import { random } from '../support/dump.ts';
import { tokenizerFile, vllmLabels } from '../support/replay-labels.ts';
import { type Answer, startTeacher, type Teacher } from '../support/replay-teacher.ts';

const kills = 16;
const stores = 4; // each is killed several times in a row
const [prompts, responses, concurrency] = [60, 4, 4];
let folder = '';
let teacher: Teacher;

const slowly: Answer = async (body, path) => {
  await wait(15);
  return vllmLabels(body, path);
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-label-kill-'));
  teacher = await startTeacher({ answer: slowly });
  const lines = Array.from({ length: prompts }, (_, i) => JSON.stringify({ text: `verse ${i}` }));
  writeFileSync(join(folder, 'prompts.jsonl'), lines.join('\n'));
});
afterAll(async () => {
  await teacher.close();
  rmSync(folder, { recursive: true });
});

function argumentsFor(store: string): string[] {
  const config = {
    store: join(folder, store),
    dataset: 'verses',
    prompts: [join(folder, 'prompts.jsonl')],
    source: { type: 'vllm', url: teacher.url, tokenizer: tokenizerFile, concurrency },
    template: 'Go on: {text}',
    responses,
    top_k: 16,
    validation: 0.3,
    shard: { bytes_max: 65_536, batch_bytes_max: 16_384 },
    export: { folder: join(folder, store, 'text') },
  };
  const file = join(folder, `${store}.json`);
  writeFileSync(file, JSON.stringify(config));
  return ['label', '--config', file];
}

/** Digests of what readers can see: shards, indexes, snapshots, tags, text. */
function visible(store: string): Record<string, string> {
  const found: Record<string, string> = {};
  const root = join(folder, store);
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const isOwn = /^text\/|^verses-\w+\/(files|snapshots|tags)\//.test(name);
    if (!isOwn || name.includes('/.') || !statSync(join(root, name)).isFile()) continue;
    found[name] = createHash('sha256')
      .update(readFileSync(join(root, name)))
      .digest('hex');
  }
  return found;
}

const questions = (from: number) => teacher.asked.slice(from).map((body) => JSON.stringify(body));

it(`asks nothing twice and ends with the same bytes, killed ${kills} times`, async () => {
  const began = performance.now();
  expect(await run(argumentsFor('whole'))).toMatchObject({ code: 0 });
  const wholeMs = performance.now() - began;
  const expected = visible('whole');
  expect(Object.keys(expected).length).toBeGreaterThan(10);
  const all = new Set(questions(0));
  expect(all.size).toBe(prompts * responses);
  expect(teacher.asked).toHaveLength(all.size);
  const next = random(3);
  let killedAsking = 0;
  for (let store = 0; store < stores; store++) {
    const from = teacher.asked.length;
    for (let kill = 0; kill < kills / stores; kill++) {
      const args = argumentsFor(`killed${store}`);
      const before = teacher.asked.length;
      const { child, ended } = start(args);
      // most while it asks, some while it stores
      if (kill === 3) await wait(wholeMs * (0.7 + 0.3 * next()));
      const most = before + 1 + 60 * next();
      while (kill < 3 && child.exitCode === null && teacher.asked.length < most) await wait(5);
      child.kill('SIGKILL');
      await ended;
      const reached = new Set(questions(from)).size;
      if (reached > 0 && reached < all.size) killedAsking++;
      for (const [name, digest] of Object.entries(visible(`killed${store}`))) {
        expect(digest, `${name} after kill ${kill}`).toBe(expected[name]);
      }
    }
    expect(await run(argumentsFor(`killed${store}`))).toMatchObject({ code: 0 });
    expect(visible(`killed${store}`)).toEqual(expected);
    const asked = questions(from);
    expect(new Set(asked)).toEqual(all);
    // what was under way when it was killed, at most `concurrency` a kill
    expect(asked.length).toBeLessThanOrEqual(all.size + concurrency * (kills / stores));
  }
  expect(killedAsking).toBeGreaterThan(kills / 2); // otherwise the kills mean little
}, 600_000);
