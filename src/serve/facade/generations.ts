/** What teachers generated becomes sequences of their caches: scored behind the scenes, once. */
import { type CompletionBody, generationReply } from '../../../schemas/facade.ts';
import type { CachedTeacher, ScoreNote } from '../cached-teacher.ts';

/** Sequences that wait to be scored; more are not recorded. */
const waitingMax = 1024;
/** Scored at a time, over all teachers. */
const scoredAtOnce = 4;

export interface Generations {
  /** Never waits and never fails: a generation is a client's, its record is ours. */
  record(teacher: CachedTeacher, made: { request: CompletionBody; reply: Uint8Array }): void;
  /** Forgets what waits. */
  close(): void;
}

interface Waiting extends Sequence {
  readonly teacher: CachedTeacher;
}

export function createGenerations(): Generations {
  let waiting: Waiting[] = [];
  let running = 0;
  const begin = () => {
    while (running < scoredAtOnce) {
      const next = waiting.shift();
      if (next === undefined) return;
      running++;
      const { teacher, tokens, note } = next;
      teacher
        .score(tokens, createGenerations, note)
        .catch(() => {}) // counted among the errors of the cache
        .finally(() => {
          running--;
          begin();
        });
    }
  };
  return {
    record(teacher, { request, reply }) {
      for (const sequence of sequencesOf(reply, teacher)) {
        if (waiting.length >= waitingMax) return;
        const note = { ...sequence.note, meta: metaOf(request) };
        waiting.push({ teacher, tokens: sequence.tokens, note });
      }
      begin();
    },
    close() {
      waiting = [];
    },
  };
}

export interface Sequence {
  readonly tokens: Int32Array;
  readonly note: ScoreNote;
}

/** Prompt and answer of each choice, as far as the reply has the ids of both. */
export function sequencesOf(
  reply: Uint8Array,
  { contextMax = Number.POSITIVE_INFINITY }: Pick<CachedTeacher, 'contextMax'>,
): Sequence[] {
  const parsed = generationReply.safeParse(jsonOf(reply));
  if (!parsed.success) return [];
  return parsed.data.choices.flatMap(({ prompt_token_ids, token_ids }) => {
    const prompt = prompt_token_ids ?? parsed.data.prompt_token_ids ?? [];
    const made = token_ids ?? [];
    if (prompt.length === 0 || made.length === 0) return [];
    // scoring takes room for one token more
    const tokens = Int32Array.from([...prompt, ...made].slice(0, contextMax - 1));
    return tokens.length > prompt.length
      ? [{ tokens, note: { learnedFrom: prompt.length - 1 } }]
      : [];
  });
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}

/** How it was made, as the request says. */
function metaOf(request: CompletionBody): Record<string, unknown> {
  const names = ['model', 'temperature', 'top_p', 'top_k', 'seed', 'max_tokens'];
  const given = names.flatMap((name) => (request[name] == null ? [] : [[name, request[name]]]));
  return { generated: Object.fromEntries(given) };
}
