/** Bytes a position at K=64 and KL ≤ 1e-4, beside int32 + float32, for several sample lengths. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildConfig } from '../schemas/build-config.ts';
import { measureSize } from '../src/audit/size.ts';
import { build } from '../src/build.ts';
import { openStore } from '../src/store/table.ts';
import { atMost, type Figure, smaller } from './figure.ts';
import { smallLm, v128k } from './inputs.ts';

const peer = { name: 'int32 + float32', value: 512 };

const data = [
  {
    name: 'small LM',
    source: { type: 'dump', ...smallLm },
    lengths: { 16: null, 128: null, 256: null, 512: 5.4 },
    whole: 4.8,
  },
  {
    name: 'v128k-syn',
    source: { type: 'dump', logits: v128k },
    lengths: { 16: null, 128: null, 256: null, 512: null, 1024: 6.2 },
    whole: null,
  },
] as const;

export async function* sizes(log: (text: string) => void): AsyncGenerator<Figure> {
  for (const { name, source, lengths, whole } of data) {
    for (const [length, reach] of Object.entries(lengths)) {
      log(`sizes: ${name}, ${length} positions a sample`);
      const folder = mkdtempSync(join(tmpdir(), 'logitcask-sizes-'));
      const config = buildConfig.parse({
        store: folder,
        source: { ...source, sample_length: Number(length) },
      });
      const { manifest, snapshot } = await build(config, { dataFolder: 'data' });
      const store = await openStore(folder);
      const size = await measureSize(store, { dataset: 'default', snapshot });
      await store.close();
      rmSync(folder, { recursive: true });
      const figure = (what: string, value: number) => ({
        figure: `${what}, ${name}, ${length} positions a sample`,
        unit: 'B/position',
        value,
      });
      yield smaller(figure('targets', size.targets), peer, reach);
      const needed = reach === null ? null : whole;
      yield smaller(figure('whole files', size.whole), peer, needed);
      if (reach === null) continue;
      const kl = manifest.target_sets[0].fidelity?.kl?.mean ?? Number.NaN;
      yield atMost(`mean KL, ${name}, ${length} positions a sample`, 'nats', kl, 1e-4);
    }
  }
}
