/** What is asked for each response, and the name that its answer is kept under. */
import { createHash } from 'node:crypto';
import type { LabelConfig } from '../../schemas/label-config.ts';
import type { Question } from '../capture/generators/generator.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { digestOfText, type PromptRecord } from './prompts.ts';

export interface Asked {
  readonly prompt: PromptRecord;
  /** Number of the response, from 0. */
  readonly index: number;
  readonly question: Question;
  /** SHA-256 over teacher and question. */
  readonly key: Buffer;
}

/** `teacher`: digest of what decides its answers. */
export function questionOf(
  record: PromptRecord,
  index: number,
  { config, teacher }: { config: LabelConfig; teacher: string },
): Asked {
  const { temperature, top_p, max_tokens, stop, seed: first } = config.sampling;
  const seed = seedOf(first, record.digest, index);
  const sampling = { temperature, top_p, max_tokens, stop };
  const question = { prompt: record.prompt, sampling, seed, k: config.top_k };
  return {
    prompt: record,
    index,
    question,
    key: digestOfText(canonicalJson({ teacher, ...question })),
  };
}

/** 31 bits, which every server takes: of the prompt and the number alone, not of any order. */
export function seedOf(seed: number, prompt: Buffer, index: number): number {
  const hash = createHash('sha256').update(`logitcask/label/1|${seed}|${index}|`).update(prompt);
  return hash.digest().readUInt32LE(0) >>> 1;
}
