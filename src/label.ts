/**
 * The flow of hard labels: prompts → the teacher's responses → what is kept of them, as snapshots
 * and as text. Every answer is durable before it counts, so that no question is asked twice.
 */
import { type BuildConfig, buildConfig } from '../schemas/build-config.ts';
import type { LabelConfig } from '../schemas/label-config.ts';
import type { Responses, Usage } from '../schemas/manifest.ts';
import { type BuildReport, buildFrom } from './build.ts';
import { LogitcaskError } from './errors.ts';
import { openAnswers } from './label/answers.ts';
import { askAll } from './label/ask.ts';
import { exportText } from './label/export.ts';
import { type Labelling, questionsOf } from './label/responses.ts';
import { countPrompts, type PromptCount, type Selection, select } from './label/select.ts';
import { responsesSource } from './label/source.ts';
import { type Side, sides } from './label/split.ts';
import { openTeacher } from './label/teacher.ts';
import { createUsage } from './label/usage.ts';
import { answersPath, lockPath } from './shard/names.ts';
import { acquireLock } from './store/lock.ts';
import { openStore } from './store/table.ts';

export interface LabelProgress {
  readonly responses: number;
  readonly responsesTotal: number;
  /** Of this run. */
  readonly usage: Usage;
}

export interface LabelOptions {
  readonly onProgress?: (progress: LabelProgress) => void;
  /** Stops after the answers that are under way. */
  readonly signal?: AbortSignal;
}

export interface LabelReport {
  readonly model: string;
  readonly version: string;
  readonly counts: Responses['counts'];
  /** Of all responses, and of those that this run asked for. */
  readonly usage: Usage;
  readonly asked: Usage;
  readonly currency: string | null;
  /** Responses kept, by side of the split. */
  readonly sides: Readonly<Record<Side, number>>;
  /** A side without responses has none. */
  readonly snapshots: readonly Pick<BuildReport, 'dataset' | 'snapshot' | 'reused' | 'manifest'>[];
  /** Files of text. */
  readonly exported: readonly string[];
  /** Seconds from start to end. */
  readonly elapsed: number;
}

/**
 * Labels prompts. The same configuration, prompts and answers give the same files, whether or not
 * earlier runs were interrupted. Errors: those of the teacher, `config-invalid`, `source-*`,
 * `build-running`, `store-*`, `interrupted`.
 */
export async function label(config: LabelConfig, options: LabelOptions = {}): Promise<LabelReport> {
  const started = performance.now();
  refuseGreedy(config);
  const settings = sides.map((side) => settingsOf(config, side));
  const prompts = await countPrompts(config);
  const store = await openStore(config.store);
  try {
    const teacher = await openTeacher(config);
    const lock = await acquireLock(store, lockPath(config.dataset, 'label'));
    try {
      const answers = await openAnswers(store, answersPath(config.dataset, teacher.digest));
      try {
        const labelling = { config, teacher, answers };
        const asked = await ask(labelling, prompts, options);
        const selection = await select(labelling, prompts);
        refuseEmpty(selection);
        const exported = config.export ? await exportText(labelling, config.export) : [];
        const snapshots: LabelReport['snapshots'][number][] = [];
        for (const [i, side] of sides.entries()) {
          if (!config.snapshot || selection.sides[side].kept === 0) continue;
          const source = responsesSource({ ...labelling, side, selection });
          const { dataset, snapshot, reused, manifest } = await buildFrom(
            settings[i],
            async () => source,
            { signal: options.signal },
          );
          snapshots.push({ dataset, snapshot, reused, manifest });
        }
        const { model, version } = teacher.generator.facts;
        const { train, validation } = selection.sides;
        return {
          model,
          version,
          counts: selection.counts,
          usage: selection.usage,
          asked,
          currency: config.price?.currency ?? null,
          sides: { train: train.kept, validation: validation.kept },
          snapshots,
          exported,
          elapsed: (performance.now() - started) / 1000,
        };
      } finally {
        await answers.close();
      }
    } finally {
      await lock.release();
    }
  } finally {
    await store.close();
  }
}

/** Asks what is not answered yet; returns what that took. */
async function ask(
  labelling: Labelling,
  prompts: PromptCount,
  { signal, onProgress }: LabelOptions,
): Promise<Usage> {
  const { config, teacher, answers } = labelling;
  const spent = createUsage(config.price);
  const responsesTotal = prompts.asked * config.responses;
  let responses = 0;
  const report = () => {
    responses++;
    onProgress?.({ responses, responsesTotal, usage: spent.usage });
  };
  await askAll(questionsOf(labelling), {
    generator: teacher.generator,
    answers,
    signal,
    refused: config.filter.refused,
    onKnown: report,
    onAnswer(answer) {
      spent.add(answer);
      report();
    },
  });
  return spent.usage;
}

/** How the snapshots of a side are built. */
function settingsOf(config: LabelConfig, side: Side): Omit<BuildConfig, 'source'> {
  const { store, dataset, tag, target_set, codec, format, shard, top_k } = config;
  const sparsifier = { type: 'top-k', k: Math.max(1, top_k) };
  const places = { store, dataset: `${dataset}-${side}`, tag, target_set };
  const { source: _, ...settings } = buildConfig.parse({
    ...places,
    sparsifier,
    codec,
    format,
    shard,
  });
  return settings;
}

function refuseGreedy({ sampling, responses }: LabelConfig): void {
  if (sampling.temperature > 0 || responses === 1) return;
  const message =
    'config: at temperature 0 all responses to a prompt are the same; set responses to 1, or ' +
    'sampling.temperature above 0';
  throw new LogitcaskError('config-invalid', message, { expected: 1, got: responses });
}

function refuseEmpty({ counts }: Selection): void {
  if (counts.kept > 0) return;
  const message = 'label: no response is kept; see what the filters drop';
  throw new LogitcaskError('source-mismatch', message, { expected: '≥ 1 response', got: counts });
}
