import { createHash } from 'node:crypto';
import { Decoder } from '@toondepauw/node-zstd';
import { CompressionType, compressionRegistry } from 'apache-arrow';
import { decompressFrameSync } from 'lz4-napi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBatch } from '../../src/client/batch.ts';
import { decodeStream } from '../../src/formats/arrow.ts';
import { int32Of } from '../../src/formats/layout.ts';
import { ask, makeStore, postPlan, serve, shape, type TestStore } from '../fixtures.ts';

let made: TestStore;
let url = '';
let stop: () => Promise<void>;
let plan = '';
beforeAll(async () => {
  made = await makeStore();
  ({ url, close: stop } = await serve(made.store));
  plan = (await postPlan(url, 'planes', { global_batch: 8 })).json().plan;
});
afterAll(async () => {
  await stop();
  await made.remove();
});

const step = (query: string, headers: Record<string, string> = {}) =>
  ask(url, `/v1/plans/${plan}/epochs/0/steps/2?${query}`, { headers });
const arrow = 'application/vnd.apache.arrow.stream';

describe('a digest of the body', () => {
  it.each(['sha-256=1', 'sha-512=10, sha-256=3', 'SHA-256=10'])('comes for %j', async (wanted) => {
    const { headers, body } = await step('', { 'want-repr-digest': wanted });
    const digest = createHash('sha256').update(body).digest('base64');
    expect(headers['repr-digest']).toBe(`sha-256=:${digest}:`);
  });

  it.each(['', 'sha-256=0', 'sha-512=1', 'md5=1', 'sha-256', 'sha-256=11', 'xsha-256=1'])(
    'does not come for %j',
    async (wanted) => {
      const { status, headers } = await step('', { 'want-repr-digest': wanted });
      expect([status, headers['repr-digest']]).toEqual([200, undefined]);
    },
  );
});

describe('compression of the body', () => {
  beforeAll(() => {
    // the library knows the codecs' names only
    compressionRegistry.set(CompressionType.LZ4_FRAME, {
      decode: (bytes) => decompressFrameSync(Buffer.from(bytes)),
    });
    compressionRegistry.set(CompressionType.ZSTD, {
      decode: (bytes) => new Decoder().decodeSync(Buffer.from(bytes)),
    });
  });

  it.each(['zstd', 'lz4'])('%s is what the client names, and reads as without', async (codec) => {
    for (const view of ['layout=plain', 'layout=dense&pad_to=64&dtype=float32']) {
      const whole = await step(view, { accept: arrow });
      const packed = await step(view, { accept: `${arrow}; codecs="${codec}"` });
      expect(packed.body.length).toBeLessThan(whole.body.length);
      expect(decodeStream(packed.body)).toEqual(decodeStream(whole.body));
      expect(packed.headers.etag).not.toBe(whole.headers.etag);
      expect(packed.headers['content-length']).toBe(String(packed.body.length));
    }
  });

  it('never comes on top of that of frames', async () => {
    const plain = await step('layout=frames', { accept: arrow });
    const asked = await step('layout=frames', { accept: `${arrow}; codecs="zstd, lz4"` });
    expect(asked.body.equals(plain.body)).toBe(true);
    expect(asked.headers.etag).toBe(plain.headers.etag);
  });
});

describe('replicas of a rank', () => {
  it('get the batch of their group, under their own names', async () => {
    const groups = await Promise.all([0, 1].map((rank) => step(`rank=${rank}&world=2`)));
    for (let rank = 0; rank < 6; rank++) {
      const { body } = await step(`rank=${rank}&world=6&replicate=3`);
      const { columns, metadata } = readBatch(body, { rank, world: 6 });
      const group = readBatch(groups[Math.floor(rank / 3)].body);
      expect(columns).toEqual(group.columns);
      expect(metadata['logitcask.world']).toBe('6');
    }
  });

  it.each(['world=6&replicate=4', 'replicate=2', 'rank=6&world=6&replicate=3'])(
    '%s is refused',
    async (query) => {
      expect((await step(query)).json()).toMatchObject({ code: 'rank-out-of-range', status: 422 });
    },
  );
});

describe('a smaller vocabulary', () => {
  it('leaves out the ids beyond it, and accounts for them', async () => {
    const dense = async (more: string) => {
      const { body } = await step(`layout=dense&dtype=float32&target_set=teacher${more}`);
      const { columns, metadata } = readBatch(body);
      const floats = (name: string) =>
        new Float32Array(new Uint8Array(columns[name].buffers[0]).buffer);
      return {
        ids: new Int32Array(new Uint8Array(columns.teacher_ids.buffers[0]).buffer),
        logprobs: floats('teacher_logprobs'),
        rest: floats('teacher_rest'),
        positions: int32Of(columns.length.buffers[0]).reduce((sum, n) => sum + n, 0),
        metadata,
      };
    };
    for (const temperature of ['', '&temperature=2']) {
      const [all, some] = [await dense(temperature), await dense(`${temperature}&vocab_size=300`)];
      let [entries, mass] = [0, 0];
      const { k } = shape;
      for (let t = 0; t < all.rest.length; t++) {
        const kept: number[][] = [];
        let left = 0;
        for (let i = t * k; i < (t + 1) * k; i++) {
          if (all.ids[i] < 300) kept.push([all.ids[i], all.logprobs[i]]);
          else {
            entries++;
            left += Math.exp(all.logprobs[i]);
          }
        }
        mass += left;
        const got = kept.map((_, i) => [some.ids[t * k + i], some.logprobs[t * k + i]]);
        expect(got).toEqual(kept);
        for (let i = t * k + kept.length; i < (t + 1) * k; i++) {
          expect([some.ids[i], some.logprobs[i]]).toEqual([0, -Infinity]);
        }
        expect(some.rest[t]).toBeCloseTo(all.rest[t] + left, 5);
      }
      expect(entries).toBeGreaterThan(0);
      expect(some.metadata['logitcask.vocab_size']).toBe('300');
      expect(some.metadata['logitcask.dropped_entries']).toBe(String(entries));
      expect(Number(some.metadata['logitcask.dropped_mass'])).toBeCloseTo(mass / all.positions, 5);
      expect(all.metadata).not.toHaveProperty('logitcask.dropped_entries');
    }
  });

  it('leaves nothing out where it is no smaller', async () => {
    const { body } = await step(`layout=dense&vocab_size=${shape.vocabulary}`);
    const { metadata, columns } = readBatch(body);
    expect(metadata['logitcask.dropped_entries']).toBe('0');
    expect(Number(metadata['logitcask.dropped_mass'])).toBe(0);
    const whole = readBatch((await step('layout=dense')).body);
    expect(columns).toEqual(whole.columns);
  });

  it('is only for dense', async () => {
    expect((await step('vocab_size=300')).json()).toMatchObject({ code: 'request-invalid' });
  });
});
