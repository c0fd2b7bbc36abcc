/** What clients of vLLM send and read, as far as it is looked at here; all else passes. */
import { z } from 'zod';
import { tokenId } from './score.ts';

/** Body of POST /v1/completions and /v1/chat/completions. */
export const completionBody = z.looseObject({
  model: z.string().nullish(),
  /** Of completions: text, texts, ids, or lists of ids; checked where they are used. */
  prompt: z.unknown(),
  /** Entries a position of the prompt; absent: text is to be generated. */
  prompt_logprobs: z.int().nullish(),
  max_tokens: z.int().nullish(),
  n: z.int().nullish(),
  temperature: z.number().min(0).nullish(),
  echo: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  return_token_ids: z.boolean().nullish(),
});

const ids = z.array(tokenId).nullish();

/** What a teacher generated, where it says of which ids: with `return_token_ids`. */
export const generationReply = z.looseObject({
  /** Of a chat. */
  prompt_token_ids: ids,
  choices: z.array(z.looseObject({ prompt_token_ids: ids, token_ids: ids })),
});

export const modelsReply = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      id: z.string(),
      object: z.literal('model'),
      created: z.int(),
      owned_by: z.string(),
      root: z.string(),
      parent: z.null(),
      max_model_len: z.int().nullable(),
    }),
  ),
});

export type CompletionBody = z.infer<typeof completionBody>;
