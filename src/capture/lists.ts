/** Top lists that others have written, in the layouts of docs/import.md; read record by record. */
import type { ListsSourceConfig } from '../../schemas/build-config.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { digestOfFile, readInput } from './input-file.ts';
import { detectLayout, type LayoutName, layouts } from './lists-layouts.ts';
import { keysOf, recordsOf } from './lists-record.ts';
import { chunksOf, type ListSample, samplesOf } from './lists-sample.ts';
import type { Source } from './source.ts';
import { openTokenizer, type TextTokenizer } from './tokenizer.ts';

const positionsLooked = 256;
const massSlack = 1e-4;

/**
 * Errors: `source-unreadable` (a file is missing or malformed), `source-mismatch` (of no layout,
 * columns that do not fit), `config-invalid` (no vocabulary); from the chunks also `row-invalid`,
 * `token-out-of-range`, `source-misaligned` (labels that are not the tokens).
 */
export async function openListsSource(config: ListsSourceConfig): Promise<Source> {
  const { lists: files, aligned, teacher, licence } = config;
  const name =
    config.layout === 'auto' ? detectLayout(await keysOf(files[0]), files[0]) : config.layout;
  const tokenizerJson =
    config.tokenizer === undefined ? undefined : await readInput(config.tokenizer);
  const tokenizer = tokenizerJson && openTokenizer(tokenizerJson, `${config.tokenizer}`);
  const width = widthOf(config, tokenizer);
  const samples = () => readSamples(files, name, { width, aligned });
  const known = (await areRenormalised(samples()))
    ? 'renormalised: the mass outside of them is not known'
    : 'over the whole vocabulary';
  const digests: string[] = [];
  for (const file of files) digests.push(await digestOfFile(file));
  const digest = digestOf({ lists: digests, layout: name, aligned });
  return {
    identity: {
      name: teacher,
      revision: digest,
      source: 'lists',
      vocabulary: width,
      tokenizer: tokenizer?.digest ?? null,
      reports: 'top-list',
    },
    inputs: { origin: `top lists of ${teacher} (${name}), ${known}`, licence, digest },
    tokenizerJson,
    async *chunks(from) {
      let ordinal = 0;
      // what lies before `from` is read again: a record may be several samples, or a part of one
      for await (const sample of samples()) {
        if (ordinal >= from) yield* chunksOf(sample, ordinal);
        ordinal++;
      }
    },
    async close() {},
  };
}

function widthOf({ vocabulary }: ListsSourceConfig, tokenizer: TextTokenizer | undefined): number {
  const width = vocabulary ?? tokenizer?.size;
  if (width === undefined) {
    const message =
      'config: lists do not say how large the vocabulary is; give source.vocabulary ' +
      '(--vocabulary) or source.tokenizer (--tokenizer)';
    throw new LogitcaskError('config-invalid', message, { expected: 'source.vocabulary' });
  }
  if (tokenizer === undefined || tokenizer.size <= width) return width;
  const message = `capture: the tokenizer has ${tokenizer.size} ids, the vocabulary ${width}`;
  throw new LogitcaskError('source-mismatch', message, { expected: width, got: tokenizer.size });
}

async function* readSamples(
  files: readonly string[],
  name: LayoutName,
  options: { width: number; aligned: 'logits' | 'tokens' },
): AsyncGenerator<ListSample> {
  const layout = layouts[name];
  for (const [file, path] of files.entries()) {
    const records = recordsOf(path, { file, keys: layout.reads });
    for await (const draft of layout.drafts(records)) yield* samplesOf(draft, options);
  }
}

/** True where each of the first lists holds all mass although there are more ids. */
async function areRenormalised(samples: AsyncIterable<ListSample>): Promise<boolean> {
  let looked = 0;
  for await (const { rows } of samples) {
    for (let t = 0; t < rows.count && looked < positionsLooked; t++) {
      const length = rows.offsets[t + 1] - rows.offsets[t];
      if (length === 0) continue;
      if (length === rows.width || Math.abs(massOf(rows, t) - 1) > massSlack) return false;
      looked++;
    }
    if (looked >= positionsLooked) break;
  }
  return looked > 0;
}

function massOf({ offsets, logprobs }: ListRows, t: number): number {
  return logprobs.subarray(offsets[t], offsets[t + 1]).reduce((sum, p) => sum + Math.exp(p), 0);
}
