import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import {
  conversation,
  generatorOf,
  inOrder,
  listAt,
  question,
  text,
  tokenizer,
} from '../support/generator.ts';
import {
  llama,
  llamaGenerates,
  llamaStopped,
  type OpenaiChat,
  openaiChat,
  openaiGenerates,
} from '../support/replay-generator.ts';
import type { Answer } from '../support/replay-teacher.ts';

describe("llama.cpp's server", () => {
  it('is asked with the ids of the prompt, and has its answer read as recorded', async () => {
    const { generator, teacher } = await generatorOf('llama-cpp', llamaGenerates);
    const answer = await generator.ask(question(conversation));
    expect(teacher.asked.map(Object.keys)).toEqual([
      ['messages'],
      ['content', 'add_special', 'parse_special'],
      expect.arrayContaining(['prompt', 'n_probs', 'samplers']),
    ]);
    expect(teacher.asked[2].prompt).toEqual(llama.tokenize.tokens);
    expect([...answer.promptTokens!]).toEqual(llama.tokenize.tokens);
    expect([...answer.tokens!]).toEqual(llama.response.tokens);
    expect(answer).toMatchObject({ text: llama.response.content, finish: 'length', count: 24 });
    for (const [i, token] of llama.response.completion_probabilities.entries()) {
      const list = token.top_logprobs.map(({ id, logprob }) => [id, logprob] as const);
      expect(listAt(answer.lists!, i)).toEqual(inOrder(list));
      expect(answer.lists!.labelLogprob![i]).toBe(Math.fround(token.logprob));
    }
  });

  it('gives tokens as far as it gives lists, where a stop word ended the answer', async () => {
    const { generator } = await generatorOf('llama-cpp', llamaGenerates);
    const stopped = question(text, { k: 4 });
    const sampling = { ...stopped.sampling, stop: [' the'] };
    const { tokens, finish, lists } = await generator.ask({ ...stopped, sampling });
    expect(llamaStopped.tokens).toHaveLength(2);
    expect([...tokens!]).toEqual(llamaStopped.tokens.slice(0, 1));
    expect({ finish, count: lists!.count }).toEqual({ finish: 'stop', count: 1 });
  });

  const changed =
    (
      change: (reply: { tokens?: number[]; completion_probabilities?: unknown[] }) => void,
    ): Answer =>
    (body, path) => {
      const reply = structuredClone(llamaGenerates(body, path)) as object;
      if (path === '/completion') change(reply);
      return reply;
    };
  it.each<[string, Answer, string]>([
    ['without lists', changed((reply) => delete reply.completion_probabilities), 'n_probs'],
    ['without tokens', changed((reply) => delete reply.tokens), 'return_tokens'],
    ['with a list too few', changed((reply) => reply.completion_probabilities!.pop()), 'those of'],
    ['of other tokens', changed((reply) => reply.tokens!.reverse()), 'token 0'],
  ])('is refused %s', async (_, answer, message) => {
    const { generator } = await generatorOf('llama-cpp', answer);
    const refused = generator.ask(question(conversation));
    await expect(refused).rejects.toMatchObject({ code: 'teacher-unsuitable' });
    await expect(refused).rejects.toThrow(message);
  });
});

