/** What decides the bytes of a build, and the short name of it that its files carry. */
import { formatVersion } from '../../schemas/manifest.ts';
import type { Source } from '../capture/source.ts';
import { digestOf } from '../formats/canonical.ts';
import type { ChosenConfig } from './rules.ts';
import { storesImages } from './store-images.ts';

/**
 * First 16 hex digits of the SHA-256 over format, settings, teacher and inputs; not over places.
 */
export function buildName(config: ChosenConfig, source: Source, parent?: string): string {
  const { target_set, sparsifier, codec, budget, temperatures, shard, reference } = config;
  const { source: from } = config;
  const sample_length =
    from !== undefined && 'sample_length' in from ? from.sample_length : undefined;
  const samples = from?.type === 'ngram' ? from.samples : undefined;
  const images = storesImages(config) ? 'stored' : undefined;
  const settings = { target_set, sparsifier, codec, budget, temperatures, shard, reference };
  const input = { sample_length, samples, ...source.inputs };
  const container = config.format === 'arrow' ? undefined : config.format;
  const teacher = source.identity;
  const what = { format: formatVersion, container, images, settings, input, teacher, parent };
  return digestOf(what).slice(0, 16);
}
