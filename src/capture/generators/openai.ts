/**
 * Any server with OpenAI's chat interface. It gives no ids: tokens are told by their bytes, and by
 * the tokenizer of the teacher.
 */
import { unsuitable } from '../servers/rows-builder.ts';
import { createAnswerRows } from './answer-rows.ts';
import type { GeneratorProtocol } from './generator.ts';
import { readReply, toAnswer } from './openai-reply.ts';
import { readTokenLogprobs } from './token-logprobs.ts';

export const openai: GeneratorProtocol = {
  name: 'openai',
  hint:
    'ask for no log-probs (k = 0, hard labels), or serve the model with one that gives them at ' +
    'temperature 1, as vLLM, SGLang or llama.cpp',
  kMax: 20,
  givesIds: false,
  takes: ['messages'],
  async facts(get, named) {
    // hosts that have many models, or load them when asked, need not list them
    if (named !== undefined) return { model: named, version: 'OpenAI-compatible server' };
    const { data } = (await get('/v1/models')) as { data?: { id?: string; owned_by?: string }[] };
    const model = data?.[0];
    if (model?.id === undefined) {
      throw unsuitable('/v1/models', 'a model, or one named (--model)', JSON.stringify(data));
    }
    const { owned_by: owner } = model;
    return { model: model.id, version: `OpenAI-compatible server${owner ? ` of ${owner}` : ''}` };
  },
  request(model, { prompt, sampling, seed, k }) {
    const { messages } = prompt as { messages: readonly object[] };
    const { stop, ...rest } = sampling;
    const stops = stop.length > 0 ? { stop } : {};
    const lists = k > 0 ? { logprobs: true, top_logprobs: k } : {};
    const body = { model, messages, ...rest, ...stops, seed, ...lists };
    return { path: '/v1/chat/completions', body };
  },
  parse(reply, { k }, { width, idOf }) {
    const rows = createAnswerRows({ k, width });
    let bytes: Uint8Array[] | undefined;
    const parts = readReply(reply, (scanner) => {
      scanner.object((key) => {
        if (key !== 'content' || k === 0) scanner.skip();
        else if (!scanner.isNull()) bytes = readTokenLogprobs(scanner, { by: 'bytes', idOf }, rows);
      });
    });
    if (k === 0) return toAnswer(parts);
    if (bytes === undefined || (bytes.length === 0 && parts.text !== '')) {
      throw unsuitable('the whole', 'logprobs of the tokens', 'none');
    }
    checkText(parts.text, bytes);
    return toAnswer({ ...parts, ...rows.finish() });
  },
};

/** Tokens whose bytes lack their spaces, as some servers give them, would be taken for others. */
function checkText(text: string, bytes: readonly Uint8Array[]): void {
  const said = text.replace(/\uFFFD+$/, '');
  if (Buffer.concat(bytes).includes(said)) return;
  const got = JSON.stringify(Buffer.concat(bytes).toString().slice(0, 80));
  throw unsuitable('bytes of the tokens', `the text ${JSON.stringify(said.slice(0, 80))}`, got);
}
