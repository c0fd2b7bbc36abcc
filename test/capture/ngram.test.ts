import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { NgramSourceConfig } from '../../schemas/build-config.ts';
import { openNgramSource } from '../../src/capture/ngram.ts';
import type { SampleInput, Source } from '../../src/capture/source.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import type { DenseRows } from '../../src/distribution/rows.ts';
import { describeSource } from '../contracts/source.ts';

const tokenizerFile = 'data/kjv-tokenizer-8192.json';
const chapters = gunzipSync(readFileSync('data/kjv.txt.gz')).toString().split(/\n\n+/).slice(0, 40);

const folder = mkdtempSync(join(tmpdir(), 'logitcask-ngram-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function write(content: string | Buffer): string {
  const file = join(folder, `${files++}`);
  writeFileSync(file, content);
  return file;
}

const bible = write(chapters.join('\n\n'));
const open = (config: Partial<NgramSourceConfig>): Promise<Source> =>
  openNgramSource(
    { type: 'ngram', text: bible, held_out: 10, sample_length: 64, ...config },
    { dataFolder: 'data' },
  );

const bytesOf = ({ values }: DenseRows): Buffer =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength);

async function samplesOf(source: Source): Promise<SampleInput[]> {
  const samples: SampleInput[] = [];
  for await (const { sample, position } of source.chunks(0)) {
    if (position === 0) samples.push(sample);
  }
  return samples;
}

describeSource('the n-gram', () => open({ samples: 5 }));
describeSource('the n-gram, over samples of several chunks', () =>
  open({ samples: 2, sample_length: 600 }),
);

/** The embedded tokenizer with other added tokens. */
function tokenizer(added: unknown[]): string {
  const document = JSON.parse(readFileSync(tokenizerFile, 'utf8'));
  return write(JSON.stringify({ ...document, added_tokens: added }));
}

