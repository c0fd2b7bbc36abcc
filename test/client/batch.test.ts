import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBatch } from '../../src/client/batch.ts';
import type { LogitcaskError } from '../../src/errors.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import { ask, makeStore, postPlan, serve, type TestStore } from '../fixtures.ts';

let made: TestStore;
let server: RunningServer;
const streams: Record<string, Buffer> = {};
beforeAll(async () => {
  made = await makeStore();
  server = await serve(made.store);
  const { plan } = (await postPlan(server.url, 'planes', { global_batch: 3 })).json();
  for (const layout of ['frames', 'plain', 'dense']) {
    const path = `/v1/plans/${plan}/epochs/0/steps/0?layout=${layout}`;
    streams[layout] = (await ask(server.url, path)).body;
  }
});
afterAll(async () => {
  await server.close();
  await made.remove();
});

const endMarkerBytes = 8;

describe.each(['frames', 'plain', 'dense'])('a batch in layout %s', (layout) => {
  it('cut anywhere is refused, whatever an Arrow library makes of it', () => {
    const bytes = streams[layout];
    expect(readBatch(bytes).rows).toBe(3);
    for (let length = 0; length < bytes.length - endMarkerBytes; length += 37) {
      expect(() => readBatch(bytes.subarray(0, length))).toThrowError(
        expect.objectContaining({ code: expect.stringMatching(/^reply-(truncated|invalid)$/) }),
      );
    }
  });

  it('cut behind its schema parses as a whole stream without batches, and is refused', () => {
    const bytes = streams[layout];
    const schemaBytes = 8 + bytes.readInt32LE(4);
    for (const tail of [Buffer.alloc(0), bytes.subarray(-endMarkerBytes)]) {
      const cut = Buffer.concat([bytes.subarray(0, schemaBytes), tail]);
      expect(() => readBatch(cut)).toThrowError(
        expect.objectContaining({ code: 'reply-truncated', expected: 1, got: 0 }),
      );
    }
  });

  it('with any bit of its messages flipped is refused, or none the worse', () => {
    const bytes = streams[layout];
    const schemaBytes = 8 + bytes.readInt32LE(4);
    const ends = schemaBytes + 8 + bytes.readInt32LE(schemaBytes + 4);
    for (let at = 0; at < ends; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] ^= 1 << ((at * 5) % 8);
      try {
        expect(readBatch(flipped).rows).toBe(3);
      } catch (error) {
        const { code } = error as LogitcaskError;
        expect(['reply-invalid', 'reply-truncated', 'frame-damaged', 'conflict']).toContain(code);
      }
    }
  });
});
