import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from '../../src/build.ts';
import { type Client, openClient } from '../../src/client/client.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { run } from '../commands/program.ts';
import { serve } from '../fixtures.ts';
import { configOf, writeDump } from '../support/dump.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-tokenizer-'));
const teacher = readFileSync('data/kjv-tokenizer-8192.json');
let store: Store;
let server: RunningServer;
let client: Client;
beforeAll(async () => {
  const path = join(folder, 'store');
  const options = { dataFolder: 'data' };
  const ngram = { type: 'ngram', samples: 2, sample_length: 64 };
  await build(configOf({ store: path, dataset: 'text', source: ngram }), options);
  const { source } = writeDump(folder, { positions: 40, vocabulary: 50, sampleLength: 20 });
  await build(configOf({ store: path, dataset: 'none', source }), options);
  store = await openStore(path);
  server = await serve(store);
  client = openClient({ url: server.url });
});
afterAll(async () => {
  client.close();
  await server.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

function student(change: (document: ReturnType<typeof JSON.parse>) => void): Buffer {
  const document = JSON.parse(teacher.toString());
  change(document);
  return Buffer.from(JSON.stringify(document));
}
const padded = student(({ added_tokens: added }) => added.push({ id: 8192, content: '<pad>' }));
const other = student(({ model }) => model.merges.reverse());

describe("a student's tokenizer", () => {
  it('is taken where it is the one of the snapshot, however it is written', async () => {
    await client.checkTokenizer(teacher, 'text');
    await client.checkTokenizer(
      student(() => {}),
      'text',
    );
  });

  it.each<[string, Buffer, string, RegExp]>([
    ['has other added tokens', padded, 'text', /added tokens differ.*<pad> 8192/],
    ['is another', other, 'text', /model\.merges, item 0/],
    ['has nothing to be compared with', teacher, 'none', /has no tokenizer/],
  ])('is refused where it %s', async (_, bytes, dataset, message) => {
    await expect(client.checkTokenizer(bytes, dataset)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(message),
    });
  });

  it('is compared by inspect, in words and as JSON', async () => {
    const file = join(folder, 'student.json');
    writeFileSync(file, padded);
    const args = ['inspect', 'text', '--tokenizer', file, '--store', join(folder, 'store')];
    expect((await run(args)).stdout).toContain("the student's alone: <pad> 8192");
    const { tokenizer } = JSON.parse((await run([...args, '--json'])).stdout);
    expect(tokenizer).toMatchObject({ kind: 'padded', studentOnly: { '<pad>': 8192 } });
    const none = await run(['inspect', 'none', ...args.slice(2)]);
    expect(none.stderr).toContain('code: file-not-found');
  });
});
