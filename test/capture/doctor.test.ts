import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildConfig } from '../../schemas/build-config.ts';
import { generatorServer } from '../../schemas/teacher-server.ts';
import { diagnose } from '../../src/capture/doctor.ts';
import { diagnoseGenerator } from '../../src/capture/generator-doctor.ts';
import { coded } from '../contracts/store.ts';
import { type Completion, vllmGenerates } from '../support/replay-generator.ts';
import {
  type Answer,
  prompts,
  recordedK,
  startTeacher,
  type Teacher,
  vllmAnswer,
} from '../support/replay-teacher.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-found-'));
const texts = join(folder, 'texts.jsonl');
writeFileSync(texts, `${JSON.stringify({ tokens: prompts[0] })}\n`);
const tokenizer = 'bench/data/small-lm/tokenizer.json';
const open: Teacher[] = [];
afterAll(async () => {
  for (const teacher of open) await teacher.close();
  rmSync(folder, { recursive: true });
});

const refusal = 'lists are limited to 16';

/** It refuses lists that are longer than the recorded ones. */
async function urlOf(answer: Answer): Promise<string> {
  const teacher = await startTeacher({
    answer,
    fault(_, reply, { prompt_logprobs: scored, top_logprobs: generated = 0 }) {
      if (((scored ?? generated) as number) <= recordedK) return false;
      reply.writeHead(400).end(JSON.stringify({ error: { message: refusal } }));
      return true;
    },
  });
  open.push(teacher);
  return teacher.url;
}

async function foundOf(answer: Answer) {
  const source = { type: 'vllm', url: await urlOf(answer), texts: [texts], tokenizer };
  return diagnose(buildConfig.parse({ source }).source as never);
}

type Changeable = { logprobs: Completion['choices'][0]['logprobs'] | null; token_ids: unknown };

const late: Answer = (body) => {
  const reply = structuredClone(vllmAnswer(body)) as { choices: { prompt_logprobs: unknown[] }[] };
  const [{ prompt_logprobs: rows }] = reply.choices;
  rows.splice(1, rows.length - 1, ...rows.slice(2), rows.at(-1));
  return reply;
};

async function foundOfAnswers(change: (choice: Changeable, body: object) => void) {
  const url = await urlOf((body, path) => {
    const reply = structuredClone(vllmGenerates(body, path)) as { choices: [Changeable] };
    change(reply.choices[0], body);
    return reply;
  });
  return diagnoseGenerator(generatorServer.parse({ type: 'vllm', url, tokenizer }));
}

describe('what is found of a server', () => {
  it('is the longest list that it does not refuse, and its words', async () => {
    const found = await foundOf(vllmAnswer);
    expect(found.top_k).toBe(8);
    expect(found.top_k_refusal).toContain(refusal);
  });

  it('is the entries that it gives, where it cuts lists without a word', async () => {
    const found = await foundOf((body) => {
      const reply = structuredClone(vllmAnswer(body)) as {
        choices: { prompt_logprobs: (Record<string, { rank: number }> | null)[] }[];
      };
      for (const row of reply.choices[0].prompt_logprobs) {
        for (const [id, { rank }] of Object.entries(row ?? {})) if (rank > 5) delete row![id];
      }
      return reply;
    });
    expect(found.top_k).toBe(5);
  });

  it('is that its rows are shifted, of a text of some length', async () => {
    await expect(foundOf(late)).rejects.toThrowError(coded('source-misaligned'));
  });

  it('is that its log-probs change with temperature', async () => {
    const { temperature_one, temperature_refusal } = await foundOfAnswers((choice, body) => {
      if ((body as { temperature: number }).temperature === 1) return;
      for (const token of choice.logprobs?.content ?? []) {
        for (const entry of [token, ...token.top_logprobs]) {
          Object.assign(entry, { logprob: entry.logprob / 2 - 2 });
        }
      }
    });
    expect(temperature_one).toBe(false);
    expect(temperature_refusal).toContain('not those at temperature 1');
  });

  it('is that it gives no lists, where only the first token has one', async () => {
    const { top_k, top_k_refusal } = await foundOfAnswers(({ logprobs }) => {
      logprobs?.content.splice(1);
    });
    expect(top_k).toBe(0);
    expect(top_k_refusal).toContain('token_ids');
  });
});
