import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Prompt } from '../../src/capture/generators/generator.ts';
import {
  conversation,
  generatorOf,
  inOrder,
  listAt,
  question,
  text,
  tokenizer,
} from '../support/generator.ts';
import { chat, completion, sglangGenerates, vllmGenerates } from '../support/replay-generator.ts';
import type { Answer } from '../support/replay-teacher.ts';

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
    // the model's own way of sampling is switched off
    expect(teacher.asked[0]).toMatchObject({ top_k: -1, min_p: 0, repetition_penalty: 1 });
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

  it('is asked for two entries where one is wanted, since the token drawn may stand for one', async () => {
    const { generator, teacher } = await generatorOf('vllm', vllmGenerates);
    await generator.ask(question(conversation, { k: 1 }));
    expect(teacher.asked[0]).toMatchObject({ top_logprobs: 2 });
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

/** The recorded answer of vLLM, changed. */
const changed =
  (change: (choice: Changeable, body: Record<string, unknown>) => void): Answer =>
  (body, path) => {
    const reply = structuredClone(vllmGenerates(body, path)) as { choices: [Changeable] };
    change(reply.choices[0], body);
    return reply;
  };

interface Changeable {
  logprobs: {
    content: { token: string; top_logprobs: { token: string; logprob: number }[] }[];
    token_logprobs: number[];
    tokens: string[];
    top_logprobs: Record<string, number>[];
  } | null;
  token_ids: number[] | null;
  prompt_token_ids: number[];
}

const bare = changed((choice) => void Object.assign(choice, { logprobs: null }));

describe('an answer of a server', () => {
  it.each<[string, Prompt, Answer, string]>([
    ['without log-probs', conversation, bare, 'got none'],
    ['to a text without log-probs', text, bare, 'got none'],
    ['that is no answer', text, () => ({ choices: [] }), 'a choice with a text'],
    ['that is no JSON', text, () => undefined, 'expected {'],
    [
      'with a list too few',
      text,
      changed(({ logprobs }) => void logprobs!.top_logprobs.pop()),
      'as many tokens',
    ],
    [
      'with a token too few',
      conversation,
      changed(({ logprobs }) => void logprobs!.content.pop()),
      'lists for the 24 token_ids',
    ],
    [
      'of other tokens than its lists',
      conversation,
      changed((choice) => void choice.token_ids![3]++),
      'token 3',
    ],
    [
      'with lists of the tokens after',
      text,
      changed(({ logprobs }) => logprobs!.top_logprobs.push(logprobs!.top_logprobs.shift()!)),
      'token',
    ],
    [
      'with texts in the place of ids',
      conversation,
      changed(({ logprobs }) => void Object.assign(logprobs!.content[2], { token: ' the' })),
      'return_tokens_as_token_ids',
    ],
    [
      'with fewer entries than were asked for',
      conversation,
      changed(({ logprobs }) => {
        for (const token of logprobs!.content) token.top_logprobs.splice(8);
      }),
      'has 8 entries where 16 were asked for',
    ],
  ])('is refused, with its name and what to do: one %s', async (_, prompt, answer, message) => {
    const { generator } = await generatorOf('vllm', answer);
    await expect(generator.ask(question(prompt))).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringMatching(/vLLM 0\.32\.0 \(small-lm\) at http.*--max-logprobs/),
    });
    await expect(generator.ask(question(prompt))).rejects.toThrow(message);
  });

  it('needs no log-probs where none are asked for', async () => {
    const { generator, teacher } = await generatorOf('vllm', vllmGenerates);
    const answer = await generator.ask(question(conversation, { k: 0 }));
    expect(answer).toMatchObject({ finish: 'length', lists: undefined, count: 24 });
    expect([...answer.tokens!]).toEqual(chat.choices[0].token_ids);
    expect(teacher.asked[0]).not.toHaveProperty('logprobs');
  });

  it('is asked for anew after failures of the server, by fewer at a time', async () => {
    let failures = 2;
    const { generator, teacher } = await generatorOf('vllm', vllmGenerates, {
      fault(_, reply) {
        if (failures-- <= 0) return false;
        reply.writeHead(503).end('busy');
        return true;
      },
    });
    expect((await generator.ask(question(text, { n: 3 }))).count).toBe(3);
    expect(teacher.asked).toHaveLength(3);
    expect(generator.window.limit).toBeLessThan(4);
  });
});

