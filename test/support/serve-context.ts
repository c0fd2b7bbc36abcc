/** The data sets of the fixtures and a server's context over them, for the tests of one file. */
import { afterAll, beforeAll } from 'vitest';
import { serveConfig } from '../../schemas/serve-config.ts';
import { createContext, type ServeContext } from '../../src/serve/context.ts';
import { makeStore, type TestStore } from '../fixtures.ts';

export interface ServedStore {
  made: TestStore;
  context: ServeContext;
}

/** Filled before the first test. */
export function useServeContext(): ServedStore {
  const served = {} as ServedStore;
  beforeAll(async () => {
    served.made = await makeStore();
    served.context = await createContext(served.made.store, serveConfig.parse({}));
  });
  afterAll(async () => {
    await served.context.close();
    await served.made.remove();
  });
  return served;
}
