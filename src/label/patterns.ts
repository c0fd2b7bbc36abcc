/** The user's regular expressions, which may not take for ever. */
import { createContext, Script } from 'node:vm';
import type { LabelConfig } from '../../schemas/label-config.ts';
import { LogitcaskError } from '../errors.ts';

/** All patterns on one response; what backtracks without end takes more. */
const timeoutMs = 1000;

/** Whether a response passes. Throws `config-invalid` where a pattern takes too long. */
export type Matches = (text: string) => boolean;

/** Throws `config-invalid` where a pattern is none. */
export function openPatterns({
  keep,
  drop,
}: Pick<LabelConfig['filter'], 'keep' | 'drop'>): Matches {
  if (keep.length + drop.length === 0) return () => true;
  const given = { keep: keep.map(patternOf), drop: drop.map(patternOf), text: '' };
  const sandbox = createContext(given);
  const passes = 'keep.every((p) => p.test(text)) && !drop.some((p) => p.test(text))';
  const script = new Script(passes);
  return (text) => {
    given.text = text;
    try {
      return script.runInContext(sandbox, { timeout: timeoutMs });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw cause;
      const message =
        `label: filter.keep and filter.drop take over ${timeoutMs} ms on a response of ` +
        `${text.length} characters; write patterns without nested repetitions`;
      throw new LogitcaskError('config-invalid', message, { expected: `≤ ${timeoutMs} ms`, cause });
    }
  };
}

/** `text`, or `/text/flags`. */
function patternOf(text: string): RegExp {
  const [, source = text, flags = ''] = /^\/(.*)\/([ims]*)$/s.exec(text) ?? [];
  try {
    return new RegExp(source, `u${flags}`);
  } catch (cause) {
    const message = `config: ${text} is no regular expression (${(cause as Error).message})`;
    throw new LogitcaskError('config-invalid', message, { got: text, cause });
  }
}
