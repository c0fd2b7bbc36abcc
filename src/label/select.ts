/** What there is to store: prompts, responses of each side, and what is left out, by reason. */
import { createHash } from 'node:crypto';
import type { LabelConfig } from '../../schemas/label-config.ts';
import type { Responses, Usage } from '../../schemas/manifest.ts';
import { DigestTable } from '../capture/digest-table.ts';
import { readPrompts } from './prompts.ts';
import { type Labelling, responsesOf } from './responses.ts';
import type { Side } from './split.ts';
import { createUsage } from './usage.ts';

export interface PromptCount {
  readonly read: number;
  /** Without duplicates. */
  readonly asked: number;
  /** SHA-256 (hex) over the digests of those asked, in order. */
  readonly digest: string;
}

export async function countPrompts(config: LabelConfig): Promise<PromptCount> {
  const hash = createHash('sha256');
  let [read, asked] = [0, 0];
  for await (const { digest, isDuplicate } of readPrompts(config)) {
    read++;
    if (isDuplicate) continue;
    asked++;
    hash.update(digest);
  }
  return { read, asked, digest: hash.digest('hex') };
}

export interface Selection {
  readonly prompts: PromptCount;
  readonly counts: Responses['counts'];
  /** Of all responses, kept or not. */
  readonly usage: Usage;
  /** `digest`: SHA-256 (hex) over the answers. */
  readonly sides: Readonly<Record<Side, { readonly kept: number; readonly digest: string }>>;
}

/** Goes through all responses once. Errors: those of `responsesOf`. */
export async function select(labelling: Labelling, prompts: PromptCount): Promise<Selection> {
  const dropped: Record<string, number> = {};
  const duplicates = prompts.read - prompts.asked;
  if (duplicates > 0) dropped['duplicate-prompt'] = duplicates;
  const tallies = { train: createTally(), validation: createTally() };
  const counted = new DigestTable();
  const spent = createUsage(labelling.config.price);
  let responses = 0;
  for await (const { key, answer, record, reason, side } of responsesOf(labelling)) {
    responses++;
    // equal prompts are asked once
    if (counted.set(key) && reason !== 'refused') spent.add(answer);
    if (reason === undefined) tallies[side].add(record);
    else dropped[reason] = (dropped[reason] ?? 0) + 1;
  }
  const sides = { train: tallies.train.end(), validation: tallies.validation.end() };
  const kept = sides.train.kept + sides.validation.kept;
  const { read: prompts_read, asked } = prompts;
  const counts = { prompts_read, prompts: asked, responses, kept, dropped };
  return { prompts, counts, usage: spent.usage, sides };
}

function createTally() {
  const hash = createHash('sha256');
  let kept = 0;
  return {
    add(record: Buffer) {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(record.length);
      hash.update(length).update(record);
      kept++;
    },
    end: () => ({ kept, digest: hash.digest('hex') }),
  };
}
