/** Bodies of completions, read and checked; what asks for scores is not read a second time. */
import type { CompletionBody } from '../../../schemas/facade.ts';
import { sha256Hex } from '../../formats/canonical.ts';
import { createLru } from '../../store/lru.ts';
import type { CachedTeacher } from '../cached-teacher.ts';
import type { ServeContext } from '../context.ts';
import { asksForScores, type PromptRequest, promptRequest, teacherFor } from './prompt-request.ts';
import { completionOf } from './raw-body.ts';

/** What a teacher is to generate. */
export interface Generation {
  readonly teacher: CachedTeacher;
  readonly body: CompletionBody;
}

/** Of requests that are remembered: ids of tokens, keys and what holds them. */
const keptBytesMax = 8 * 1024 * 1024;
/** Of a request, and of each prompt beside its ids, about. */
const ownBytes = 400;

/** Errors: those of `completionOf`, `teacherFor` and `promptRequest`. */
export function createRequestReader(
  context: Pick<ServeContext, 'teachers' | 'config'>,
): (bytes: Buffer) => PromptRequest | Generation {
  const kept = createLru<PromptRequest>(keptBytesMax);
  return (bytes) => {
    const digest = sha256Hex(bytes);
    const known = kept.get(digest);
    if (known !== undefined) return known;
    const body = completionOf(bytes);
    const teacher = teacherFor(context, body);
    if (!asksForScores(body)) return { teacher, body };
    const asked = promptRequest(body, teacher, context.config);
    kept.set(digest, asked, costOf(asked));
    return asked;
  };
}

function costOf({ prompts }: PromptRequest): number {
  return prompts.reduce((sum, { tokens }) => sum + tokens.byteLength + ownBytes, ownBytes);
}
