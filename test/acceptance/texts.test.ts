import { readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from '../../src/build.ts';
import { filePath } from '../../src/shard/names.ts';
import { ask, makeStore, serve, type TestStore } from '../fixtures.ts';
import { configOf, writeDump } from '../support/dump.ts';
import { ngramTokenizer } from '../support/ngram-teacher.ts';

let made: TestStore;
let url = '';
let stop: () => Promise<void>;
let tokens: Int32Array;
beforeAll(async () => {
  made = await makeStore();
  const dump = writeDump(made.folder, { positions: 48, vocabulary: 8200, sampleLength: 16 });
  ({ tokens } = dump);
  const config = configOf({
    store: join(made.folder, 'store'),
    dataset: 'worded',
    source: { ...dump.source, tokenizer: ngramTokenizer },
    sparsifier: { type: 'top-k', k: 4 },
  });
  await build(config, { dataFolder: 'data' });
  ({ url, close: stop } = await serve(made.store));
});
afterAll(async () => {
  await stop();
  await made.remove();
});

const worded = '/v1/datasets/worded/snapshots/latest';
const texts = async (path: string) => (await ask(url, path)).json() as Record<string, unknown>;

describe('the texts of tokens', () => {
  it('come with rows where they are asked for, a text a token', async () => {
    const path = `${worded}/rows?columns=tokens,text&length=3`;
    const { rows } = (await texts(path)) as { rows: { tokens: number[]; text: string[] }[] };
    const tokenizer = new Tokenizer(JSON.parse(readFileSync(ngramTokenizer, 'utf8')), {});
    const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
    expect(rows.flatMap((row) => row.tokens)).toEqual([...tokens]);
    let alike = 0;
    for (const row of rows) {
      expect(row.text.length).toBe(row.tokens.length);
      row.tokens.forEach((id, t) => {
        const decoded = tokenizer.decode([id], options);
        if (decoded.includes('�')) return;
        expect(row.text[t]).toBe(decoded);
        alike++;
      });
    }
    expect(alike).toBeGreaterThan(40);
    const headers = { accept: 'application/x-ndjson' };
    const lines = (await ask(url, `${worded}/rows?columns=text&length=1`, { headers })).body;
    expect(JSON.parse(lines.toString())).toMatchObject({ ordinal: 0, text: rows[0].text });
    expect(await texts(`${worded}/rows?length=1`)).not.toHaveProperty('rows.0.text');
  });

  it('come by id, null where the tokenizer has none', async () => {
    const ids = [...tokens.subarray(0, 5)];
    const { text } = (
      (await texts(`${worded}/rows?columns=text&length=1`)) as {
        rows: { text: string[] }[];
      }
    ).rows[0];
    expect(await texts(`${worded}/tokens?ids=${ids},8199`)).toEqual({
      texts: [...text.slice(0, 5), null],
    });
    const many = Array.from({ length: 1000 }, (_, id) => id);
    const { texts: all } = (await texts(`${worded}/tokens?ids=${many}`)) as { texts: string[] };
    expect(new Set(all).size).toBe(1000);
  });

  it('are null where the snapshot has no tokenizer', async () => {
    const planes = '/v1/datasets/planes/snapshots/latest';
    expect(await texts(`${planes}/tokens?ids=0,1`)).toEqual({ texts: [null, null] });
    expect(await texts(`${planes}/rows?columns=text&length=1`)).toMatchObject({
      rows: [{ ordinal: 0, text: null }],
    });
  });

  it.each([
    ['ids=8200', 422, 'token-out-of-range'],
    ['ids=', 400, 'request-invalid'],
    ['', 400, 'request-invalid'],
    ['ids=1,,2', 400, 'request-invalid'],
    ['ids=-1', 400, 'request-invalid'],
    ['ids=1.5', 400, 'request-invalid'],
    [`ids=${'1,'.repeat(1000)}1`, 400, 'request-invalid'],
  ])('are refused for %s', async (query, status, code) => {
    expect(await texts(`${worded}/tokens?${query}`)).toMatchObject({ status, code });
  });

  it('are refused where the tokenizer is damaged', async () => {
    const { manifest } = await build(
      configOf({
        store: join(made.folder, 'store'),
        dataset: 'cut',
        source: {
          ...writeDump(made.folder, { positions: 48, vocabulary: 8200, sampleLength: 16 }).source,
          tokenizer: ngramTokenizer,
        },
        sparsifier: { type: 'top-k', k: 4 },
      }),
      { dataFolder: 'data' },
    );
    const file = manifest.files.find(({ role }) => role === 'tokenizer');
    truncateSync(join(made.folder, 'store', filePath('cut', `${file?.name}`)), 1000);
    const own = await serve(made.store);
    try {
      const answer = await ask(own.url, '/v1/datasets/cut/snapshots/latest/tokens?ids=1');
      expect(answer.json()).toMatchObject({ status: 500, code: 'shard-damaged' });
    } finally {
      await own.close();
      rmSync(join(made.folder, 'store', 'quarantine.json'));
    }
  });
});