describe('the n-gram source', () => {
  it('scores every held_out-th document, in pieces that together hold its tokens', async () => {
    const { encode } = openTokenizer(readFileSync(tokenizerFile), tokenizerFile);
    const samples = await samplesOf(await open({}));
    for (const number of [9, 19, 29, 39]) {
      const own = samples.filter(({ meta }) => meta.document === number);
      const expected = [0, ...encode(chapters[number].trim())];
      const joined = own.flatMap(({ tokens }) => [...tokens]);
      expect(joined).toEqual(expected.slice(0, joined.length));
      expect(expected.length - joined.length).toBeLessThan(2);
      expect(own.map(({ meta }) => meta.piece)).toEqual(own.map((_, piece) => piece));
      expect(own.every(({ tokens }) => tokens.length >= 2 && tokens.length <= 64)).toBe(true);
    }
    expect(new Set(samples.map(({ meta }) => meta.document))).toEqual(new Set([9, 19, 29, 39]));
  });

  it('learns from the other documents only', async () => {
    const prompt = Int32Array.of(0, 1, 2, 3, 300, 301);
    const rowsOf = async (text: string) => {
      const source = await open({ text: write(text) });
      return (await source.score?.(prompt)) as DenseRows;
    };
    const altered = (number: number) =>
      chapters.map((text, i) => (i === number ? `${text} Selah. Selah.` : text)).join('\n\n');
    const original = await rowsOf(chapters.join('\n\n'));
    expect(bytesOf(await rowsOf(altered(9))).equals(bytesOf(original))).toBe(true);
    expect(bytesOf(await rowsOf(altered(8))).equals(bytesOf(original))).toBe(false);
  });

  it('conditions on nothing but the tokens of the sample', async () => {
    const source = await open({ samples: 3 });
    for await (const { sample, rows } of source.chunks(1)) {
      const alone = (await source.score?.(sample.tokens)) as DenseRows;
      expect(bytesOf(alone).equals(bytesOf(rows as DenseRows))).toBe(true);
    }
  });

  it('gives whole distributions, better than chance on text that it has not seen', async () => {
    const source = await open({ samples: 3 });
    let [loss, labels] = [0, 0];
    for await (const { sample, position, rows } of source.chunks(0)) {
      const { values, width, count } = rows as DenseRows;
      for (let t = 0; t < count; t++) {
        const row = values.subarray(t * width, (t + 1) * width) as Float32Array;
        expect(row.reduce((sum, logp) => sum + Math.exp(logp), 0)).toBeCloseTo(1, 4);
        const next = sample.tokens[position + t + 1];
        if (next === undefined) continue;
        loss -= row[next];
        labels++;
      }
    }
    expect(loss / labels).toBeLessThan(Math.log(8192) * 0.7);
  });

  it('begins documents with the first special token of the tokenizer', async () => {
    const special = { id: 8192, content: '<s>', special: true };
    const source = await open({ tokenizer: tokenizer([special]), samples: 1 });
    expect(source.identity.vocabulary).toBe(8193);
    const [{ tokens }] = await samplesOf(source);
    expect(tokens[0]).toBe(8192);
  });

  it('reads gzipped text, and documents parted by any blank lines', async () => {
    const plain = await open({ text: write(chapters.slice(0, 10).join('\n\n')) });
    const blank = chapters.slice(0, 10).join('\r\n \t\r\n');
    const other = await open({ text: write(gzipSync(`\n\n${blank}\n \n`)) });
    expect((await samplesOf(other)).map(({ tokens }) => tokens)).toEqual(
      (await samplesOf(plain)).map(({ tokens }) => tokens),
    );
  });

  it('knows its positions once it has been read, limited by `samples`', async () => {
    const source = await open({ samples: 2 });
    expect(await samplesOf(source)).toHaveLength(2);
    expect(source.positions).toBe(128);
  });

  it('has another revision where the corpus or what is held out differs', async () => {
    const revisions = await Promise.all(
      [{}, { held_out: 5 }, { text: write(chapters.slice(1).join('\n\n')) }].map(
        async (config) => (await open(config)).identity.revision,
      ),
    );
    expect(new Set(revisions).size).toBe(3);
    expect((await open({ samples: 1 })).identity.revision).toBe(revisions[0]);
  });

  it('is the embedded teacher by default', async () => {
    const source = await openNgramSource(
      { type: 'ngram', held_out: 10, sample_length: 512 },
      { dataFolder: 'data' },
    );
    expect(source.identity).toMatchObject({ name: 'ngram', vocabulary: 8192, reports: 'whole' });
    expect(source.inputs.licence).toBe('public domain');
    expect(readFileSync(tokenizerFile).equals(source.tokenizerJson as Buffer)).toBe(true);
  });
});

describe('the n-gram source refuses', () => {
  it.each([
    ['a missing text', () => ({ text: join(folder, 'none') }), 'source-unreadable'],
    ['a text that is a folder', () => ({ text: folder }), 'source-unreadable'],
    [
      'text that is no UTF-8',
      () => ({ text: write(Buffer.from([65, 0xff, 66])) }),
      'source-unreadable',
    ],
    [
      'a cut gzip',
      () => ({ text: write(gzipSync(chapters[0]).subarray(0, 500)) }),
      'source-unreadable',
    ],
    ['too few documents', () => ({ text: write('one\n\ntwo') }), 'source-mismatch'],
    ['an empty text', () => ({ text: write('') }), 'source-mismatch'],
    ['a tokenizer that is no JSON', () => ({ tokenizer: write('{') }), 'source-unreadable'],
    ['a tokenizer without a model', () => ({ tokenizer: write('{}') }), 'source-unreadable'],
    [
      'a tokenizer without special tokens',
      () => ({ tokenizer: tokenizer([]) }),
      'source-unreadable',
    ],
  ])('%s', async (_, config, code) => {
    const reading = async () => {
      for await (const _ of (await open(config())).chunks(0)) return;
    };
    await expect(reading()).rejects.toMatchObject({ code });
  });
});
