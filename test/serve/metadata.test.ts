import { expect, it } from 'vitest';
import { batchRequest } from '../../schemas/batch.ts';
import { decodeStream } from '../../src/formats/arrow.ts';
import { streamOf } from '../support/batches.ts';
import { useServeContext } from '../support/serve-context.ts';

const served = useServeContext();

it.each(['frames', 'plain'])(
  '%s says whether temperatures of the set are exact',
  async (layout) => {
    const reader = await served.context.snapshot('planes', 'latest');
    const [set] = reader.manifest.target_sets;
    for (const exact of [false, true]) {
      const manifest = { ...reader.manifest, target_sets: [{ ...set, temperature_exact: exact }] };
      const request = batchRequest.parse({ layout });
      const source = { reader: { ...reader, manifest }, ordinals: [0], request };
      const { metadata } = decodeStream(await streamOf(served.context, source));
      const sent = JSON.parse(metadata['logitcask.target_sets']);
      expect(sent).toMatchObject([{ name: set.name, temperature_exact: exact }]);
    }
  },
);
