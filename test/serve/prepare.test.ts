import { expect, it } from 'vitest';
import { batchRequest } from '../../schemas/batch.ts';
import { decodeStream } from '../../src/formats/arrow.ts';
import { createPrepare } from '../../src/serve/prepare.ts';
import { streamOf } from '../support/batches.ts';
import { useServeContext } from '../support/serve-context.ts';

const served = useServeContext();
const dense = (asked: object) => batchRequest.parse({ layout: 'dense', ...asked });

it('prepares once for requests that differ in their place alone', async () => {
  const prepare = createPrepare();
  const [planes, raw] = await Promise.all(
    ['planes', 'raw'].map((name) => served.context.snapshot(name, 'latest')),
  );
  const request = dense({ rank: 1, world: 4 });
  const first = prepare([planes], request);
  expect(prepare([planes], request)).toBe(first);
  expect(prepare([planes], dense({ rank: 3, world: 8 }))).toBe(first);
  for (const other of [{ k: 3 }, { pad_to: 9 }, { temperature: 2 }, { dtype: 'float32' }]) {
    expect(prepare([planes], dense(other))).not.toBe(first);
  }
  // the same query of another plan, or of a snapshot that was closed and opened again
  expect(prepare([raw], request).readers).toEqual([raw]);
  const again = { ...planes };
  expect(prepare([again], request).readers[0]).toBe(again);
});

it('keeps no more than 64, also for queries that are kept', async () => {
  const prepare = createPrepare();
  const planes = await served.context.snapshot('planes', 'latest');
  const request = dense({});
  const first = prepare([planes], request);
  for (let length = 1; length <= 64; length++) prepare([planes], dense({ pad_to: length }));
  expect(prepare([planes], request)).not.toBe(first);
});

it('gives each batch of a request the types of its own padding', async () => {
  const reader = await served.context.snapshot('planes', 'latest');
  for (const [ordinal, length] of [
    [100, 13],
    [4, 32],
    [100, 13],
  ]) {
    const source = { reader, ordinals: [ordinal], request: dense({}) };
    const { types } = decodeStream(await streamOf(served.context, source));
    expect(types.mask).toMatchObject({ type: 'fixed_list', size: length });
  }
});
