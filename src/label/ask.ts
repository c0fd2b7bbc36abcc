/** Asks the teacher what the log does not answer yet, several questions at a time. */
import type { Answer, Generator } from '../capture/generators/generator.ts';
import type { Window } from '../capture/in-order.ts';
import { LogitcaskError } from '../errors.ts';
import type { Answers } from './answers.ts';
import type { Asked } from './question.ts';

export interface AskOptions {
  readonly generator: Generator;
  readonly answers: Answers;
  readonly signal?: AbortSignal;
  /** What becomes of prompts that the server refuses for what they are. */
  readonly refused: 'stop' | 'drop';
  /** Called with each answer that is durable now. */
  readonly onAnswer: (answer: Answer) => void;
  /** Called with each question that had its answer. */
  readonly onKnown: () => void;
}

/** What was answered before an error is kept. Errors: those of the teacher, `interrupted`. */
export async function askAll(questions: AsyncIterable<Asked>, options: AskOptions): Promise<void> {
  const { generator, answers, signal, refused, onAnswer, onKnown } = options;
  const underWay = new Set<string>();
  const ask = async ({ question, key }: Asked) => {
    const name = key.toString('hex');
    underWay.add(name);
    try {
      const answer = checked(await generator.ask(question), question.k);
      await answers.add(key, answer);
      onAnswer(answer);
    } catch (error) {
      if (refused === 'stop' || !isOfPrompt(error)) throw error;
      answers.refuse(key);
      onKnown();
    } finally {
      underWay.delete(name);
    }
  };
  const open = async function* () {
    for await (const asked of questions) {
      if (signal?.aborted) throw stopped();
      // equal prompts, where duplicates are kept, are one question
      if (answers.has(asked.key) || underWay.has(asked.key.toString('hex'))) onKnown();
      else yield asked;
    }
  };
  await inAnyOrder(open(), ask, generator.window);
}

/** Begins `work` on the next item whenever one ends; after an error what has begun is awaited. */
export async function inAnyOrder<T>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<void>,
  window: Pick<Window, 'limit'>,
): Promise<void> {
  const begun = new Set<Promise<void>>();
  let failed: { error: unknown } | undefined;
  const room = async (most: number) => {
    while (begun.size > most) await Promise.race(begun);
  };
  try {
    for await (const item of items) {
      const one = work(item)
        .catch((error) => {
          failed ??= { error };
        })
        .finally(() => begun.delete(one));
      begun.add(one);
      await room(window.limit - 1);
      if (failed !== undefined) break;
    }
  } finally {
    await room(0);
  }
  if (failed !== undefined) throw failed.error;
}

/** Statuses that speak of this one request: other prompts may be answered. */
const ofPrompt = new Set<unknown>([400, 413, 422]);

function isOfPrompt(error: unknown): boolean {
  return (
    error instanceof LogitcaskError && error.code === 'teacher-refused' && ofPrompt.has(error.got)
  );
}

function checked(answer: Answer, k: number): Answer {
  if (k === 0 || (answer.tokens !== undefined && answer.lists !== undefined)) return answer;
  const message =
    'label: the teacher gives no log-probs for what it generates; set top_k to 0 (--top-k 0) for ' +
    'hard labels alone';
  throw new LogitcaskError('teacher-unsuitable', message, {
    expected: `lists of ${k}`,
    got: 'none',
  });
}

function stopped(): LogitcaskError {
  const message = 'label: stopped; answers are kept, run it again to go on behind them';
  return new LogitcaskError('interrupted', message);
}
