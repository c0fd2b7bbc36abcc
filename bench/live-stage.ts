/** A server with a cache in front of the teacher of live-teacher.ts, each in its own process. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { cli, type Listening, listen } from './process.ts';

export const tokenizerFile = new URL('../../bench/data/small-lm/tokenizer.json', import.meta.url)
  .pathname;
const teacherScript = new URL('./live-teacher.js', import.meta.url).pathname;

/** `pace`: tokens a second, 0 for no wait. */
export function startTeacher(pace: number, port = 0): Promise<Listening> {
  return listen(process.execPath, [teacherScript, String(port), String(pace)]);
}

export interface CacheOptions {
  readonly folder: string;
  readonly teacher: string;
  readonly k: number;
  readonly cache?: object;
  readonly port?: number;
}

export function startCache({ folder, teacher, k, cache, port }: CacheOptions): Promise<Listening> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'serve.json');
  const config = {
    store: join(folder, 'store'),
    port: port ?? 0,
    teachers: { teacher: { type: 'vllm', url: teacher, tokenizer: tokenizerFile, top_k: k } },
    cache: cache ?? {},
    limits: { requests_per_minute_max: 100_000_000, connections_max: 2048 },
  };
  writeFileSync(file, JSON.stringify(config));
  return listen(process.execPath, [cli, 'serve', '--config', file]);
}

/** As TRL sends it; one prompt, or several. */
export function scoring(prompt: readonly (number | readonly number[])[], k: number): string {
  const body = { model: 'small-lm', max_tokens: 1, temperature: 1, prompt_logprobs: k };
  return JSON.stringify({ ...body, prompt });
}

const agent = new Agent({ keepAlive: true, maxSockets: 2048 });

/** Posts JSON; the body of the answer. Throws where the status is not 200. */
export function post(url: string, body: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const sent = request(url, { method: 'POST', agent, headers }, (reply) => {
      const pieces: Buffer[] = [];
      reply.on('data', (piece) => pieces.push(piece));
      reply.on('error', reject);
      reply.on('close', () => reject(new Error('the answer was cut off')));
      reply.on('end', () => {
        const bytes = Buffer.concat(pieces);
        if (reply.statusCode === 200) resolve(bytes);
        else reject(new Error(`${url} answered ${reply.statusCode}: ${bytes.subarray(0, 200)}`));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Distinct sequences that no other of another seed begins with. */
export function sequenceOf(seed: number, length: number): number[] {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % 8192;
  });
}
