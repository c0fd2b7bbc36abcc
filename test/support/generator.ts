/** Generators over a server of recorded replies, and questions for them. */
import { readFileSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { type GeneratorServerConfig, generatorServer } from '../../schemas/teacher-server.ts';
import { openGenerator } from '../../src/capture/generator-source.ts';
import type { Prompt, Question } from '../../src/capture/generators/generator.ts';
import { openTokenizer, type TextTokenizer } from '../../src/capture/tokenizer.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { type Answer, startTeacher, type TeacherOptions } from './replay-teacher.ts';

const small = 'bench/data/small-lm/tokenizer.json';
export const tokenizer = openTokenizer(readFileSync(small), small);

/** Closed with the test. Its tokenizer is the small LM's, another, or null for none. */
export async function generatorOf(
  type: GeneratorServerConfig['type'],
  answer: Answer,
  more: Partial<GeneratorServerConfig> & Pick<TeacherOptions, 'fault'> = {},
  own: TextTokenizer | null = tokenizer,
) {
  const { fault, ...settings } = more;
  const teacher = await startTeacher({ answer, fault });
  onTestFinished(() => teacher.close());
  const config = generatorServer.parse({ type, url: `${teacher.url}/v1/`, ...settings });
  return { teacher, generator: await openGenerator(config, own ?? undefined) };
}

export const conversation: Prompt = { messages: [{ role: 'user', content: 'In the beginning' }] };
export const text: Prompt = { text: '.\nAnd Joseph' };

export function question(
  prompt: Prompt,
  { k = 16, n = 24, temperature = 1, top_p = 1 } = {},
): Question {
  return { prompt, sampling: { temperature, top_p, max_tokens: n, stop: [] }, seed: 7, k };
}

export type Entry = readonly [id: number, logprob: number];

export function listAt({ offsets, ids, logprobs }: ListRows, i: number): Entry[] {
  const [from, to] = [offsets[i], offsets[i + 1]];
  return [...ids.subarray(from, to)].map((id, j) => [id, logprobs[from + j]]);
}

/** As a list must come: float32, value descending, id ascending. */
export const inOrder = (list: readonly Entry[]) =>
  list
    .map(([id, logprob]): Entry => [id, Math.fround(logprob)])
    .sort(([a, p], [b, q]) => q - p || a - b);
