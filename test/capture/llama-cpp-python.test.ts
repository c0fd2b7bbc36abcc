import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkAlignment } from '../../src/capture/alignment.ts';
import { llamaCppPython } from '../../src/capture/servers/llama-cpp-python.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { allChunks } from '../contracts/source.ts';
import {
  type Answer,
  prompts,
  recorded,
  recordedK,
  vllmAnswer,
} from '../support/replay-teacher.ts';
import { sourceOf } from '../support/server-source.ts';

const file = 'bench/data/small-lm/tokenizer.json';
const tokenizer = openTokenizer(readFileSync(file), file);
const strings = Array.from({ length: 8192 }, (_, id) => tokenizer.decode([id]));
const several = new Set(strings.filter((text, id) => strings.indexOf(text) !== id));

type Lists = (Record<string, number> | null)[];
interface Reply {
  choices: {
    logprobs: { tokens: string[]; token_logprobs: unknown[]; top_logprobs: Lists } | null;
  }[];
  usage: { prompt_tokens: number };
}
type Row = Record<string, { logprob: number; rank: number }> | null;

/** Texts as the server reads them back: without a special token, of whole words. */
const texts = prompts.slice(1).filter((ids) => {
  const again = tokenizer.encode(tokenizer.decode(ids));
  return again.length === ids.length && again.every((id, i) => id === ids[i]);
});

/** As the server makes it: later tokens of the same text take the place of earlier ones. */
function listOf(row: Row, own: string): Record<string, number> {
  const entries = Object.entries(row ?? {}).filter(([, { rank }]) => rank <= recordedK);
  entries.sort(([, a], [, b]) => a.rank - b.rank);
  const list: Record<string, number> = {};
  for (const [id, { logprob }] of entries) list[strings[Number(id)]] = logprob;
  list[own] ??= -11;
  return list;
}

/** vLLM's numbers in its shape; `shift` 1 is what it does. */
const answer =
  (shift: 0 | 1): Answer =>
  ({ prompt, echo }) => {
    const ids = tokenizer.encode(prompt as unknown as string);
    const isKnown = prompts.some((own) => ids.subarray(0, -1).every((id, i) => own[i] === id));
    const rows: Row[] = isKnown
      ? (vllmAnswer({ prompt: [...ids] } as never) as { choices: { prompt_logprobs: Row[] }[] })
          .choices[0].prompt_logprobs
      : [...ids].map((id) => ({ 12: { logprob: -id / 999, rank: 1 } }));
    const following: Row = { 14: { logprob: -0.5, rank: 1 }, 12: { logprob: -1.5, rank: 2 } };
    rows.push(following);
    const own = [...ids].map((id) => strings[id]);
    const shifted = own.map((text, j) => (j === 0 ? null : listOf(rows[j + shift], text)));
    const plain = [...shifted, listOf(following, ' of')];
    const lists = !(echo as unknown) ? [listOf(following, '.')] : shift === 1 ? shifted : plain;
    const tokens = echo ? (shift === 1 ? own : [...own, ' of']) : ['.'];
    const token_logprobs = tokens.map((text, j) => lists[j]?.[text] ?? null);
    return {
      choices: [{ text: prompt, logprobs: { tokens, token_logprobs, top_logprobs: lists } }],
      usage: { prompt_tokens: ids.length },
    };
  };

const open = (given: Answer) => sourceOf(given, { type: 'llama-cpp-python', texts });

