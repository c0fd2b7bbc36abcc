/** Against llama.cpp's own server: `test/live/llama-cpp.sh` starts one and sets the address. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generatorServer } from '../../schemas/teacher-server.ts';
import { openGenerator } from '../../src/capture/generator-source.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import { run } from '../commands/program.ts';
import { conversation, listAt, question, text } from '../support/generator.ts';

const url = process.env.LOGITCASK_LIVE_LLAMA_CPP;
if (url === undefined) console.log('live llama.cpp: skipped, run test/live/llama-cpp.sh');

const file = 'bench/data/small-lm/tokenizer.json';
const tokenizer = openTokenizer(readFileSync(file), file);
const generatorOf = (type: 'llama-cpp' | 'openai') =>
  openGenerator(generatorServer.parse({ type, url }), tokenizer);

describe.skipIf(url === undefined)("a live server of llama.cpp's", () => {
  it('is found to give ids and log-probs at temperature 1 with its answers', async () => {
    const address = `llama-cpp:${url}`;
    const { code, stdout } = await run(['doctor', address, '--tokenizer', file, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).generation).toMatchObject({
      chat: true,
      context: 256,
      top_k: 1024,
      ids: 'server',
      prompt_ids: true,
      temperature_one: true,
    });
  });

  it('gives a whole list at each token, the same by its own interface and by that of OpenAI', async () => {
    const asked = question(conversation, { k: 20, n: 40 });
    const greedy = { ...asked, sampling: { ...asked.sampling, temperature: 0 } };
    const [own, other] = await Promise.all([
      (await generatorOf('llama-cpp')).ask(greedy),
      (await generatorOf('openai')).ask(greedy),
    ]);
    expect([...own.promptTokens!]).toEqual([...tokenizer.encode('In the beginning', true)]);
    expect(other.text).toBe(own.text);
    // an end of text has no bytes there
    const said = own.tokens!.filter((id) => id !== tokenizer.separator);
    expect([...other.tokens!]).toEqual([...said]);
    for (let i = 0; i < other.count; i++) {
      const [a, b] = [listAt(own.lists!, i), listAt(other.lists!, i)];
      expect(a[0][0]).toBe(own.tokens![i]);
      const logprobs = new Map(b);
      for (const [id, logprob] of a.slice(0, 10)) expect(logprobs.get(id)).toBeCloseTo(logprob, 2);
    }
  });

  it('ends answers by words and lengths, with a list for each token that counts', async () => {
    const generator = await generatorOf('llama-cpp');
    const asked = question(text, { k: 8, n: 60, temperature: 0.7, top_p: 0.9 });
    for (const stop of [[], [' the', '\n']]) {
      const answer = await generator.ask({ ...asked, sampling: { ...asked.sampling, stop } });
      expect(answer.lists!.count).toBe(answer.tokens!.length);
      expect(['stop', 'length']).toContain(answer.finish);
    }
  });
});
