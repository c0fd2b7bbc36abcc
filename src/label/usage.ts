/** Requests and tokens added up, and what they cost at a price a million. */
import type { LabelConfig } from '../../schemas/label-config.ts';
import type { Usage } from '../../schemas/manifest.ts';
import type { Answer } from '../capture/generators/generator.ts';

export function createUsage(price: LabelConfig['price']) {
  let [requests, prompt_tokens, completion_tokens] = [0, 0, 0];
  return {
    add({ promptCount, count }: Pick<Answer, 'promptCount' | 'count'>) {
      requests++;
      prompt_tokens += promptCount;
      completion_tokens += count;
    },
    get usage(): Usage {
      const sum =
        price && (price.prompt * prompt_tokens + price.completion * completion_tokens) / 1e6;
      const cost = sum === undefined ? null : Number(sum.toPrecision(12));
      return { requests, prompt_tokens, completion_tokens, cost };
    },
  };
}
