/** Bytes a position at K=64 and KL ≤ 1e-4, beside int32 + float32, for several sample lengths. */
import { builtSize } from './built-size.ts';
import { atMost, type Figure, smaller } from './figure.ts';
import { smallLm, v128k } from './inputs.ts';

export const peer = { name: 'int32 + float32', value: 512 };

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
      const own = { ...source, sample_length: Number(length) };
      const size = await builtSize({ source: own, sparsifier: { type: 'top-k', k: 64 } });
      const figure = (what: string, value: number) => ({
        figure: `${what}, ${name}, ${length} positions a sample`,
        unit: 'B/position',
        value,
      });
      yield smaller(figure('targets', size.targets), peer, reach);
      const needed = reach === null ? null : whole;
      yield smaller(figure('whole files', size.whole), peer, needed);
      if (reach === null) continue;
      yield atMost(`mean KL, ${name}, ${length} positions a sample`, 'nats', size.kl, 1e-4);
    }
  }
}
