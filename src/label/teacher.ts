/** The teacher that answers, and what decides its answers. */
import type { LabelConfig } from '../../schemas/label-config.ts';
import { openGenerator } from '../capture/generator-source.ts';
import type { Generator } from '../capture/generators/generator.ts';
import { readInput } from '../capture/input-file.ts';
import { openTokenizer, type TextTokenizer } from '../capture/tokenizer.ts';
import { digestOf, sha256Hex } from '../formats/canonical.ts';

export interface Teacher {
  readonly generator: Generator;
  readonly tokenizer: TextTokenizer | undefined;
  readonly tokenizerJson: Buffer | undefined;
  /** Equal digests answer equal questions alike: what is kept of another one is never used. */
  readonly digest: string;
}

/** Errors: those of `openGenerator`, `source-unreadable`. */
export async function openTeacher({ source }: Pick<LabelConfig, 'source'>): Promise<Teacher> {
  const { tokenizer: file, chat_template: template } = source;
  const tokenizerJson = file === undefined ? undefined : await readInput(file);
  const tokenizer = tokenizerJson && openTokenizer(tokenizerJson, `${file}`);
  const generator = await openGenerator(source, tokenizer);
  const { model, version } = generator.facts;
  const digest = digestOf({
    source: generator.source,
    model,
    version,
    tokenizer: tokenizer?.digest ?? null,
    template: template === undefined ? null : sha256Hex(await readInput(template)),
  });
  return { generator, tokenizer, tokenizerJson, digest };
}
