import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { DumpSourceConfig } from '../../schemas/build-config.ts';
import { openDumpSource } from '../../src/capture/dump.ts';
import type { DenseRows } from '../../src/distribution/rows.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { toFloat16 } from '../../src/formats/float16.ts';
import { allChunks, describeSource } from '../contracts/source.ts';
import { writeDump } from '../support/dump.ts';
import { headerOf, safetensors, type Tensors } from '../support/safetensors.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-safetensors-'));
afterAll(() => rmSync(folder, { recursive: true }));

const rows = 90;
const width = 50;
const small = writeDump(folder, { positions: rows, vocabulary: width, sampleLength: 32 });
const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer, byteOffset, byteLength);

const logits = { dtype: 'F32', shape: [rows, width], bytes: bytesOf(small.logits) };
const tokens = { dtype: 'I32', shape: [rows], bytes: bytesOf(small.tokens) };
const long = BigInt64Array.from(small.tokens, BigInt);
const halves = { ...logits, dtype: 'F16', bytes: bytesOf(toFloat16(small.logits)) };
/** The upper half of each float32. */
const brains = Uint16Array.from(new Uint32Array(small.logits.buffer), (bits) => bits >>> 16);

let files = 0;
function write(content: Buffer): string {
  const file = join(folder, `${files++}.safetensors`);
  writeFileSync(file, content);
  return file;
}

const open = (logitsFile: string, more: Partial<DumpSourceConfig> = {}) =>
  openDumpSource({
    type: 'dump',
    logits: logitsFile,
    teacher: 'dump',
    licence: 'none',
    sample_length: 32,
    ...more,
  });

describe.each<[string, Tensors]>([
  ['float32', { logits, tokens }],
  [
    'float16, int64 ids',
    { tokens: { ...tokens, dtype: 'I64', bytes: bytesOf(long) }, logits: halves },
  ],
  ['bfloat16', { logits: { ...logits, dtype: 'BF16', bytes: bytesOf(brains) }, tokens }],
])('safetensors of %s', (name, tensors) => {
  const file = write(safetensors(tensors));
  describeSource(`a dump of ${name} safetensors`, () => open(file));
});

async function valuesOf(file: string, more: Partial<DumpSourceConfig> = {}) {
  const source = await open(file, more);
  const chunks = await allChunks(source.chunks(0));
  await source.close();
  return Buffer.concat(chunks.map((chunk) => bytesOf((chunk.rows as DenseRows).values)));
}

describe('safetensors', () => {
  it('hold the same rows as .npy, whatever lies between and with ids in another file', async () => {
    const other = { dtype: 'F8_E4M3', shape: [3], bytes: new Uint8Array(3) };
    const between = write(safetensors({ other, tokens, logits }));
    const alone = write(safetensors({ logits }));
    const expected = Buffer.from(bytesOf(small.logits));
    expect((await valuesOf(between)).equals(expected)).toBe(true);
    const named = { tokens: join(folder, 'tokens.npy') };
    expect((await valuesOf(alone, named)).equals(expected)).toBe(true);
  });

  it('hold true next ids, which are checked', async () => {
    const after = Int32Array.from(small.tokens, (_, t) => small.tokens[(t + 1) % rows]);
    const next = { ...tokens, bytes: bytesOf(after) };
    const source = await open(write(safetensors({ logits, tokens, next })));
    const chunks = await allChunks(source.chunks(0));
    await source.close();
    expect(chunks[0].sample.next).toBe(small.tokens[32]);
    const shifted = write(safetensors({ logits, tokens, next: tokens }));
    await expect(open(shifted)).rejects.toMatchObject({ code: 'source-misaligned' });
  });

  it.each<[string, () => Buffer]>([
    ['an empty file', () => Buffer.alloc(0)],
    ['a header longer than the file', () => Buffer.from('ffffffffffffffff', 'hex')],
    ['a header that is no JSON', () => safetensors({ logits, tokens }, '{"logits": [')],
    ['a header that is no object', () => safetensors({ logits, tokens }, 'null')],
    ['no logits', () => safetensors({ tokens })],
    ['logits of one dimension', () => safetensors({ logits: { ...tokens, dtype: 'F32' }, tokens })],
    ['logits of integers', () => safetensors({ logits: { ...logits, dtype: 'I32' }, tokens })],
    ['ids of floats', () => safetensors({ logits, tokens: { ...tokens, dtype: 'F32' } })],
    ['ids of two dimensions', () => safetensors({ logits, tokens: { ...tokens, shape: [45, 2] } })],
    [
      'a shape of other bytes',
      () => safetensors({ logits: { ...logits, shape: [rows, 49] }, tokens }),
    ],
    [
      'a negative size',
      () => safetensors({ logits: { ...logits, shape: [-rows, -width] }, tokens }),
    ],
    [
      'a gap',
      () => headerWith((own) => ({ ...own, tokens: { ...tokens, data_offsets: [0, 360] } })),
    ],
    ['offsets behind the end', () => headerWith((own) => ({ ...own, more: beyond }))],
    ['tensors without offsets', () => headerWith((own) => ({ ...own, logits: { dtype: 'F32' } }))],
    [
      'bytes that no tensor has',
      () => Buffer.concat([safetensors({ logits, tokens }), Buffer.alloc(4)]),
    ],
  ])('are refused with %s', async (_, content) => {
    const refused = open(write(content()));
    await expect(refused).rejects.toMatchObject({ code: 'source-unreadable' });
  });

  it('are refused where they are cut short', async () => {
    const whole = safetensors({ logits, tokens });
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        const file = write(whole);
        truncateSync(file, length);
        await expect(open(file)).rejects.toMatchObject({ code: 'source-unreadable' });
      }),
      { numRuns: 60 },
    );
  });

  it('are read or refused with a code, whatever their header says', async () => {
    const whole = safetensors({ logits, tokens });
    const headerBytes = Number(whole.readBigUInt64LE());
    await fc.assert(
      fc.asyncProperty(fc.nat(headerBytes + 7), fc.nat(255), async (at, byte) => {
        const changed = Buffer.from(whole);
        changed[at] = byte;
        const opened = await open(write(changed)).catch((error: unknown) => error);
        if (opened instanceof Error) expect(opened).toBeInstanceOf(LogitcaskError);
        else await (opened as Awaited<ReturnType<typeof open>>).close();
      }),
      { numRuns: 300 },
    );
  });
});

const beyond = { dtype: 'U8', shape: [10], data_offsets: [18_360, 18_370] };

function headerWith(change: (header: Record<string, object>) => object): Buffer {
  return safetensors({ logits, tokens }, change(headerOf({ logits, tokens })));
}
