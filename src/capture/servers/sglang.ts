/**
 * SGLang: input log-probs of /generate, flat in base64 where the server knows that, otherwise
 * nested. Entry i predicts token i.
 */
import { createRowsBuilder, unsuitable } from './rows-builder.ts';
import type { ServerProtocol } from './server.ts';

type Entry = [number | null, number, string | null];

interface Meta {
  prompt_tokens?: number;
  input_token_logprobs?: Entry[];
  input_top_logprobs?: (Entry[] | null)[];
  input_top_logprobs_val_flat_b64?: string;
  input_top_logprobs_idx_flat_b64?: string;
  input_top_logprobs_shape?: [number, number];
  input_top_logprobs_null_prefix?: number;
}

export const sglang: ServerProtocol = {
  name: 'sglang',
  hint: 'start SGLang as usual: /generate with return_logprob needs no flag',
  async facts(get) {
    const info = (await get('/get_model_info')) as { model_path?: string };
    const server = (await get('/get_server_info')) as { version?: string; context_length?: number };
    if (info.model_path === undefined) {
      throw unsuitable('/get_model_info', 'model_path', JSON.stringify(info));
    }
    return {
      model: info.model_path,
      contextMax: server.context_length ?? undefined,
      version: `SGLang ${server.version ?? 'unknown'}`,
    };
  },
  request: (_, { tokens, k }) => ({
    path: '/generate',
    body: {
      input_ids: [...tokens],
      sampling_params: { max_new_tokens: 1, temperature: 0 },
      return_logprob: true,
      logprob_start_len: 0,
      top_logprobs_num: k,
      return_text_in_logprobs: false,
      return_flat_raw_top_logprobs: true,
      return_flat_raw_top_logprobs_b64: true,
    },
  }),
  parse(reply, asked) {
    const text = Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength).toString();
    const meta = (JSON.parse(text) as { meta_info?: Meta }).meta_info;
    const actual = meta?.input_token_logprobs;
    if (actual === undefined) throw unsuitable('the whole', 'input_token_logprobs', 'none');
    checkTokens(actual, asked.tokens);
    const entries = flatEntries(meta!) ?? nestedEntries(meta!);
    const builder = createRowsBuilder(asked);
    for (let i = 1; i < actual.length; i++) {
      builder.label(actual[i][0] ?? Number.NaN);
      entries(i, builder.add);
      builder.next();
    }
    return builder.finish();
  },
};

function checkTokens(actual: readonly Entry[], tokens: Int32Array): void {
  if (actual.length !== tokens.length) {
    throw unsuitable('input_token_logprobs', `${tokens.length} tokens`, actual.length);
  }
  const other = actual.findIndex(([, id], i) => id !== tokens[i]);
  if (other < 0) return;
  throw unsuitable(`token ${other}`, tokens[other], actual[other][1]);
}

type Entries = (i: number, add: (id: number, logprob: number) => void) => void;

export interface FlatLists {
  /** Rows that are held: those behind the ones that are null. */
  readonly count: number;
  /** Entries of row i, those that fill it up (id −1) as well. */
  row(i: number, add: (id: number, logprob: number) => void): void;
}

/** Lists in two flat arrays in base64: entry j of row i at (i − prefix) · k + j. */
export function flatLists(flat: {
  readonly values: string | undefined;
  readonly ids: string | undefined;
  readonly shape: [number, number] | undefined;
  /** Rows that are null: some versions count them in the shape, others do not. */
  readonly prefix: number;
}): FlatLists | undefined {
  const { values, ids, shape, prefix } = flat;
  if (values === undefined || ids === undefined || shape === undefined) return undefined;
  const [rows, k] = shape;
  const [val, idx] = [Buffer.from(values, 'base64'), Buffer.from(ids, 'base64')];
  const held = [rows, rows - prefix].find((count) => val.length === 4 * count * k);
  if (held === undefined || idx.length !== val.length) {
    throw unsuitable('the flat arrays', `${4 * rows * k} bytes`, `${val.length}, ${idx.length}`);
  }
  return {
    count: held,
    row(i, add) {
      const from = (i - prefix) * k;
      if (from < 0 || from + k > held * k) throw unsuitable(`row ${i}`, 'entries', 'none');
      for (let at = 4 * from; at < 4 * (from + k); at += 4) {
        add(idx.readInt32LE(at), val.readFloatLE(at));
      }
    },
  };
}

function flatEntries(meta: Meta): Entries | undefined {
  const flat = flatLists({
    values: meta.input_top_logprobs_val_flat_b64,
    ids: meta.input_top_logprobs_idx_flat_b64,
    shape: meta.input_top_logprobs_shape,
    prefix: meta.input_top_logprobs_null_prefix ?? 1,
  });
  if (flat === undefined) return undefined;
  return (i, add) =>
    flat.row(i, (id, logprob) => {
      if (id >= 0) add(id, logprob);
    });
}

function nestedEntries({ input_top_logprobs: rows }: Meta): Entries {
  if (rows === undefined) throw unsuitable('the whole', 'input_top_logprobs', 'none');
  return (i, add) => {
    const row = rows[i];
    if (row === null || row === undefined) throw unsuitable(`row ${i}`, 'entries', 'none');
    for (const [logprob, id] of row) add(id, logprob ?? Number.NaN);
  };
}
