/** A reply to POST /v1/completions in vLLM's shape, around the texts of its prompts' log-probs. */
import { randomUUID } from 'node:crypto';
import type { CachedTeacher } from '../cached-teacher.ts';
import type { Body } from '../replies.ts';
import { asciiJson } from './prompt-logprobs.ts';
import type { PromptRequest } from './prompt-request.ts';

/** Nothing is generated: `text` is empty or, with echo, the prompt's. */
export function completionReply(
  { served }: CachedTeacher,
  { prompts, echo, withIds }: PromptRequest,
  logprobs: readonly Buffer[],
): Body {
  const id = `cmpl-${randomUUID()}`;
  const created = Math.floor(Date.now() / 1000);
  const model = asciiJson(served.model);
  const pieces = prompts.flatMap((tokens, index) => {
    const text = echo ? asciiJson(served.tokenizer.decodeAll(tokens)) : '""';
    const before =
      `{"index":${index},"text":${text},"logprobs":null,"finish_reason":"length",` +
      `"stop_reason":null,"token_ids":${withIds ? '[]' : 'null'},"prompt_logprobs":`;
    const after =
      `,"prompt_token_ids":${withIds ? `[${tokens.join(',')}]` : 'null'},` +
      '"routed_experts":null}';
    return [Buffer.from(index === 0 ? before : `,${before}`), logprobs[index], Buffer.from(after)];
  });
  const count = prompts.reduce((sum, { length }) => sum + length, 0);
  const head = `{"id":"${id}","object":"text_completion","created":${created},"model":${model},`;
  const usage =
    `{"prompt_tokens":${count},"total_tokens":${count},"completion_tokens":0,` +
    '"prompt_tokens_details":null,"completion_tokens_details":null}';
  const tail =
    `],"service_tier":null,"system_fingerprint":null,"usage":${usage},` +
    '"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}';
  const all = [Buffer.from(`${head}"choices":[`), ...pieces, Buffer.from(tail)];
  return { pieces: all, bytes: all.reduce((sum, { length }) => sum + length, 0) };
}
