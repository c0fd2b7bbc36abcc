import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { SampleInput } from '../../src/capture/source.ts';
import { textSamples } from '../../src/capture/text-samples.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-texts-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = 'data/kjv-tokenizer-8192.json';
const tokenizer = openTokenizer(readFileSync(file), file);

async function samplesOf(
  name: string,
  content: string | Buffer,
  more = {},
): Promise<SampleInput[]> {
  const path = join(folder, name);
  writeFileSync(path, content);
  const found: SampleInput[] = [];
  const options = { tokenizer, sampleLength: 64, ...more };
  for await (const sample of textSamples([path], options)) found.push(sample);
  return found;
}

const line = (record: object) => `${JSON.stringify(record)}\n`;
const text = 'In the beginning God created the heaven and the earth.';

describe('texts to score', () => {
  it('are the same from plain text, gzipped or not, and from JSON lines', async () => {
    const texts = [text, 'And the earth was without form,\nand void.'];
    const plain = texts.join('\n\n\n');
    const all = [
      await samplesOf('a.txt', plain),
      await samplesOf('a.txt.gz', gzipSync(plain)),
      await samplesOf('a.jsonl', texts.map((own) => line({ text: own })).join('')),
    ];
    for (const samples of all) {
      expect(samples.map(({ tokens }) => tokens)).toEqual(
        texts.map((own) => tokenizer.encode(own, true)),
      );
      expect(samples.map(({ ordinal }) => ordinal)).toEqual([0, 1]);
    }
  });

  it('learn the completion of a prompt, from the prompt\u2019s last position on', async () => {
    const [sample] = await samplesOf(
      'p.jsonl',
      line({ prompt: text, completion: ' And God said' }),
    );
    const head = tokenizer.encode(text, true).length;
    const n = sample.tokens.length;
    expect([...sample.mask]).toEqual(
      Array.from({ length: n }, (_, t) => Number(t >= head - 1 && t < n - 1)),
    );
  });

  it('are cut to the length of a sample, and a single token is left out', async () => {
    const tokens = Array.from({ length: 129 }, (_, i) => 10 + i);
    const samples = await samplesOf('t.jsonl', line({ tokens, meta: { source: 'x' } }));
    expect(samples.map(({ tokens: own }) => own.length)).toEqual([64, 64]);
    expect(samples.map(({ meta }) => meta)).toMatchObject([
      { source: 'x', piece: 0 },
      { source: 'x', piece: 1 },
    ]);
    const few = await samplesOf('t.jsonl', line({ tokens }).repeat(3), { samplesMax: 2 });
    expect(few).toHaveLength(2);
  });

  it.each([
    ['none of the keys', line({ words: 'x' }), 'source-mismatch'],
    ['a prompt alone', line({ prompt: 'x' }), 'source-mismatch'],
    ['a token outside the vocabulary', line({ tokens: [1, 9000] }), 'token-out-of-range'],
    ['half a token', line({ tokens: [1, 2.5] }), 'token-out-of-range'],
    ['broken JSON', '{"text": ', 'source-unreadable'],
  ])('are refused with %s', async (_, content, code) => {
    await expect(samplesOf('wrong.jsonl', content)).rejects.toMatchObject({ code });
  });

  it('are refused where the file is not there', async () => {
    const read = async () => {
      const options = { tokenizer, sampleLength: 8 };
      for await (const _ of textSamples([join(folder, 'none.txt')], options)) break;
    };
    await expect(read()).rejects.toMatchObject({ code: 'source-unreadable' });
  });
});
