/** Server sources over replay teachers, which are closed with the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { buildConfig } from '../../schemas/build-config.ts';
import { openServerSource } from '../../src/capture/server-source.ts';
import {
  type Answer,
  prompts,
  recordedK,
  startTeacher,
  type Teacher,
  type TeacherOptions,
} from './replay-teacher.ts';

/** The teachers, the latest last. */
export const open: Teacher[] = [];

export async function sourceOf(
  answer: Answer | TeacherOptions,
  {
    type = 'vllm',
    texts = prompts,
    ...more
  }: { type?: string; texts?: readonly number[][]; [key: string]: unknown } = {},
) {
  const teacher = await startTeacher(typeof answer === 'function' ? { answer } : answer);
  open.push(teacher);
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-traps-'));
  onTestFinished(async () => {
    await teacher.close();
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'texts.jsonl');
  writeFileSync(file, texts.map((tokens) => `${JSON.stringify({ tokens })}\n`).join(''));
  const source = {
    type,
    url: teacher.url,
    texts: [file],
    tokenizer: 'bench/data/small-lm/tokenizer.json',
    top_k: recordedK,
    sample_length: 97,
    ...more,
  };
  return openServerSource(buildConfig.parse({ source }).source as never);
}

/** Texts of any number: the recorded prompts and their beginnings. */
export const texts = Array.from({ length: 60 }, (_, i) => prompts[i % 4].slice(0, 97 - (i >> 2)));
