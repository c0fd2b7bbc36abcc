/**
 * vLLM: prompt log-probs of /v1/completions. A row is an object keyed by ids, and row i predicts
 * token i; the actual token comes along where it is not among the top k.
 */
import type { ListRows } from '../../distribution/rows.ts';
import { JsonScanner } from '../../formats/json-scan.ts';
import { createRowsBuilder, unsuitable } from './rows-builder.ts';
import type { Asked, ScoreRequest, ServerProtocol } from './server.ts';

interface Models {
  data?: { id?: string; max_model_len?: number; root?: string }[];
}

const entryKeys = ['logprob', 'rank'].map((key) => Buffer.from(key));

export const vllm: ServerProtocol = {
  name: 'vllm',
  hint: 'start vLLM with --max-logprobs of at least k (-1 for no limit)',
  async facts(get) {
    const { data } = (await get('/v1/models')) as Models;
    const model = data?.[0];
    if (model?.id === undefined) throw unsuitable('/v1/models', 'a model', JSON.stringify(data));
    const { version = 'unknown' } = (await get('/version')) as { version?: string };
    return { model: model.id, contextMax: model.max_model_len, version: `vLLM ${version}` };
  },
  request: (model, { tokens, k }) => scoring(model, [...tokens], k),
  parse: (reply, asked) => readChoices(reply, [asked])[0],
  several: {
    request: (model, { sequences, k }) =>
      scoring(
        model,
        sequences.map((tokens) => [...tokens]),
        k,
      ),
    parse: readChoices,
  },
};

function scoring(model: string, prompt: number[] | number[][], k: number): ScoreRequest {
  const how = { max_tokens: 1, temperature: 0, prompt_logprobs: k, return_token_ids: true };
  return { path: '/v1/completions', body: { model, prompt, ...how } };
}

/** Choice i is of prompt i. */
function readChoices(reply: Uint8Array, asked: readonly Asked[]): ListRows[] {
  const scanner = new JsonScanner(reply);
  const found: ListRows[] = [];
  scanner.object((key) => {
    if (key !== 'choices') return scanner.skip();
    scanner.list((index) => {
      if (index < asked.length) found.push(readChoice(scanner, asked[index], index));
      else scanner.skip();
    });
  });
  if (found.length === asked.length) return found;
  throw unsuitable('the whole', `prompt_logprobs of ${asked.length}`, found.length || 'none');
}

function readChoice(scanner: JsonScanner, asked: Asked, index: number): ListRows {
  let rows: ListRows | undefined;
  scanner.object((part) => {
    const isThere = !scanner.isNull();
    if (!isThere) return;
    if (part === 'prompt_logprobs') rows = readRows(scanner, asked);
    else if (part === 'prompt_token_ids') {
      if (readsBack(scanner, asked.tokens)) return;
      throw unsuitable('prompt_token_ids', 'the tokens that were sent', 'others');
    } else if (part === 'index') {
      const place = scanner.number();
      if (place !== index) throw unsuitable(`choices[${index}]`, `index ${index}`, place);
    } else scanner.skip();
  });
  if (rows === undefined) throw unsuitable('the whole', 'prompt_logprobs', 'none');
  return rows;
}

function readsBack(scanner: JsonScanner, tokens: Int32Array): boolean {
  let isSame = true;
  let count = 0;
  scanner.list((i) => {
    const id = scanner.number();
    isSame &&= id === tokens[i];
    count = i + 1;
  });
  return isSame && count === tokens.length;
}

/** Row i holds what precedes token i: position i − 1. */
function readRows(scanner: JsonScanner, asked: Asked) {
  const { tokens, k } = asked;
  const builder = createRowsBuilder(asked);
  scanner.list((i) => {
    if (scanner.isNull()) {
      if (i > 0) throw unsuitable(`prompt_logprobs[${i}]`, 'a row', 'null');
      return;
    }
    if (i === 0) throw unsuitable('prompt_logprobs[0]', 'null: nothing precedes it', 'a row');
    scanner.numberedObject((id) => {
      let logprob = Number.NaN;
      let rank = Number.NaN;
      scanner.namedObject(entryKeys, (key) => {
        if (key === 0) logprob = scanner.number();
        else if (key === 1) rank = scanner.number();
        else scanner.skip();
      });
      if (!(rank >= 1)) throw unsuitable(`prompt_logprobs[${i}]`, 'ranks from 1 on', rank);
      if (id === tokens[i]) builder.label(logprob);
      if (rank <= k) builder.add(id, logprob);
    });
    builder.next();
  });
  return builder.finish();
}
