import { describe, expect, it } from 'vitest';
import { generatorOf, question, text } from '../support/generator.ts';
import { sglangGenerates } from '../support/replay-generator.ts';

interface Meta {
  output_token_logprobs?: unknown[];
  output_top_logprobs?: (unknown[] | null)[];
}

describe("SGLang's answer", () => {
  it.each<[string, (reply: { output_ids: number[]; meta_info: Meta }) => void, string]>([
    ['no log-probs', ({ meta_info }) => delete meta_info.output_token_logprobs, 'output_token_'],
    ['no lists', ({ meta_info }) => delete meta_info.output_top_logprobs, 'of 24 tokens, got none'],
    ['a list too few', ({ meta_info }) => meta_info.output_top_logprobs!.pop(), 'got 23'],
    [
      'no list in its place',
      ({ meta_info }) => (meta_info.output_top_logprobs![3] = null),
      'empty',
    ],
    ['other tokens', ({ output_ids }) => output_ids[3]++, 'token 3'],
    ['a token too many', ({ output_ids }) => output_ids.push(7), 'those of 25 tokens'],
  ])('is refused where it has %s', async (_, change, message) => {
    const { generator } = await generatorOf('sglang', (body, path) => {
      const reply = structuredClone(sglangGenerates('nested')(body, path)) as never;
      change(reply);
      return reply;
    });
    await expect(generator.ask(question(text))).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringMatching(/SGLang 0\.5\.23.*SGLANG_RETURN_ORIGINAL_LOGPROB/),
    });
    await expect(generator.ask(question(text))).rejects.toThrow(message);
  });
});