describe('log-probs that change with sampling', () => {
  const scaled = changed(({ logprobs }, { temperature }) => {
    const { top_logprobs: lists, token_logprobs: labels } = logprobs!;
    const scale = (logprob: number) => (temperature === 1 ? logprob : logprob / 2 - 2);
    for (const list of lists) for (const token in list) list[token] = scale(list[token]);
    for (const i in labels) labels[i] = scale(labels[i]);
  });
  const cut = changed(({ logprobs }, { top_p }) => {
    const least = (top_p as number) < 1 ? -3 : Number.NEGATIVE_INFINITY;
    for (const [i, list] of logprobs!.top_logprobs.entries()) {
      for (const token in list) {
        if (list[token] < least && token !== logprobs!.tokens[i]) list[token] = -9999;
      }
    }
  });

  /** Other entries at the end, and the same log-probs of those that are left. */
  const others = changed(({ logprobs }, { top_p }) => {
    if (top_p === 1) return;
    const { top_logprobs: lists, tokens } = logprobs!;
    for (const [i, list] of lists.entries()) {
      const undrawn = Object.keys(list).filter((token) => token !== tokens[i]);
      for (const [j, token] of undrawn
        .sort((a, b) => list[a] - list[b])
        .slice(0, 3)
        .entries()) {
        list[`token_id:${8000 + j}`] = list[token];
        delete list[token];
      }
    }
  });

  it('are refused, since a top list cannot be turned back', async () => {
    const { generator } = await generatorOf('vllm', scaled);
    await expect(generator.ask(question(text, { temperature: 2 }))).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringContaining('not those at temperature 1'),
    });
    expect((await generator.ask(question(text))).lists!.count).toBe(24);
    const { generator: masked } = await generatorOf('vllm', cut);
    await expect(masked.ask(question(text, { top_p: 0.9 }))).rejects.toThrow('raw_logprobs');
    const { generator: replaced } = await generatorOf('vllm', others);
    await expect(replaced.ask(question(text, { top_p: 0.9 }))).rejects.toThrow(
      /change by 0.*not those at temperature 1/,
    );
  });

  it('are looked for once for each way of sampling', async () => {
    const { generator, teacher } = await generatorOf('vllm', vllmGenerates);
    await generator.ask(question(text, { temperature: 0.8 }));
    await generator.ask(question(text, { temperature: 0.8 }));
    expect(teacher.asked.map(({ max_tokens: n, temperature: t }) => [n, t])).toEqual([
      [1, 1],
      [1, 0.8],
      [24, 0.8],
      [24, 0.8],
    ]);
  });
});

describe('a conversation', () => {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-generators-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const template = (source: string) => {
    const file = join(folder, 'chat_template.jinja');
    writeFileSync(file, source);
    return { chat_template: file };
  };
  const plain = "{% for m in messages %}{{ m['content'] }}{% endfor %}";

  it('must be the same ids by the declared template and by the server', async () => {
    const { generator } = await generatorOf('vllm', vllmGenerates, template(plain));
    await generator.ask(question(conversation));
    const other = await generatorOf('vllm', vllmGenerates, template(`${plain} is`));
    await expect(other.generator.ask(question(conversation))).rejects.toMatchObject({
      code: 'source-mismatch',
      expected: expect.stringContaining('4 tokens'),
      got: expect.stringContaining('3 tokens'),
    });
  });

  it('is rendered for a server that applies no template, and refused without one', async () => {
    const { generator, teacher } = await generatorOf(
      'sglang',
      sglangGenerates('nested'),
      template(plain),
    );
    const { promptTokens } = await generator.ask(question(conversation));
    expect(teacher.asked[0].input_ids).toEqual(chat.prompt_token_ids);
    expect([...promptTokens!]).toEqual(chat.prompt_token_ids);
    const without = await generatorOf('sglang', sglangGenerates('nested'));
    await expect(without.generator.ask(question(conversation))).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('chat_template.jinja'),
    });
  });
});
