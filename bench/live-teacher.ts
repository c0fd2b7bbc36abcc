/**
 * A teacher in a process of its own that answers like vLLM: recorded replies for recorded prompts,
 * otherwise lists that hang on the token before them. Usage: live-teacher.js PORT TOKENS_A_SECOND
 * (0: at once). One request at a time, as one accelerator; GET /asked counts what was scored.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';

export interface RecordedChoice {
  readonly prompt_token_ids: number[];
  readonly prompt_logprobs: unknown[];
}

export const recordedK = 16;

/** Choices of a recorded reply of vLLM. */
export function recordedChoices(): RecordedChoice[] {
  const file = new URL('../../test/golden/servers/', import.meta.url);
  const name = new URL('vllm-completions-prompt-logprobs.json.gz', file);
  return JSON.parse(gunzipSync(readFileSync(name)).toString()).response.choices;
}

const width = 8192;

/** The actual token first, then others that are the same whatever follows. */
export function rowText(before: number, actual: number, k: number): string {
  const noise = ((before * 7919) % 997) / 9970;
  const entry = (id: number, logprob: number, rank: number) =>
    `"${id}":{"logprob":${Math.fround(logprob)},"rank":${rank},"decoded_token":" word"}`;
  const entries = [entry(actual, -1.2, 1)];
  for (let j = 1; entries.length < k; j++) {
    const id = (before * 131 + j * 97) % width;
    if (id !== actual) entries.push(entry(id, -3 - 0.2 * j - noise, entries.length + 1));
  }
  return `{${entries.join(',')}}`;
}

interface Choice {
  readonly tokens: readonly number[];
  readonly index: number;
  readonly k: number;
  readonly known: ReadonlyMap<string, string>;
}

function choiceText({ tokens, index, k, known }: Choice): string {
  const ids = tokens.join();
  const rows =
    known.get(ids) ?? `[null,${tokens.slice(1).map((id, t) => rowText(tokens[t], id, k))}]`;
  return (
    `{"index":${index},"text":"","logprobs":null,"finish_reason":"length",` +
    `"prompt_logprobs":${rows},` +
    `"prompt_token_ids":[${ids}]}`
  );
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

function main(port: number, pace: number): void {
  const known = new Map(
    recordedChoices().map((choice) => [
      choice.prompt_token_ids.join(),
      JSON.stringify(choice.prompt_logprobs),
    ]),
  );
  const asked = new Map<string, number>();
  const facts: Record<string, () => unknown> = {
    '/v1/models': () => ({ data: [{ id: 'small-lm', max_model_len: 4096 }] }),
    '/version': () => ({ version: '0.32.0' }),
    '/asked': () => [...asked],
  };
  let free = 0;
  const server = createServer(async (request, reply) => {
    reply.setHeader('content-type', 'application/json');
    if (request.method === 'GET') return reply.end(JSON.stringify(facts[request.url ?? '']?.()));
    const { prompt, prompt_logprobs: k } = JSON.parse(await bodyOf(request));
    const prompts: number[][] = typeof prompt[0] === 'number' ? [prompt] : prompt;
    for (const one of prompts) asked.set(one.join(), (asked.get(one.join()) ?? 0) + 1);
    const choices = prompts.map((tokens, index) => choiceText({ tokens, index, k, known }));
    const text = `{"choices":[${choices}]}`;
    if (pace > 0) {
      const now = performance.now();
      free = Math.max(free, now) + (1000 * prompts.flat().length) / pace;
      await wait(free - now);
    }
    reply.end(text);
  });
  server.listen(port, '127.0.0.1', () =>
    console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
  );
}

if (process.argv[1]?.endsWith('live-teacher.js')) {
  main(Number(process.argv[2]), Number(process.argv[3]));
}
