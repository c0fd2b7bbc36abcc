/** What every wire layout promises; a new layout's test says only how its rows are read. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BatchRequest, batchRequest } from '../../schemas/batch.ts';
import { serveConfig } from '../../schemas/serve-config.ts';
import { openCodec } from '../../src/encode/table.ts';
import { type DecodedStream, decodeStream } from '../../src/formats/arrow.ts';
import { fixedWidth, int32Of, unpackBits } from '../../src/formats/layout.ts';
import { createContext, type ServeContext } from '../../src/serve/context.ts';
import { layouts } from '../../src/serve/layouts/table.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import type { TestStore } from '../fixtures.ts';
import { streamOf } from '../support/batches.ts';

/** One sample as a reader of the batch sees it; entries of a position by id. */
export interface SeenRow {
  readonly tokens: readonly number[];
  readonly mask: readonly boolean[];
  readonly entries: readonly ReadonlyMap<number, number>[];
  readonly rest: readonly number[];
}

export interface LayoutCase {
  /** Made by the caller, once for all cases. */
  readonly store: () => TestStore;
  readonly dataset: 'planes' | 'raw' | 'plain' | 'parquet';
  readonly request: Partial<BatchRequest> & Pick<BatchRequest, 'layout'>;
  /** Relative error that reading may add to a probability. */
  readonly tolerance: number;
  readonly see: (stream: DecodedStream) => readonly SeenRow[];
}

export function testLayout(name: string, layoutCase: LayoutCase): void {
  const { store, dataset, tolerance, see } = layoutCase;
  const request = batchRequest.parse(layoutCase.request);
  let context: ServeContext;
  let reader: SnapshotReader;
  beforeAll(async () => {
    context = await createContext(store().store, serveConfig.parse({}));
    reader = await context.snapshot(dataset, 'latest');
  });
  afterAll(() => context.close());
  const build = async (ordinals: readonly number[], pad?: Uint8Array) =>
    streamOf(context, { reader, ordinals, request, pad });

  describe(`layout ${name}`, () => {
    it('sends each sample as it is stored, in the order asked for, repeats included', async () => {
      const ordinals = [100, 3, 4, 5, 99, 3, 0];
      const seen = see(decodeStream(await build(ordinals)));
      expect(seen).toHaveLength(ordinals.length);
      for (const [row, ordinal] of ordinals.entries()) {
        expectSame(seen[row], await storedRow(reader, ordinal), tolerance);
      }
    });

    it('sends a batch without rows as one batch without rows', async () => {
      const { batches, metadata } = decodeStream(await build([]));
      expect(batches).toHaveLength(1);
      expect(metadata['logitcask.rows']).toBe('0');
      for (const column of Object.values(batches[0])) expect(column.rows).toBe(0);
    });

    it('marks padding rows and gives the same bytes again', async () => {
      const bytes = await build([1, 2, 1], Uint8Array.of(0, 0, 1));
      const [{ pad, sample_id }] = decodeStream(bytes).batches;
      expect([...unpackBits(pad.buffers[0], 3)]).toEqual([0, 0, 1]);
      expect(sample_id.buffers[0].subarray(32)).toEqual(sample_id.buffers[0].subarray(0, 16));
      expect(bytes.equals(await build([1, 2, 1], Uint8Array.of(0, 0, 1)))).toBe(true);
    });

    it('refuses a damaged sample by name rather than send it', async () => {
      const stored = await reader.read([7, 8], Object.keys(reader.columns));
      const set = reader.manifest.target_sets[0];
      const suffix = set.codec.name === 'planes' ? 'frame' : 'counts';
      stored[`${set.name}_${suffix}`].buffers[1][2] ^= 1;
      const damaged = { ...reader, parts: async () => [stored] };
      const attempt = streamOf(context, { reader: damaged, ordinals: [7, 8], request });
      if (layouts[request.layout].name === 'plain' && dataset !== 'planes') {
        await expect(attempt).resolves.toBeInstanceOf(Buffer); // copied as stored, never decoded
      } else {
        await expect(attempt).rejects.toMatchObject({
          code: 'frame-damaged',
          message: expect.stringMatching(/^sample 7 in [0-9a-f]+-00000\.(arrow|parquet): /),
        });
      }
    });
  });
}

/** The sample through its codec. */
export async function storedRow(reader: SnapshotReader, ordinal: number): Promise<SeenRow> {
  const { manifest } = reader;
  const [set] = manifest.target_sets;
  const stored = await reader.read([ordinal], Object.keys(reader.columns));
  const tokens = int32Of(stored.tokens.buffers[1]);
  const codec = openCodec(set, manifest.label_space);
  const cells = Object.entries(codec.columns).map(([suffix, type]) => {
    const { buffers } = stored[`${set.name}_${suffix}`];
    const width = type.type === 'list' ? (fixedWidth(type.item) ?? 1) : 1;
    return buffers[1].subarray(0, int32Of(buffers[0])[1] * width);
  });
  const { offsets, ids, probs, rest } = codec.decode(cells, tokens.length);
  const mask = [...unpackBits(stored.mask.buffers[1], tokens.length)].map((bit) => bit === 1);
  return { tokens: [...tokens], mask, entries: entriesOf(offsets, ids, probs), rest: [...rest] };
}

/** Entries of each position by id. */
export function entriesOf(
  offsets: ArrayLike<number>,
  ids: ArrayLike<number>,
  values: ArrayLike<number>,
): Map<number, number>[] {
  return Array.from({ length: offsets.length - 1 }, (_, t) => {
    const position = new Map<number, number>();
    for (let i = offsets[t]; i < offsets[t + 1]; i++) position.set(ids[i], values[i]);
    return position;
  });
}

function expectSame(seen: SeenRow, stored: SeenRow, tolerance: number): void {
  expect(seen.tokens).toEqual(stored.tokens);
  expect(seen.mask).toEqual(stored.mask);
  expect(seen.entries.length).toBe(stored.entries.length);
  for (const [t, position] of stored.entries.entries()) {
    expect([...seen.entries[t].keys()].sort()).toEqual([...position.keys()].sort());
    for (const [id, p] of position) {
      expect(Math.abs((seen.entries[t].get(id) ?? 0) - p)).toBeLessThanOrEqual(p * tolerance);
    }
    expect(seen.rest[t]).toBeCloseTo(stored.rest[t], 6);
  }
}
