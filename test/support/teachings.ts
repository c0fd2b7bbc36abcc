/**
 * What real teachers said, kept in memory, and snapshots of it: as our own build makes them, or with
 * targets tampered with on their way into the store, under manifests that look innocent.
 */
import type { BuildSettings } from '../../schemas/build-config.ts';
import { createAssembler } from '../../src/build/assemble.ts';
import { chooseRules } from '../../src/build/choose.ts';
import { completeManifest } from '../../src/build/finish.ts';
import { draftInputs, draftTargetSets } from '../../src/build/manifest-draft.ts';
import { type Reduced, type ReduceTask, reduce } from '../../src/build/reduce.ts';
import { withSparsifier } from '../../src/build/rules.ts';
import { sampleIdsOf, snapshotLabelSpace } from '../../src/build/sample-ids.ts';
import { createShards } from '../../src/build/shards.ts';
import { buildFrom } from '../../src/build.ts';
import { openDumpSource } from '../../src/capture/dump.ts';
import { openNgramSource } from '../../src/capture/ngram.ts';
import { ownMemory, type SampleInput, type Source } from '../../src/capture/source.ts';
import type { DenseRows, Rows } from '../../src/distribution/rows.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import { createReferencePicker } from '../../src/shard/reference.ts';
import type { Store } from '../../src/store/store.ts';
import { configOf } from './dump.ts';

export interface Taught {
  readonly sample: SampleInput;
  readonly rows: Rows;
}

/** A teacher's identity, and samples with all of their rows. */
export interface Teaching {
  readonly source: Source;
  readonly samples: readonly Taught[];
}

async function taughtBy(source: Source): Promise<Teaching> {
  const samples: Taught[] = [];
  let parts: DenseRows[] = [];
  for await (const { sample, rows } of source.chunks(0)) {
    if (rows.form !== 'dense') throw new Error('these teachers give whole rows');
    parts.push({ ...rows, values: rows.values.slice() });
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    if (count < sample.tokens.length) continue;
    const values = new (parts[0].values.constructor as Float32ArrayConstructor)(count * rows.width);
    let at = 0;
    for (const part of parts) {
      values.set(part.values, at);
      at += part.values.length;
    }
    samples.push({ sample, rows: { ...rows, count, values } });
    parts = [];
  }
  await source.close();
  return { source, samples };
}

/** The embedded n-gram, at held-out chapters of the King James Version. */
export async function ngramTeaching(length: number, samples: number): Promise<Teaching> {
  const config = { type: 'ngram' as const, held_out: 10, sample_length: length, samples };
  return taughtBy(await openNgramSource(config, { dataFolder: 'data' }));
}

/** The small LM, at 512 held-out positions. */
export async function smallLmTeaching(length: number): Promise<Teaching> {
  const rows = 'test/golden/logits/small-lm-rows0-511';
  return taughtBy(
    await openDumpSource({
      type: 'dump',
      logits: `${rows}.f16.npy`,
      tokens: `${rows}.tokens.npy`,
      tokenizer: 'bench/data/small-lm/tokenizer.json',
      teacher: 'small-lm',
      licence: 'none',
      sample_length: length,
    }),
  );
}

/** The same teacher and other samples or rows. */
export function sourceOf({ source, samples }: Teaching): Source {
  const { identity, inputs, tokenizerJson, responses } = source;
  return {
    identity,
    inputs,
    tokenizerJson,
    responses,
    positions: samples.reduce((sum, { sample }) => sum + sample.tokens.length, 0),
    async *chunks(from) {
      for (const [ordinal, { sample, rows }] of samples.entries()) {
        if (ordinal >= from) yield { sample: { ...sample, ordinal }, position: 0, rows };
      }
    },
    async close() {},
  };
}

export interface Storing {
  readonly store: Store;
  readonly dataset: string;
  readonly settings?: Record<string, unknown>;
}

const settingsOf = ({ store, dataset, settings }: Storing): BuildSettings =>
  configOf({ store: store.url, dataset, workers: 1, ...settings });

/** Aligned, as every good teacher is: what the manifest of a tampered snapshot says. */
const alignment = { positions: 256, before: -12, at: -4, after: -11 };

/** By our own build; `trusted` teachers are not asked whether they are aligned. */
export async function storeBuilt(teaching: Teaching, storing: Storing, { trusted = false } = {}) {
  const settings = settingsOf(storing);
  const options = trusted ? { alignment } : {};
  return buildFrom(settings, async () => sourceOf(teaching), options);
}

/** Its rows lie in memory. */
export type ReadTask = Omit<ReduceTask, 'rows'> & { readonly rows: Rows };

/** The stages of a build, with targets changed between the sparsifier and the codec. */
export async function storeTampered(
  teaching: Teaching,
  storing: Storing,
  tamper: (targets: Targets, task: ReadTask) => Targets,
) {
  const { store, dataset } = storing;
  const source = sourceOf(teaching);
  const config = withSparsifier(settingsOf(storing), source);
  const labelSpace = snapshotLabelSpace(source);
  const inputs = draftInputs(config, source);
  const rules = await chooseRules(config, source);
  const sets = draftTargetSets({ config, rules, source });
  const picker = createReferencePicker({ ...config.reference, total: source.positions });
  const place = { store, dataset, build: 'fedcba9876543210', format: config.format };
  const run = async (task: ReduceTask): Promise<Reduced> => {
    const reduced = reduce(task);
    return { ...reduced, targets: tamper(reduced.targets, { ...task, rows: task.rows as Rows }) };
  };
  const seconds = { prepare: 0, capture: 0, sparsify: 0, encode: 0, write: 0, finish: 0 };
  const assembler = createAssembler({
    heads: rules.map((own, i) => ({ set: sets[i], rules: own })),
    pool: { ahead: 1, lend: ownMemory(), run },
    idOf: sampleIdsOf(source),
    kept: inputs,
    reference: { picker, entries: config.reference.entries },
    seconds,
    ordinal: 0,
  });
  const shards = createShards({ ...place, config, sets, picker, complete: [], labelSpace, inputs });
  for await (const chunk of source.chunks(0)) {
    const begun = assembler.begin(chunk);
    const row = assembler.add(begun, await begun.reduced);
    if (row !== undefined) await shards.add(row, chunk.sample.ordinal + 1);
  }
  await shards.finish();
  const rest = { tag: config.tag, sets, source, labelSpace, inputs, alignment, picker, shards };
  return completeManifest({ ...place, ...rest });
}
