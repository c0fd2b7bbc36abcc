/** Answers in the order of the prompts, each with its side and the reason why it is left out. */
import type { LabelConfig } from '../../schemas/label-config.ts';
import { DigestTable } from '../capture/digest-table.ts';
import type { Answer } from '../capture/generators/generator.ts';
import { LogitcaskError } from '../errors.ts';
import type { Answers } from './answers.ts';
import { openFilter, type Reason } from './filter.ts';
import { digestOfText, normalised, readPrompts } from './prompts.ts';
import { type Asked, questionOf } from './question.ts';
import { type Side, sideOf } from './split.ts';
import type { Teacher } from './teacher.ts';

/** What decides which responses there are. */
export interface Labelling {
  readonly config: LabelConfig;
  readonly teacher: Teacher;
  readonly answers: Answers;
}

export interface Response extends Asked {
  readonly answer: Answer;
  /** The answer as it lies in the log. */
  readonly record: Buffer;
  readonly side: Side;
  readonly reason: Reason | undefined;
}

/** All questions; prompts that came before, where those are dropped, are not asked. */
export async function* questionsOf({ config, teacher }: Labelling): AsyncGenerator<Asked> {
  for await (const record of readPrompts(config)) {
    if (record.isDuplicate) continue;
    for (let index = 0; index < config.responses; index++) {
      yield questionOf(record, index, { config, teacher: teacher.digest });
    }
  }
}

/** Throws `source-mismatch` where a question has no answer: the prompts have changed since. */
export async function* responsesOf(labelling: Labelling): AsyncGenerator<Response> {
  const { config, answers } = labelling;
  const judge = openFilter(config.filter);
  const { duplicates } = config.filter;
  const seen = new DigestTable();
  for await (const asked of questionsOf(labelling)) {
    const found = await answers.get(asked.key);
    if (found === undefined) {
      const message = 'label: the prompts have changed since they were asked; run it again';
      throw new LogitcaskError('source-mismatch', message, { got: asked.question.prompt });
    }
    let reason = judge(found.answer);
    if (reason === undefined && duplicates !== 'keep') {
      const scope = duplicates === 'all' ? '' : asked.prompt.likeness.toString('hex');
      const isNew = seen.set(digestOfText(`${scope}|${normalised(found.answer.text)}`));
      if (!isNew) reason = 'duplicate';
    }
    yield { ...asked, ...found, reason, side: sideOf(asked.prompt.likeness, config.validation) };
  }
}

/** Responses that are kept, of one side. */
export async function* keptOf(labelling: Labelling, side: Side): AsyncGenerator<Response> {
  for await (const response of responsesOf(labelling)) {
    if (response.reason === undefined && response.side === side) yield response;
  }
}