describe("OpenAI's chat interface", () => {
  it('has ids told by the bytes of its tokens, as the server that was recorded knows them', async () => {
    const { generator, teacher } = await generatorOf('openai', openaiGenerates);
    const { tokens, lists } = await generator.ask(question(conversation));
    const { content } = openaiChat.choices[0].logprobs!;
    expect([...tokens!]).toEqual(content.map(({ id }) => id));
    for (const [i, { top_logprobs }] of content.entries()) {
      const list = top_logprobs.map(({ id, logprob }) => [id, logprob] as const);
      expect(listAt(lists!, i)).toEqual(inOrder(list));
    }
    expect(teacher.asked[0]).toMatchObject({ logprobs: true, top_logprobs: 16 });
    expect(teacher.asked[0]).not.toHaveProperty('return_token_ids');
  });

  it('needs neither log-probs nor a tokenizer for hard labels', async () => {
    const model = 'one-that-is-not-listed';
    const { generator } = await generatorOf('openai', openaiGenerates, { model }, null);
    expect(generator.facts.model).toBe(model);
    const answer = await generator.ask(question(conversation, { k: 0 }));
    expect(answer.text).toBe(openaiChat.choices[0].message.content);
    expect(answer).toMatchObject({ tokens: undefined, promptCount: 3, count: 24 });
    await expect(generator.ask(question(conversation))).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('tokenizer.json'),
    });
  });

  const changed =
    (change: (choice: OpenaiChat['choices'][0]) => void): Answer =>
    (body) => {
      const reply = openaiGenerates(body) as OpenaiChat;
      change(reply.choices[0]);
      return reply;
    };
  const tokenOf = (choice: OpenaiChat['choices'][0]) => choice.logprobs!.content[2];
  it.each<[string, Answer, string]>([
    ['without log-probs', changed((choice) => Object.assign(choice, { logprobs: null })), 'none'],
    [
      'with an empty list of them',
      changed((choice) => Object.assign(choice, { logprobs: { content: [] } })),
      'none',
    ],
    [
      'with a token without bytes',
      changed((choice) => Object.assign(tokenOf(choice), { bytes: null })),
      'the token " same"',
    ],
    [
      'with a token that the tokenizer does not have',
      changed((choice) => Object.assign(tokenOf(choice), { bytes: [0xf0, 0x9f, 0x99, 0x82] })),
      'the token " same"',
    ],
    [
      'with a token of no bytes that does not end it',
      changed((choice) => Object.assign(tokenOf(choice), { bytes: [] })),
      'token 2',
    ],
    [
      'with bytes that lack their spaces',
      changed(({ logprobs }) => {
        const [of] = logprobs!.content;
        of.bytes!.shift();
        of.top_logprobs = [{ ...of, token: 'of' }];
      }),
      'bytes of the tokens',
    ],
  ])('is refused %s', async (_, answer, message) => {
    const { generator } = await generatorOf('openai', answer);
    const refused = generator.ask(question(conversation));
    await expect(refused).rejects.toMatchObject({ code: 'teacher-unsuitable' });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toThrow(/OpenAI-compatible server.* at http.*k = 0/);
  });

  it('counts special tokens, of no bytes, to the rest, and ends before one that was drawn', async () => {
    const special = changed(({ logprobs, message }) => {
      const last = logprobs!.content.at(-1)!;
      message.content = message.content.slice(0, -last.token.length);
      last.bytes = [];
      Object.assign(logprobs!.content[0].top_logprobs[3], { bytes: [] });
    });
    const { generator } = await generatorOf('openai', special);
    const { lists, tokens } = await generator.ask(question(conversation));
    const { content } = openaiChat.choices[0].logprobs!;
    expect([...tokens!]).toEqual(content.slice(0, -1).map(({ id }) => id));
    const others = content[0].top_logprobs.filter((_, i) => i !== 3);
    const expected = others.map(({ id, logprob }) => [id, logprob] as const);
    expect(listAt(lists!, 0)).toEqual(inOrder(expected));
    expect(lists!.count).toBe(tokens!.length);
  });

  it('is refused where several ids have the bytes of a token', async () => {
    const document = JSON.parse(readFileSync('bench/data/small-lm/tokenizer.json', 'utf8'));
    document.added_tokens.push({ ...document.added_tokens[0], id: 8192, content: ' same' });
    const two = openTokenizer(Buffer.from(JSON.stringify(document)), 'two.json');
    const { generator } = await generatorOf('openai', openaiGenerates, {}, two);
    await expect(generator.ask(question(conversation))).rejects.toThrow(
      /the token " same".*none or several/,
    );
  });

  it('takes conversations alone, and lists of at most 20', async () => {
    const { generator } = await generatorOf('openai', openaiGenerates);
    const refusal = { code: 'config-invalid' };
    await expect(generator.ask(question(text))).rejects.toMatchObject(refusal);
    await expect(generator.ask(question(conversation, { k: 21 }))).rejects.toMatchObject(refusal);
  });

  it('has the ids of the prompt by a declared template, of which the server tells the count', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'logitcask-templates-'));
    const chat_template = join(folder, 'chat_template.jinja');
    writeFileSync(chat_template, '{% for m in messages %}{{ m.content }}{% endfor %}');
    const { generator } = await generatorOf('openai', openaiGenerates, { chat_template });
    const { promptTokens } = await generator.ask(question(conversation));
    expect([...promptTokens!]).toEqual([...tokenizer.encode('In the beginning')]);
    writeFileSync(chat_template, 'user: {% for m in messages %}{{ m.content }}{% endfor %}');
    const other = await generatorOf('openai', openaiGenerates, { chat_template });
    await expect(other.generator.ask(question(conversation))).rejects.toMatchObject({
      code: 'source-mismatch',
      got: '3 tokens',
    });
    rmSync(folder, { recursive: true });
  });
});
