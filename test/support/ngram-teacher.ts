/** The embedded n-gram behind vLLM's interface: a teacher that scores any tokens, and goes on. */
import { openNgramSource } from '../../src/capture/ngram.ts';
import type { DenseRows } from '../../src/distribution/rows.ts';
import { type Answer, startTeacher, type Teacher, type TeacherOptions } from './replay-teacher.ts';

export const ngramTokenizer = 'data/kjv-tokenizer-8192.json';

const source = await openNgramSource(
  { type: 'ngram', held_out: 10, sample_length: 512 },
  { dataFolder: 'data' },
);

interface Entry {
  logprob: number;
  rank: number;
  decoded_token: string;
}

/** The `k` most probable ids, and one more that must be among them. */
function entriesOf({ values, width }: DenseRows, t: number, k: number, actual: number) {
  const row = values.subarray(t * width, (t + 1) * width) as Float32Array;
  const order = Array.from(row, (_, id) => id).sort((a, b) => row[b] - row[a] || a - b);
  const entries: Record<string, Entry> = {};
  for (const [i, id] of order.entries()) {
    if (i >= k && id !== actual) continue;
    entries[id] = { logprob: row[id], rank: i + 1, decoded_token: `${id}` };
    if (i >= k) break;
  }
  return entries;
}

async function rowsOf(tokens: readonly number[]): Promise<DenseRows> {
  return (await source.score?.(Int32Array.from(tokens))) as DenseRows;
}

/** What vLLM answers; generation is greedy. */
export const ngramAnswer: Answer = async (body) => {
  const {
    prompt,
    prompt_logprobs: k,
    max_tokens,
    return_token_ids,
  } = body as unknown as {
    prompt: number[] | number[][];
    prompt_logprobs?: number | null;
    max_tokens: number;
    return_token_ids?: boolean;
  };
  const prompts = (typeof prompt[0] === 'number' ? [prompt] : prompt) as number[][];
  const choices = [];
  for (const [index, tokens] of prompts.entries()) {
    const rows = await rowsOf(tokens);
    const all = [...tokens];
    for (let i = 0; i < max_tokens; i++) {
      const [best] = Object.keys(entriesOf(await rowsOf(all), all.length - 1, 1, -1));
      all.push(Number(best));
    }
    const made = all.slice(tokens.length);
    choices.push({
      index,
      text: made.join(' '),
      logprobs: null,
      finish_reason: 'length',
      ...(return_token_ids && { prompt_token_ids: tokens, token_ids: made }),
      prompt_logprobs:
        k == null ? null : tokens.map((id, t) => (t === 0 ? null : entriesOf(rows, t - 1, k, id))),
    });
  }
  return { id: 'cmpl', object: 'text_completion', model: 'ngram', choices };
};

export function startNgramTeacher(options: Partial<TeacherOptions> = {}): Promise<Teacher> {
  return startTeacher({ answer: ngramAnswer, ...options });
}
