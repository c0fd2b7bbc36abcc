/** What servers really do: each would spoil a data set in silence, and has a guard. */
import { describe, expect, it } from 'vitest';
import { checkAlignment } from '../../src/capture/alignment.ts';
import { createReplyReader } from '../../src/capture/reply-reader.ts';
import { decodeScored } from '../../src/capture/scored.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { allChunks } from '../contracts/source.ts';
import { coded } from '../contracts/store.ts';
import {
  type Answer,
  prompts,
  recordedK,
  sglangAnswer,
  vllmAnswer,
} from '../support/replay-teacher.ts';
import { open, sourceOf } from '../support/server-source.ts';

type Entry = { logprob: number; rank?: number };
interface Reply {
  choices: { prompt_logprobs: (Record<string, Entry> | null)[]; prompt_token_ids: number[] }[];
}

/** vLLM's answer, changed: to the probes as well, or only to what comes behind them. */
function changed(
  change: (choice: Reply['choices'][0], body: { prompt: number[] }) => void,
  from = 0,
): Answer {
  let request = 0;
  return (body) => {
    const reply = structuredClone(vllmAnswer(body)) as Reply;
    if (request++ >= from) change(reply.choices[0], body as never);
    return reply;
  };
}

describe('a trap of vLLM', () => {
  it('caps k: what it gives is said, and what to start it with', async () => {
    const capped = changed(({ prompt_logprobs: rows }) => {
      for (const row of rows) {
        for (const [id, { rank }] of Object.entries(row ?? {})) if (rank! > 5) delete row![id];
      }
    });
    await expect(sourceOf(capped)).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringMatching(/vLLM 0\.32\.0 gives 5 entries .* --max-logprobs/),
    });
  });

  it('answers 200 without log-probs: the server is named, and what to do', async () => {
    for (const answer of [
      () => ({ choices: [{ text: 'x' }] }),
      changed((choice) => Object.assign(choice, { prompt_logprobs: null })),
    ]) {
      await expect(sourceOf(answer)).rejects.toMatchObject({
        code: 'teacher-unsuitable',
        message: expect.stringMatching(
          /prompt_logprobs.*vLLM 0\.32\.0 with small-lm.*--max-logprobs/,
        ),
      });
    }
  });

  it('truncates the prompt, at either end', async () => {
    const cuts: Parameters<typeof changed>[0][] = [
      (choice) => {
        choice.prompt_logprobs.length = 20;
        choice.prompt_token_ids = choice.prompt_token_ids.slice(0, 20);
      },
      (choice) => {
        choice.prompt_logprobs = [null, ...choice.prompt_logprobs.slice(-19)];
        choice.prompt_token_ids = choice.prompt_token_ids.slice(-20);
      },
      (choice) => {
        choice.prompt_logprobs.length = 20;
      },
      (choice) => {
        choice.prompt_token_ids = choice.prompt_token_ids.slice(0, 20);
      },
    ];
    for (const cut of cuts) {
      await expect(sourceOf(changed(cut))).rejects.toMatchObject({ code: 'teacher-unsuitable' });
    }
  });

  it('sends rows of other tokens with the same number', async () => {
    const other = changed((choice) => {
      choice.prompt_token_ids = choice.prompt_token_ids.map((id) => id + 1);
    });
    await expect(sourceOf(other)).rejects.toThrowError(coded('teacher-unsuitable'));
  });

  it('shifts its rows by one, either way', async () => {
    const late = changed(({ prompt_logprobs: rows }) => {
      rows.splice(1, rows.length - 1, ...rows.slice(2), rows.at(-1)!);
    });
    const early = changed(({ prompt_logprobs: rows }) => {
      rows.splice(1, rows.length - 1, rows[1], ...rows.slice(1, -1));
    });
    for (const shifted of [late, early]) {
      const check = async () => checkAlignment(await sourceOf(shifted));
      await expect(check()).rejects.toThrowError(coded('source-misaligned'));
    }
  });

  it('is no causal model: its rows hang on later tokens', async () => {
    const answer = changed(({ prompt_logprobs: rows }, { prompt }) => {
      for (const row of rows) {
        for (const entry of Object.values(row ?? {})) entry.logprob -= (prompt.at(-1)! % 7) + 1;
      }
    });
    await expect(sourceOf(answer)).rejects.toThrowError(coded('source-misaligned'));
  });

  it('gives other entries where a later token differs', async () => {
    const answer = changed(({ prompt_logprobs: rows }) => {
      for (const [i, row] of rows.entries()) {
        const other = Object.entries(row ?? {}).map(([id, entry]) => [Number(id) ^ 4096, entry]);
        if (row !== null) rows[i] = Object.fromEntries(other);
      }
    }, 1);
    await expect(sourceOf(answer)).rejects.toThrowError(coded('source-misaligned'));
  });

  it('leaves ranks out, behind the probes as well', async () => {
    const answer = changed(({ prompt_logprobs: rows }) => {
      for (const entry of Object.values(rows[7]!)) delete entry.rank;
    }, 2);
    const source = await sourceOf(answer);
    await expect(allChunks(source.chunks(0))).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringContaining('ranks from 1 on'),
    });
  });

  it('gives two entries the last rank', async () => {
    const answer = changed(({ prompt_logprobs: rows }) => {
      rows[7]![8191] = { logprob: -12, rank: recordedK };
    }, 2);
    const source = await sourceOf(answer);
    await expect(allChunks(source.chunks(0))).rejects.toThrow('at most 16 entries');
  });

  it('is asked for the log-probs of the prompt, and for its ids', async () => {
    await sourceOf(vllmAnswer);
    const asked = { prompt_logprobs: recordedK, return_token_ids: true };
    expect(open.at(-1)!.asked[0]).toMatchObject(asked);
  });

  it('sends a short row later on: it stays short, its mass is not filled up', async () => {
    const answer = changed(({ prompt_logprobs: rows }) => {
      for (const [id, { rank }] of Object.entries(rows[7]!)) if (rank! > 3) delete rows[7]![id];
    }, 2);
    const [first] = await allChunks((await sourceOf(answer)).chunks(0));
    const { offsets } = first.rows as ListRows;
    expect([...offsets.subarray(5, 9)].map((to, i) => to - offsets[4 + i])).toEqual([
      16, 16, 3, 16,
    ]);
  });

  it('clamps log-probs at −9999: nothing of that is kept', async () => {
    const answer = changed(({ prompt_logprobs: rows }, { prompt }) => {
      for (const entry of Object.values(rows[7]!)) if (entry.rank! > 3) entry.logprob = -9999;
      rows[7]![prompt[7]] = { logprob: -9999, rank: 8000 };
    }, 2);
    const [first] = await allChunks((await sourceOf(answer)).chunks(0));
    const { offsets, labelLogprob } = first.rows as ListRows;
    expect(offsets[7] - offsets[6]).toBeLessThanOrEqual(3);
    expect(labelLogprob![6]).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('a trap of SGLang', () => {
  interface Meta {
    input_token_logprobs?: (number | null)[][];
    input_top_logprobs?: ((number | null)[][] | null)[];
    input_top_logprobs_idx_flat_b64: string;
    input_top_logprobs_shape: number[];
    input_top_logprobs_null_prefix: number;
  }
  const changedMeta = (form: 'flat' | 'nested', change: (meta: Meta) => void): Answer => {
    return (body) => {
      const reply = structuredClone(sglangAnswer(form)(body)) as { meta_info: Meta };
      change(reply.meta_info);
      return reply;
    };
  };
  it.each<[string, Answer, string]>([
    ['no log-probs', changedMeta('flat', (meta) => delete meta.input_token_logprobs), 'SGLang'],
    ['no lists', changedMeta('nested', (meta) => delete meta.input_top_logprobs), '_top_'],
    ['only the output', changedMeta('flat', (meta) => (meta.input_token_logprobs = [])), '_token_'],
    ['a cut prompt', changedMeta('flat', (meta) => meta.input_token_logprobs!.pop()), '_token_'],
    ['other tokens', changedMeta('flat', (meta) => meta.input_token_logprobs![3][1]!++), 'token 3'],
    [
      'a shape that is not that of its arrays',
      changedMeta('flat', (meta) => meta.input_top_logprobs_shape[0]--),
      'flat arrays',
    ],
    [
      'a list too few',
      changedMeta('nested', (meta) => meta.input_top_logprobs!.splice(9, 1, null)),
      'row 9',
    ],
    [
      'no number',
      changedMeta('nested', (meta) => (meta.input_top_logprobs![9]![2][0] = null)),
      'numbers',
    ],
  ])('is %s', async (_, answer, words) => {
    await expect(sourceOf(answer, { type: 'sglang' })).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringContaining(words),
    });
  });

  it('is asked for the log-probs of the whole prompt', async () => {
    await sourceOf(sglangAnswer('flat'), { type: 'sglang' });
    const asked = { return_logprob: true, logprob_start_len: 0, top_logprobs_num: recordedK };
    expect(open.at(-1)!.asked[0]).toMatchObject(asked);
  });

  it('is no short row that its flat arrays fill up under the id −1', async () => {
    let request = 0;
    const answer = changedMeta('flat', (meta) => {
      if (request++ < 2) return;
      const ids = Buffer.from(meta.input_top_logprobs_idx_flat_b64, 'base64');
      for (let j = 3; j < recordedK; j++) ids.writeInt32LE(-1, 4 * (6 * recordedK + j));
      meta.input_top_logprobs_idx_flat_b64 = ids.toString('base64');
    });
    const [first] = await allChunks((await sourceOf(answer, { type: 'sglang' })).chunks(0));
    const { offsets } = first.rows as ListRows;
    expect([offsets[6] - offsets[5], offsets[7] - offsets[6]]).toEqual([recordedK, 3]);
  });

  it('is no shape that counts the rows that are null', async () => {
    const answer = changedMeta('flat', (meta) => meta.input_top_logprobs_shape[0]++);
    const counted = await allChunks((await sourceOf(answer, { type: 'sglang' })).chunks(0));
    const plain = await allChunks(
      (await sourceOf(sglangAnswer('flat'), { type: 'sglang' })).chunks(0),
    );
    expect(counted.map(({ rows }) => rows)).toEqual(plain.map(({ rows }) => rows));
  });

  it('is another place of its flat rows', async () => {
    const answer = changedMeta('flat', (meta) => {
      meta.input_top_logprobs_null_prefix = 2;
    });
    await expect(sourceOf(answer, { type: 'sglang' })).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringContaining('row 1'),
    });
  });
});

