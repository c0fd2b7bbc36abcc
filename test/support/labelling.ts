/** A folder, a teacher that answers, and configurations over both, for the tests of one file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { type LabelConfig, labelConfig } from '../../schemas/label-config.ts';
import { tokenizerFile, vllmLabels } from './replay-labels.ts';
import { startTeacher, type Teacher, type TeacherOptions } from './replay-teacher.ts';

export interface Message {
  readonly role: string;
  readonly content: string;
}

export interface Labelling {
  folder: string;
  teacher: Teacher;
  /** A teacher of its own, closed after the test. */
  another(options: Partial<TeacherOptions>): Promise<Teacher>;
  /** Of prompts, which go into a file. */
  configOf(prompts: readonly unknown[], more?: Record<string, unknown>): LabelConfig;
}

/** Filled before the first test. */
export function useLabelling(): Labelling {
  const used = {} as Labelling;
  const others: Teacher[] = [];
  let files = 0;
  beforeAll(async () => {
    used.folder = mkdtempSync(join(tmpdir(), 'logitcask-label-'));
    used.teacher = await startTeacher({ answer: vllmLabels });
  });
  afterEach(async () => {
    for (const other of others.splice(0)) await other.close();
  });
  afterAll(async () => {
    await used.teacher.close();
    rmSync(used.folder, { recursive: true });
  });
  used.another = async (options) => {
    const made = await startTeacher({ answer: vllmLabels, ...options });
    others.push(made);
    return made;
  };
  used.configOf = (prompts, { source, ...more } = {}) => {
    const name = join(used.folder, `prompts-${files++}.jsonl`);
    writeFileSync(name, prompts.map((record) => JSON.stringify(record)).join('\n'));
    return labelConfig.parse({
      store: join(used.folder, 'store'),
      dataset: `set${files}`,
      prompts: [name],
      source: {
        type: 'vllm',
        url: used.teacher.url,
        tokenizer: tokenizerFile,
        ...Object(source),
      },
      top_k: 12,
      validation: 0.3,
      ...more,
    });
  };
  return used;
}

export const verses = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ text: `Verse ${from + i}` }));

/** The objects of a file of JSON lines. */
export const linesOf = (file: string) =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
