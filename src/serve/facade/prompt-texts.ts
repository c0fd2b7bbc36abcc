/** `prompt_logprobs` of cached sequences, kept as text: a hit is looked up and sent. */
import { setImmediate } from 'node:timers/promises';
import { createLru } from '../../store/lru.ts';
import type { CachedTeacher } from '../cached-teacher.ts';
import { promptLogprobs, type TokenText, tokenTexts } from './prompt-logprobs.ts';
import type { Prompt, PromptRequest } from './prompt-request.ts';
import { atTemperature } from './temperature.ts';

const single = Buffer.from('[null]');

export interface PromptTexts {
  /** Errors: those of `CachedTeacher.score`. */
  of(prompt: Prompt, asked: PromptRequest, client: unknown): Promise<Buffer>;
}

export function createPromptTexts(bytesMax: number): PromptTexts {
  const kept = createLru<Buffer>(bytesMax);
  const vocabularies = new Map<string, TokenText>();
  const textOf = ({ name, served }: CachedTeacher) => {
    const known = vocabularies.get(name) ?? tokenTexts(served.tokenizer);
    vocabularies.set(name, known);
    return known;
  };
  return {
    async of({ tokens, key }, { teacher, k, temperature }, client) {
      if (tokens.length === 1) return single;
      const started = performance.now();
      const known = kept.get(key);
      if (known !== undefined) {
        teacher.hit(started);
        return known;
      }
      const { rows } = await teacher.score(tokens, client);
      const scaled = atTemperature(rows, temperature);
      const text = promptLogprobs({ tokens, rows: scaled, k, textOf: textOf(teacher) });
      kept.set(key, text, text.length);
      await setImmediate(); // others get their turn between long texts
      return text;
    },
  };
}
