/** Why a response is left out, if it is; the first reason counts. */
import type { LabelConfig } from '../../schemas/label-config.ts';
import type { Answer } from '../capture/generators/generator.ts';
import { openPatterns } from './patterns.ts';

export const reasons = [
  'refused',
  'empty',
  'truncated',
  'too-short',
  'too-long',
  'repetitive',
  'pattern',
  'duplicate',
] as const;
export type Reason = (typeof reasons)[number];

/** Stands for the answer to a prompt that the server refused. */
export const refused: Answer = { text: '', finish: 'refused', promptCount: 0, count: 0 };

type FilterConfig = LabelConfig['filter'];
type Judged = Pick<Answer, 'text' | 'finish' | 'count'>;

/** A word: letters and digits, or a single sign of a script that has no blanks between words. */
const word =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}]+/gu;

/** Everything but duplicates. Throws `config-invalid`. */
export function openFilter(config: FilterConfig): (answer: Judged) => Reason | undefined {
  const matches = openPatterns(config);
  const { tokens_max = Number.POSITIVE_INFINITY, characters_max = Number.POSITIVE_INFINITY } =
    config;
  return (answer) => {
    if (answer === refused) return 'refused';
    const { text, finish, count } = answer;
    const characters = [...text].length;
    if (text.trim() === '') return 'empty';
    if (config.truncated === 'drop' && finish === 'length') return 'truncated';
    if (count < config.tokens_min || characters < config.characters_min) return 'too-short';
    if (count > tokens_max || characters > characters_max) return 'too-long';
    if (repetition(text, config.repetition_words) > config.repetition_max) return 'repetitive';
    return matches(text) ? undefined : 'pattern';
  };
}

/** The share of the runs of n words that came before in the text. */
export function repetition(text: string, n: number): number {
  const words = text.toLowerCase().match(word) ?? [];
  const runs = words.length - n + 1;
  if (runs < 1) return 0;
  const seen = new Set<string>();
  for (let i = 0; i < runs; i++) seen.add(words.slice(i, i + n).join(' '));
  return 1 - seen.size / runs;
}
