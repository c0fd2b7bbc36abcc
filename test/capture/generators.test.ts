import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { generatorServer } from '../../schemas/teacher-server.ts';
import { openGenerator } from '../../src/capture/generator-source.ts';
import type { Prompt, Question } from '../../src/capture/generators/generator.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { chat, completion, sglangGenerates, vllmGenerates } from '../support/replay-generator.ts';
import { type Answer, startTeacher, type Teacher } from '../support/replay-teacher.ts';

const small = 'bench/data/small-lm/tokenizer.json';
const tokenizer = openTokenizer(readFileSync(small), small);
const open: Teacher[] = [];
afterAll(async () => {
  for (const teacher of open) await teacher.close();
});

type Type = 'vllm' | 'sglang' | 'llama-cpp' | 'openai';

async function generatorOf(type: Type, answer: Answer, more: object = {}) {
  const teacher = await startTeacher({ answer });
  open.push(teacher);
  const config = generatorServer.parse({ type, url: `${teacher.url}/v1/`, ...more });
  return { teacher, generator: await openGenerator(config, tokenizer) };
}

const conversation: Prompt = { messages: [{ role: 'user', content: 'In the beginning' }] };
const text: Prompt = { text: '.\nAnd Joseph' };

function question(prompt: Prompt, { k = 16, n = 24, temperature = 1, top_p = 1 } = {}): Question {
  return { prompt, sampling: { temperature, top_p, max_tokens: n, stop: [] }, seed: 7, k };
}

function listAt({ offsets, ids, logprobs }: ListRows, i: number): [number, number][] {
  const [from, to] = [offsets[i], offsets[i + 1]];
  return [...ids.subarray(from, to)].map((id, j) => [id, logprobs[from + j]]);
}

const inOrder = (list: (readonly [number, number])[]) =>
  list
    .map(([id, logprob]) => [id, Math.fround(logprob)] as [number, number])
    .sort(([a, p], [b, q]) => q - p || a - b);
const idOf = (token: string) => Number(token.slice('token_id:'.length));

/** What plain JSON says of the recorded completion. */
const completed = completion.choices[0].logprobs.top_logprobs.map((list, i) => {
  const { tokens } = completion.choices[0].logprobs;
  const entries = Object.entries(list).map(([token, p]) => [idOf(token), p] as const);
  return inOrder(entries.filter(([id]) => entries.length === 16 || id !== idOf(tokens[i])));
});

describe('vLLM', () => {
  it('has its answers to texts read as the recorded reply has them', async () => {
    const { generator, teacher } = await generatorOf('vllm', vllmGenerates);
    const answer = await generator.ask(question(text));
    const [choice] = completion.choices;
    expect([...answer.tokens!]).toEqual(choice.token_ids);
    expect([...answer.promptTokens!]).toEqual(choice.prompt_token_ids);
    expect(answer).toMatchObject({ text: choice.text, finish: 'length', count: 24 });
    for (const [i, list] of completed.entries()) expect(listAt(answer.lists!, i)).toEqual(list);
    const labels = choice.logprobs.token_logprobs.map(Math.fround);
    expect([...answer.lists!.labelLogprob!]).toEqual(labels);
    expect(teacher.asked).toHaveLength(1);
    expect(teacher.asked[0]).toMatchObject({ prompt: '.\nAnd Joseph', logprobs: 16, seed: 7 });
  });

  it('has lists of chats read, without the token drawn where it may be beyond them', async () => {
    const { generator } = await generatorOf('vllm', vllmGenerates);
    const { tokens, lists, promptTokens } = await generator.ask(question(conversation));
    expect([...tokens!]).toEqual(chat.choices[0].token_ids);
    expect([...promptTokens!]).toEqual(chat.prompt_token_ids);
    let without = 0;
    for (const [i, { token, top_logprobs }] of chat.choices[0].logprobs.content.entries()) {
      const entries = top_logprobs.map((entry) => [idOf(entry.token), entry.logprob] as const);
      const least = Math.min(...entries.map(([, logprob]) => logprob));
      const isBeyond = entries[0][0] === idOf(token) && entries[0][1] === least;
      without += Number(isBeyond);
      expect(listAt(lists!, i)).toEqual(inOrder(entries.slice(Number(isBeyond))));
      expect(lists!.labelLogprob![i]).toBe(
        Math.fround(chat.choices[0].logprobs.content[i].logprob),
      );
    }
    expect(without).toBeGreaterThan(0);
  });
});

describe('SGLang', () => {
  it.each(['flat', 'nested'] as const)('gives the same in its %s form', async (form) => {
    const { generator, teacher } = await generatorOf('sglang', sglangGenerates(form));
    const answer = await generator.ask(question(text));
    expect([...answer.tokens!]).toEqual(completion.choices[0].token_ids);
    for (const [i, list] of completed.entries()) expect(listAt(answer.lists!, i)).toEqual(list);
    expect(teacher.asked[0].input_ids).toEqual([...tokenizer.encode('.\nAnd Joseph', true)]);
  });
});