describe('large replies', () => {
  const big = (() => {
    const { choices } = vllmAnswer({
      prompt: prompts[0],
      return_token_ids: true,
    } as never) as Reply;
    const [{ prompt_logprobs: rows, prompt_token_ids: ids }] = choices;
    const tokens = Array.from({ length: 5 }, () => ids).flat();
    const all = Array.from({ length: 5 }, (_, i) => (i === 0 ? rows : [rows[1], ...rows.slice(1)]));
    return {
      tokens: Int32Array.from(tokens),
      reply: { choices: [{ prompt_logprobs: all.flat(), prompt_token_ids: tokens }] },
    };
  })();
  const bytesOf = (reply: unknown) => new Uint8Array(Buffer.from(JSON.stringify(reply)));

  it('are read in a thread, to the same rows, and its refusals keep their code', async () => {
    const reader = createReplyReader();
    const asked = { tokens: big.tokens, k: recordedK, width: 8192 };
    const reply = bytesOf(big.reply);
    const [record] = await reader.read({ server: 'vllm', reply, asked: [asked] });
    expect(reply.byteLength).toBe(0); // it was sent on, not copied
    const { rows, tokens } = decodeScored(record);
    expect(tokens).toEqual(big.tokens);
    expect(rows.offsets.at(-1)).toBe((tokens.length - 1) * recordedK);
    const other = structuredClone(big.reply);
    other.choices[0].prompt_token_ids[400]++;
    const refused = reader.read({ server: 'vllm', reply: bytesOf(other), asked: [asked] });
    await expect(refused).rejects.toThrowError(coded('teacher-unsuitable'));
    const cut = bytesOf(big.reply).slice(0, -9);
    const broken = reader.read({ server: 'vllm', reply: cut, asked: [asked] });
    await expect(broken).rejects.toThrowError(coded('teacher-unsuitable'));
    await reader.close();
  });
});
