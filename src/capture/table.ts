/** The sources by type. */
import type { BuildConfig } from '../../schemas/build-config.ts';
import type { Source } from './source.ts';
import type { Threads } from './threads.ts';

export interface SourceOptions {
  /** Where the embedded teacher's text and tokenizer lie. */
  readonly dataFolder: string;
  /** For what is large; otherwise a source starts its own. */
  readonly threads?: Threads;
}

type Open<T> = (
  config: Extract<BuildConfig['source'], { type: T }>,
  options: SourceOptions,
) => Promise<Source>;

export async function openSource(
  config: BuildConfig['source'],
  options: SourceOptions,
): Promise<Source> {
  const open = await sources[config.type]();
  return open(config as never, options);
}

const ofServer = async () => (await import('./server-source.ts')).openServerSource;

/** What a source reads with (models, Parquet, tokenizers) is loaded with it alone. */
const sources: { readonly [T in BuildConfig['source']['type']]: () => Promise<Open<T>> } = {
  ngram: async () => (await import('./ngram.ts')).openNgramSource,
  dump: async () => (await import('./dump.ts')).openDumpSource,
  lists: async () => (await import('./lists.ts')).openListsSource,
  onnx: async () => (await import('./onnx.ts')).openOnnxSource,
  vllm: ofServer,
  sglang: ofServer,
  'llama-cpp-python': ofServer,
  vision: async () => (await import('./vision.ts')).openVisionSource,
};
