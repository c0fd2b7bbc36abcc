/** The sources by type. */
import type { BuildConfig } from '../../schemas/build-config.ts';
import { openDumpSource } from './dump.ts';
import { openListsSource } from './lists.ts';
import { openNgramSource } from './ngram.ts';
import { openOnnxSource } from './onnx.ts';
import { openServerSource } from './server-source.ts';
import type { Source } from './source.ts';
import type { Threads } from './threads.ts';
import { openVisionSource } from './vision.ts';

export interface SourceOptions {
  /** Where the embedded teacher's text and tokenizer lie. */
  readonly dataFolder: string;
  /** For what is large; otherwise a source starts its own. */
  readonly threads?: Threads;
}

export function openSource(config: BuildConfig['source'], options: SourceOptions): Promise<Source> {
  return sources[config.type](config as never, options);
}

const sources = {
  ngram: openNgramSource,
  dump: openDumpSource,
  lists: openListsSource,
  onnx: openOnnxSource,
  vllm: openServerSource,
  sglang: openServerSource,
  'llama-cpp-python': openServerSource,
  vision: openVisionSource,
} as const satisfies Record<
  BuildConfig['source']['type'],
  (config: never, options: SourceOptions) => Promise<Source>
>;
