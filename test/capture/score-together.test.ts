import { describe, expect, it } from 'vitest';
import { scoreTogether } from '../../src/capture/score-together.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { LogitcaskError } from '../../src/errors.ts';

const refused = (status: number) =>
  new LogitcaskError('teacher-refused', 'capture: no', { expected: 'status 200', got: status });
const away = new LogitcaskError('teacher-unreachable', 'capture: away', { got: 'ECONNREFUSED' });
const sequences = Array.from({ length: 6 }, (_, i) => Int32Array.of(i, i));
const rowsOf = ([id]: Int32Array) => ({ count: id }) as ListRows;

/** What fails together, and what each of the six fails with alone. */
async function asked(together: Error, alone: readonly (Error | undefined)[] = []) {
  const asked: number[] = [];
  const results = await scoreTogether(sequences, {
    all: () => Promise.reject(together),
    async one(tokens) {
      asked.push(tokens[0]);
      const error = alone[tokens[0]];
      if (error !== undefined) throw error;
      return rowsOf(tokens);
    },
  });
  return {
    asked,
    results: results.map((one) => (one.status === 'fulfilled' ? one.value.count : one.reason)),
  };
}

describe('sequences of one request', () => {
  it.each([401, 403, 404, 408, 429, 502, 503, 504])(
    'are not asked for alone where it was answered with %d',
    async (status) => {
      const error = refused(status);
      expect(await asked(error)).toEqual({ asked: [], results: Array(6).fill(error) });
    },
  );

  it('are not asked for alone where the server is away', async () => {
    expect(await asked(away)).toEqual({ asked: [], results: Array(6).fill(away) });
  });

  it.each([refused(400), refused(500), new LogitcaskError('teacher-unsuitable', 'capture: no')])(
    'are asked for alone where one may be why it failed: %s',
    async (error) => {
      expect(await asked(error, [undefined, error])).toEqual({
        asked: [0, 1, 2, 3, 4, 5],
        results: [0, error, 2, 3, 4, 5],
      });
    },
  );

  it('are left where the server goes away meanwhile', async () => {
    for (const error of [away, refused(503)]) {
      expect(await asked(refused(400), [undefined, undefined, error])).toEqual({
        asked: [0, 1, 2],
        results: [0, 1, error, error, error, error],
      });
    }
  });

  it('are left where the server fails one after another', async () => {
    const error = refused(500);
    expect(await asked(error, Array(6).fill(error))).toEqual({
      asked: [0, 1],
      results: Array(6).fill(error),
    });
    const apart = [error, undefined, error, undefined, error, error];
    expect((await asked(error, apart)).asked).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