describe('llama-cpp-python', () => {
  it('has texts to test with, and tokens of the same text', () => {
    expect(texts.length).toBeGreaterThan(1);
    expect([...several].sort()).toEqual(['', ' ']);
  });

  it.each([0, 1] as const)('gives the same lists where it is shifted by %i', async (shift) => {
    const source = await open(answer(shift));
    const chunks = await allChunks(source.chunks(0));
    expect(chunks.length).toBe(texts.length);
    for (const [i, { sample, rows }] of chunks.entries()) {
      const tokens = texts[i];
      const all = (
        vllmAnswer({ prompt: tokens } as never) as { choices: { prompt_logprobs: Row[] }[] }
      ).choices[0].prompt_logprobs;
      const { offsets, ids, logprobs, labelLogprob } = rows as ListRows;
      for (let t = shift; t + 1 < tokens.length; t++) {
        const expected = Object.entries(all[t + 1]!)
          .filter(([id, { rank }]) => rank <= recordedK && !several.has(strings[Number(id)]))
          .map(([id, { logprob }]) => [Number(id), Math.fround(logprob)]);
        const got = [...ids.subarray(offsets[t], offsets[t + 1])];
        const pairs = new Map(got.map((id, j) => [id, logprobs[offsets[t] + j]]));
        for (const [id, logprob] of expected) expect(pairs.get(id)).toBe(logprob);
        const label = expected.find(([id]) => id === tokens[t + 1]);
        if (label !== undefined) expect(labelLogprob![t]).toBe(label[1]);
      }
      // what it tells nothing of is not learned
      expect([sample.mask[0], offsets[1]]).toEqual(shift === 1 ? [0, 0] : [1, offsets[1]]);
    }
    expect((await checkAlignment(source)).positions).toBeGreaterThan(0);
  });

  it('is refused where its echo fits neither place, or holds no log-probs', async () => {
    const changed =
      (change: (reply: Reply) => void): Answer =>
      (body) => {
        const reply = answer(1)(body) as Reply;
        change(reply);
        return reply;
      };
    const neither = changed(({ choices: [{ logprobs }] }) => {
      for (const list of logprobs!.top_logprobs.slice(1)) list![','] = -3;
    });
    await expect(open(neither)).rejects.toMatchObject({ code: 'source-misaligned' });
    const none = changed(({ choices }) => {
      choices[0].logprobs = null;
    });
    await expect(open(none)).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringContaining('--logits_all'),
    });
    const cut = changed(({ usage }) => usage.prompt_tokens--);
    await expect(open(cut)).rejects.toThrow('other tokens');
    const other = changed(({ choices: [{ logprobs }] }) => {
      if (logprobs!.tokens.length > 1) logprobs!.tokens[3] = 'x';
    });
    await expect(open(other)).rejects.toThrow('"x"');
  });

  it('has a recorded reply read, one entry late, and keeps no text of several ids', () => {
    const { response } = recorded('llama-cpp-python-echo') as unknown as { response: Reply };
    const tokens = tokenizer.encode('In the beginning God created the heaven');
    const asked = { tokens, k: 3, width: 8192 };
    const bytes = (reply: Reply) => Buffer.from(JSON.stringify(reply));
    const rows = llamaCppPython.parse(bytes(response), asked, { strings, shift: 1 });
    expect([...rows.offsets]).toEqual([0, 0, 3, 6, 9, 12, 15, 15]);
    expect(strings[rows.ids[3]]).toBe(' of');
    const changed = structuredClone(response);
    const [, , list] = changed.choices[0].logprobs!.top_logprobs;
    changed.choices[0].logprobs!.top_logprobs[2] = { '': -0.5, ...list };
    const fewer = llamaCppPython.parse(bytes(changed), asked, { strings, shift: 1 });
    expect([...fewer.offsets]).toEqual([0, 0, 3, 5, 8, 11, 14, 14]);
    const refused = (change: (choice: Reply['choices'][0]) => void) => {
      const reply = structuredClone(response);
      change(reply.choices[0]);
      return expect(() => llamaCppPython.parse(bytes(reply), asked, { strings, shift: 1 }));
    };
    refused((choice) => {
      choice.logprobs = null;
    }).toThrow('expected lists, got none');
    refused(({ logprobs }) => {
      logprobs!.top_logprobs[2] = { 'no token has it': -0.5 };
    }).toThrow('"no token has it"');
    refused(({ logprobs }) => void logprobs!.top_logprobs.pop()).toThrow('a list for each');
  });
});
