/** A reply to POST /v1/completions in vLLM's shape, around the texts of its prompts' log-probs. */
import { randomUUID } from 'node:crypto';
import type { Body } from '../replies.ts';
import { asciiJson } from './prompt-logprobs.ts';
import type { PromptRequest } from './prompt-request.ts';

/** Nothing is generated: `text` is empty or, with echo, the prompt's. */
export function completionReply(
  { teacher: { served }, prompts, echo, withIds }: PromptRequest,
  logprobs: readonly Buffer[],
): Body {
  const id = `cmpl-${randomUUID()}`;
  const created = Math.floor(Date.now() / 1000);
  const model = asciiJson(served.model);
  const head = `{"id":"${id}","object":"text_completion","created":${created},"model":${model},`;
  const pieces: Buffer[] = [];
  let before = `${head}"choices":[`;
  for (const [index, { tokens }] of prompts.entries()) {
    const text = echo ? asciiJson(served.tokenizer.decodeAll(tokens)) : '""';
    before +=
      `{"index":${index},"text":${text},"logprobs":null,"finish_reason":"length",` +
      `"stop_reason":null,"token_ids":${withIds ? '[]' : 'null'},"prompt_logprobs":`;
    pieces.push(Buffer.from(before), logprobs[index]);
    const ids = withIds ? `[${tokens.join(',')}]` : 'null';
    const separator = index + 1 < prompts.length ? ',' : '';
    before = `,"prompt_token_ids":${ids},"routed_experts":null}${separator}`;
  }
  const count = prompts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const usage =
    `{"prompt_tokens":${count},"total_tokens":${count},"completion_tokens":0,` +
    '"prompt_tokens_details":null,"completion_tokens_details":null}';
  const tail =
    `],"service_tier":null,"system_fingerprint":null,"usage":${usage},` +
    '"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}';
  pieces.push(Buffer.from(before + tail));
  return { pieces, bytes: pieces.reduce((sum, { length }) => sum + length, 0) };
}
