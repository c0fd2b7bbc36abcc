/** The small store of all codecs and a server over it, for the tests of one file. */
import { afterAll, beforeAll } from 'vitest';
import { makeStore, serve, type TestStore } from '../fixtures.ts';

export interface ServedStore {
  made: TestStore;
  url: string;
}

/** Filled before the first test. */
export function useServedStore(): ServedStore {
  const at = {} as ServedStore;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    at.made = await makeStore();
    ({ url: at.url, close: stop } = await serve(at.made.store));
  });
  afterAll(async () => {
    await stop();
    await at.made.remove();
  });
  return at;
}
