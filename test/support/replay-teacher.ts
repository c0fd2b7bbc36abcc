/** A server that answers with recorded replies: of a recorded prompt, and of any prefix of one. */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

const folder = 'test/golden/servers';

export interface Recorded {
  readonly request: { path: string; body: Record<string, unknown> };
  readonly response: Record<string, never>;
}

export function recorded(name: string): Recorded {
  return JSON.parse(gunzipSync(readFileSync(`${folder}/${name}.json.gz`)).toString());
}

type Row = Record<string, { logprob: number; rank: number; decoded_token: string }> | null;
interface Choice {
  prompt_logprobs: Row[];
  prompt_token_ids: number[];
  [key: string]: unknown;
}

const { response } = recorded('vllm-completions-prompt-logprobs');
const choices = (response as unknown as { choices: Choice[] }).choices;
/** The recorded prompts, token ids. */
export const prompts: readonly number[][] = choices.map((choice) => choice.prompt_token_ids);
/** Entries of a recorded row, the actual token left out where it is not among them. */
export const recordedK = 16;

/** Recorded rows of a prompt whose tokens but the last are those of a recorded one. */
function rowsOf(tokens: readonly number[]): Row[] {
  const found = choices.find((choice) =>
    tokens.slice(0, -1).every((id, i) => choice.prompt_token_ids[i] === id),
  );
  if (found === undefined) throw new Error('a prompt that was not recorded');
  return found.prompt_logprobs.slice(0, tokens.length);
}

export type Answer = (body: { [key: string]: never }, path?: string) => unknown | Promise<unknown>;

export const vllmAnswer: Answer = ({ prompt, return_token_ids }) => ({
  ...response,
  choices: [
    {
      ...choices[0],
      prompt_logprobs: rowsOf(prompt),
      prompt_token_ids: return_token_ids ? prompt : null,
    },
  ],
});

/** The same numbers in SGLang's shape, flat or nested. */
export const sglangAnswer =
  (form: 'flat' | 'nested'): Answer =>
  ({ input_ids, top_logprobs_num: k }) => {
    const tokens = input_ids as number[];
    const rows = rowsOf(tokens);
    const entries = rows.map((row) =>
      row === null
        ? null
        : Object.entries(row)
            .filter(([, { rank }]) => rank <= (k as number))
            .sort(([, a], [, b]) => a.rank - b.rank)
            .map(([id, { logprob }]) => [logprob, Number(id), null] as const),
    );
    const actual = tokens.map((id, i) => [rows[i]?.[String(id)]?.logprob ?? null, id, null]);
    const flat = entries.slice(1).flatMap((row) => row!);
    const values = Float32Array.from(flat, ([logprob]) => logprob);
    const ids = Int32Array.from(flat, ([, id]) => id);
    const base64 = (array: ArrayBufferView) =>
      Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64');
    return {
      text: '',
      meta_info: {
        prompt_tokens: tokens.length,
        input_token_logprobs: actual,
        ...(form === 'nested'
          ? { input_top_logprobs: entries }
          : {
              input_top_logprobs_val_flat_b64: base64(values),
              input_top_logprobs_idx_flat_b64: base64(ids),
              input_top_logprobs_shape: [tokens.length - 1, k],
              input_top_logprobs_null_prefix: 1,
            }),
      },
    };
  };

export interface Teacher {
  readonly url: string;
  /** Bodies of the scoring requests, in the order in which they came. */
  readonly asked: Record<string, unknown>[];
  close(): Promise<void>;
}

export interface TeacherOptions {
  readonly answer: Answer;
  /** May answer in the place of the teacher: true where it did. */
  readonly fault?: (
    request: number,
    response: ServerResponse,
    body: Record<string, unknown>,
  ) => boolean;
}

const facts: Record<string, unknown> = {
  '/v1/models': { data: [{ id: 'small-lm', max_model_len: 256, meta: { n_vocab: 8192 } }] },
  '/version': { version: '0.32.0' },
  '/get_model_info': { model_path: 'small-lm' },
  '/get_server_info': { version: '0.5.23', context_length: 256 },
  '/props': {
    build_info: 'b11434',
    default_generation_settings: { n_ctx: 256 },
  },
};

export async function startTeacher({ answer, fault }: TeacherOptions): Promise<Teacher> {
  const asked: Record<string, unknown>[] = [];
  const server = createServer(async (request: IncomingMessage, reply: ServerResponse) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const json = (value: unknown) =>
      reply.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    if (request.method === 'GET') return json(facts[request.url ?? ''] ?? {});
    const body = JSON.parse(Buffer.concat(pieces).toString());
    asked.push(body);
    if (fault?.(asked.length, reply, body)) return;
    json(await answer(body, request.url ?? ''));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
