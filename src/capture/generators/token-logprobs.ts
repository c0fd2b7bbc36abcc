/**
 * Log-probs as OpenAI's interface has them, and llama.cpp's after it: a list of
 * {token, bytes, logprob, top_logprobs}, the distribution that each token was drawn from.
 */
import type { JsonScanner } from '../../formats/json-scan.ts';
import { unsuitable } from '../servers/rows-builder.ts';
import type { IdOf } from '../token-bytes.ts';
import type { AnswerRows } from './answer-rows.ts';

/** How an entry says which token it is: vLLM's `token_id:7`, an `id`, or its bytes. */
export type Naming = { readonly by: 'token_id' | 'id' } | { readonly by: 'bytes'; idOf: IdOf };

const keys = ['token', 'id', 'bytes', 'logprob', 'top_logprobs'].map((key) => Buffer.from(key));

interface Entry {
  id: number;
  logprob: number;
  bytes: Uint8Array | undefined;
}

/**
 * Each token's list goes into `rows`; gives the bytes of tokens that are named by them. Special
 * tokens of no bytes are not told apart: as an entry one counts to the rest of its list, and behind
 * one that was drawn, which ends an answer, nothing may come.
 */
export function readTokenLogprobs(
  scanner: JsonScanner,
  naming: Naming,
  rows: AnswerRows,
): Uint8Array[] {
  const bytes: Uint8Array[] = [];
  let hasEnded = false;
  scanner.list((i) => {
    if (hasEnded) throw unsuitable(`token ${i - 1}`, 'its bytes', 'none');
    const entry = readEntry(scanner, naming, rows);
    hasEnded = entry.bytes?.length === 0;
    if (hasEnded) return rows.drop();
    rows.next(entry.id, entry.logprob);
    if (entry.bytes !== undefined) bytes.push(entry.bytes);
  });
  return bytes;
}

/** With `rows`, the list that belongs to it is read too. */
function readEntry(scanner: JsonScanner, naming: Naming, rows?: AnswerRows): Entry {
  let token = '';
  let id = Number.NaN;
  let bytes: Uint8Array | undefined;
  let logprob = Number.NaN;
  scanner.namedObject(keys, (key) => {
    if (key === 0) token = scanner.string();
    else if (key === 1) id = scanner.number();
    else if (key === 2 && naming.by === 'bytes') bytes = readBytes(scanner);
    else if (key === 3) logprob = scanner.number();
    else if (key === 4 && rows !== undefined) {
      if (scanner.isNull()) return;
      scanner.list(() => {
        const entry = readEntry(scanner, naming);
        if (entry.bytes?.length !== 0) rows.add(entry.id, entry.logprob);
      });
    } else scanner.skip();
  });
  if (naming.by === 'token_id') id = idOfToken(token);
  else if (naming.by === 'bytes') id = idOfBytes(naming.idOf, { token, bytes });
  return { id, logprob, bytes };
}

export function idOfToken(token: string): number {
  const id = /^token_id:(\d+)$/.exec(token)?.[1];
  if (id !== undefined) return Number(id);
  throw unsuitable('a token', 'token_id:N (return_tokens_as_token_ids)', JSON.stringify(token));
}

function readBytes(scanner: JsonScanner): Uint8Array | undefined {
  if (scanner.isNull()) return undefined;
  const bytes: number[] = [];
  scanner.list(() => bytes.push(scanner.number()));
  return Uint8Array.from(bytes);
}

interface Spelled {
  readonly token: string;
  readonly bytes: Uint8Array | undefined;
}

function idOfBytes(idOf: IdOf, { token, bytes }: Spelled): number {
  const name = `the token ${JSON.stringify(token)}`;
  if (bytes === undefined) throw unsuitable(name, 'its bytes', 'none');
  if (bytes.length === 0) return Number.NaN;
  const id = idOf(bytes);
  if (id !== undefined) return id;
  const got = `none or several: bytes ${[...bytes].join(' ')}`;
  throw unsuitable(name, 'one id of the tokenizer that has its bytes', got);
}
