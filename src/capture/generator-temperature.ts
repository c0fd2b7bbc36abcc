/** Are the log-probs that come with an answer those before temperature and top-p? They must be. */
import { LogitcaskError } from '../errors.ts';
import type { Answer, Question } from './generators/generator.ts';

/** Lists this far apart on average are not the same: batches change the last bits of bf16. */
const agreementMax = 0.05;
/** Enough for a difference to show where the first entry has nearly all the mass. */
const entriesMin = 5;

type Ask = (question: Question) => Promise<Answer>;

/**
 * Mean difference of log-probs at the first token of an answer, whose distribution the prompt alone
 * decides, between these settings and temperature 1; and entries that the settings took away.
 */
async function samplingEffect(
  ask: Ask,
  question: Question,
): Promise<{ readonly difference: number; readonly missing: number }> {
  const { sampling, k } = question;
  const one = { ...question, k: Math.max(k, entriesMin) };
  const first = async (temperature: number, top_p: number) => {
    const own = { ...sampling, temperature, top_p, max_tokens: 1, stop: [] };
    const { lists } = await ask({ ...one, sampling: own });
    const to = lists?.offsets[1] ?? 0;
    return new Map(Array.from({ length: to }, (_, i) => [lists!.ids[i], lists!.logprobs[i]]));
  };
  const plain = await first(1, 1);
  const asked = await first(sampling.temperature, sampling.top_p);
  let sum = 0;
  let shared = 0;
  for (const [id, logprob] of plain) {
    const other = asked.get(id);
    if (other === undefined) continue;
    sum += Math.abs(other - logprob);
    shared++;
  }
  // one may lack: the last, whose place the token drawn took
  const missing = Math.max(0, plain.size - shared - 1);
  return { difference: shared === 0 ? Number.POSITIVE_INFINITY : sum / shared, missing };
}

/** Throws `teacher-unsuitable`: what was scaled or cut cannot be turned back from a top list. */
export async function checkTemperature(
  ask: Ask,
  question: Question,
  { server, hint }: { server: string; hint: string },
): Promise<void> {
  const effect = await samplingEffect(ask, question);
  if (effect.difference <= agreementMax && effect.missing === 0) return;
  const { temperature, top_p } = question.sampling;
  const message =
    `capture: log-probs of ${server} change by ${effect.difference.toPrecision(3)} with ` +
    `temperature ${temperature} and top_p ${top_p}: they are not those at ` +
    `temperature 1; ${hint}; or sample at temperature 1 and top_p 1`;
  throw new LogitcaskError('teacher-unsuitable', message, {
    expected: `a difference of at most ${agreementMax}`,
    got: effect.difference,
  });
}
