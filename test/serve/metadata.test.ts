import { afterAll, beforeAll, expect, it } from 'vitest';
import { batchRequest } from '../../schemas/batch.ts';
import { serveConfig } from '../../schemas/serve-config.ts';
import { decodeStream } from '../../src/formats/arrow.ts';
import { createContext, type ServeContext } from '../../src/serve/context.ts';
import { makeStore, type TestStore } from '../fixtures.ts';
import { streamOf } from '../support/batches.ts';

let made: TestStore;
let context: ServeContext;
beforeAll(async () => {
  made = await makeStore();
  context = await createContext(made.store, serveConfig.parse({}));
});
afterAll(async () => {
  context.close();
  await made.remove();
});

it.each(['frames', 'plain'])(
  '%s says whether temperatures of the set are exact',
  async (layout) => {
    const reader = await context.snapshot('planes', 'latest');
    const [set] = reader.manifest.target_sets;
    for (const exact of [false, true]) {
      const manifest = { ...reader.manifest, target_sets: [{ ...set, temperature_exact: exact }] };
      const request = batchRequest.parse({ layout });
      const source = { reader: { ...reader, manifest }, ordinals: [0], request };
      const { metadata } = decodeStream(await streamOf(context, source));
      const sent = JSON.parse(metadata['logitcask.target_sets']);
      expect(sent).toMatchObject([{ name: set.name, temperature_exact: exact }]);
    }
  },
);
