/**
 * A vLLM that replays: rows as they were recorded, with the token that was sent as the most likely
 * one, at a given pace. A process of its own, so that it can be killed.
 *
 * usage: capture-server.js PORT POSITIONS_A_SECOND [JOURNAL]; prints its address
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { sequenceKey } from '../src/capture/scored.ts';

const fixture = 'test/golden/servers/vllm-completions-prompt-logprobs.json.gz';

interface Entry {
  logprob: number;
  rank: number;
  decoded_token: string;
}

interface Choice {
  prompt_logprobs: (Record<string, Entry> | null)[];
}

interface Template {
  /** Ids of ranks 2 to k, and their text. */
  readonly ids: ReadonlySet<number>;
  readonly text: string;
  /** Of rank 1. */
  readonly first: string;
}

const { response } = JSON.parse(gunzipSync(readFileSync(fixture)).toString());
const recorded = (response.choices as Choice[]).flatMap(({ prompt_logprobs }) =>
  prompt_logprobs.filter((row) => row !== null),
);
const byK = new Map<number, readonly Template[]>();

/** Recorded rows, cut to k entries, or made longer by unlikely ones. */
function templates(k: number): readonly Template[] {
  const known = byK.get(k);
  if (known !== undefined) return known;
  const made = recorded.map((row, r): Template => {
    const entries = Object.entries(row)
      .map(([id, entry]) => ({ id: Number(id), ...entry }))
      .filter(({ rank }) => rank <= k)
      .sort((a, b) => a.rank - b.rank);
    for (let id = 5 + ((29 * r) % 127); entries.length < k; id += 127) {
      if (entries.some((entry) => entry.id === id)) continue;
      const rank = entries.length + 1;
      entries.push({ id, logprob: -11.05312347412109 - rank / 64, rank, decoded_token: ' word' });
    }
    const [first, ...others] = entries;
    const textOf = ({ id, ...entry }: (typeof entries)[number]) =>
      `,"${id}":${JSON.stringify(entry)}`;
    return {
      ids: new Set(others.map(({ id }) => id)),
      text: others.map(textOf).join(''),
      first: JSON.stringify({ logprob: first.logprob, rank: 1, decoded_token: 'x' }),
    };
  });
  byK.set(k, made);
  return made;
}

/** Hangs on nothing but the tokens up to each position. */
function answer(tokens: readonly number[], k: number): Buffer {
  const all = templates(k);
  const rows = ['null'];
  for (let i = 1; i < tokens.length; i++) {
    let at = (31 * i + 7 * tokens[i - 1]) % all.length;
    while (all[at].ids.has(tokens[i])) at = (at + 1) % all.length;
    rows.push(`{"${tokens[i]}":${all[at].first}${all[at].text}}`);
  }
  return Buffer.from(
    `{"object":"text_completion","model":"small-lm","choices":[{"index":0,"text":".",` +
      `"prompt_logprobs":[${rows}],"prompt_token_ids":[${tokens}],"finish_reason":"length"}]}`,
  );
}

const facts: Record<string, unknown> = {
  '/v1/models': { data: [{ id: 'small-lm', max_model_len: 4096 }] },
  '/version': { version: '0.32.0' },
};

function start(port: number, rate: number, journal: number | undefined): void {
  /** Until when what was asked keeps the server busy. */
  let busyMs = 0;
  const seen = { positions: 0, firstMs: 0, lastMs: 0 };
  const score = async (request: IncomingMessage, reply: ServerResponse) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const { prompt, prompt_logprobs: k } = JSON.parse(Buffer.concat(pieces).toString());
    const now = performance.now();
    if (journal !== undefined) writeSync(journal, `${sequenceKey(Int32Array.from(prompt))}\n`);
    seen.firstMs ||= now;
    busyMs = Math.max(now, busyMs) + (1000 * prompt.length) / rate;
    const body = answer(prompt, k);
    await wait(busyMs - performance.now());
    reply.setHeader('content-type', 'application/json').end(body);
    seen.positions += prompt.length;
    seen.lastMs = performance.now();
  };
  const server = createServer((request, reply) => {
    if (request.method === 'POST') return score(request, reply).catch(() => reply.destroy());
    const seconds = (seen.lastMs - seen.firstMs) / 1000;
    const stats = { positions: seen.positions, seconds };
    reply.end(JSON.stringify(request.url === '/stats' ? stats : (facts[request.url ?? ''] ?? {})));
  });
  server.listen(port, '127.0.0.1', () => {
    console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
}

const [port, rate, journal] = process.argv.slice(2);
start(Number(port), Number(rate), journal === undefined ? undefined : openSync(journal, 'a'));
