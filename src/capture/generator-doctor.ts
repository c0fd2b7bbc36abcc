/** What a server gives with its answers, found by asking it. */
import type { GeneratorServerConfig } from '../../schemas/teacher-server.ts';
import { asLogitcaskError } from '../errors.ts';
import { openGenerator } from './generator-source.ts';
import type { Answer, Generator, Prompt, Question } from './generators/generator.ts';
import { generators } from './generators/table.ts';
import { readInput } from './input-file.ts';
import { openTokenizer } from './tokenizer.ts';

/** Lists that are asked for, the longest first. */
const longest = [1024, 256, 128, 64, 32, 20, 8, 5, 1];
const speedRequests = 4;
const speedTokens = 8;
/** Of lists that are asked for to see more than their length. */
const entriesMax = 20;

/** Of the King James Version, public domain. */
const text = 'In the beginning God created the heaven and the earth. And the earth was without';

export interface GenerationDiagnosis {
  readonly version: string;
  readonly model: string;
  readonly context: number | null;
  /** Takes conversations, by its own template or the declared one; or what it says instead. */
  readonly chat: boolean;
  readonly chat_refusal: string | null;
  /** Longest lists at generated tokens, 0 where it gives none, and what it said of longer ones. */
  readonly top_k: number;
  readonly top_k_refusal: string | null;
  /** Who tells the ids of generated tokens, and whether those of the prompt are known. */
  readonly ids: 'server' | 'tokenizer' | 'none';
  readonly prompt_ids: boolean;
  /** Are log-probs at temperature 2 those at temperature 1, as they must be? Null: not known. */
  readonly temperature_one: boolean | null;
  readonly temperature_refusal: string | null;
  readonly tokens_per_second: number;
}

/** Errors: those of `openGenerator`, and what the server says where it answers nothing. */
export async function diagnoseGenerator(
  config: GeneratorServerConfig,
): Promise<GenerationDiagnosis> {
  const { tokenizer: file } = config;
  const tokenizer = file === undefined ? undefined : openTokenizer(await readInput(file), file);
  const generator = await openGenerator(config, tokenizer);
  const { prompt, refusal: chatRefusal } = await promptOf(generator);
  const question = (k: number, max_tokens: number, temperature = 1): Question => ({
    prompt,
    sampling: { temperature, top_p: 1, max_tokens, stop: [] },
    seed: 1,
    k,
  });
  const found = await lists((k, n) => generator.ask(question(k, n)), config.type);
  const k = Math.min(found.k, entriesMax);
  const hot = k === 0 ? undefined : await settled(generator.ask(question(k, 1, 2)));
  const started = performance.now();
  const asked = Math.min(speedRequests, config.concurrency);
  const answers = await Promise.all(
    Array.from({ length: asked }, () => generator.ask(question(k, speedTokens))),
  );
  const seconds = (performance.now() - started) / 1000;
  const [{ tokens, promptTokens }] = answers;
  const byServer = generators[config.type].givesIds;
  return {
    version: generator.facts.version,
    model: generator.facts.model,
    context: generator.facts.contextMax ?? null,
    chat: chatRefusal === null,
    chat_refusal: chatRefusal,
    top_k: found.k,
    top_k_refusal: found.refusal,
    ids: tokens === undefined ? 'none' : byServer ? 'server' : 'tokenizer',
    prompt_ids: promptTokens !== undefined,
    temperature_one: hot === undefined ? null : hot === null,
    temperature_refusal: hot ?? null,
    tokens_per_second: Math.round(answers.reduce((sum, { count }) => sum + count, 0) / seconds),
  };
}

/** A conversation, or a text where it takes no conversations. */
async function promptOf(generator: Generator): Promise<{ prompt: Prompt; refusal: string | null }> {
  const sampling = { temperature: 1, top_p: 1, max_tokens: 1, stop: [] };
  const conversation: Prompt = { messages: [{ role: 'user', content: text }] };
  const ask = (prompt: Prompt) => generator.ask({ prompt, sampling, seed: 1, k: 0 });
  try {
    await ask(conversation);
    return { prompt: conversation, refusal: null };
  } catch (error) {
    const { code, message } = asLogitcaskError(error);
    if (code !== 'teacher-refused' && code !== 'config-invalid') throw error;
    await ask({ text });
    return { prompt: { text }, refusal: message };
  }
}

/**
 * Tries lists from the longest on; what is said of the last refused one is kept. A server has none
 * where the first token has one and not every token.
 */
async function lists(
  ask: (k: number, tokens: number) => Promise<Answer>,
  type: GeneratorServerConfig['type'],
): Promise<{ k: number; refusal: string | null }> {
  const { kMax = Number.POSITIVE_INFINITY } = generators[type];
  let refusal: string | null = null;
  for (const k of longest.filter((length) => length <= kMax)) {
    const said = await settled(ask(k, 1));
    if (said !== null) {
      refusal = said;
      continue;
    }
    const later = await settled(ask(Math.min(k, entriesMax), speedTokens));
    return later === null ? { k, refusal } : { k: 0, refusal: later };
  }
  return { k: 0, refusal };
}

const refusals: readonly string[] = ['teacher-refused', 'teacher-unsuitable', 'config-invalid'];

/** Null, or what was said against it. */
async function settled(answer: Promise<Answer>): Promise<string | null> {
  try {
    await answer;
    return null;
  } catch (error) {
    const { code, message } = asLogitcaskError(error);
    if (refusals.includes(code)) return message;
    throw error;
  }
}
