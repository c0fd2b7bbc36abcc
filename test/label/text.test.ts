import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { labelConfig } from '../../schemas/label-config.ts';
import { openParquetRows } from '../../src/formats/parquet-rows.ts';
import { label } from '../../src/label.ts';
import { linesOf, type Message, useLabelling, verses } from '../support/labelling.ts';
import { vllmLabels } from '../support/replay-labels.ts';

const used = useLabelling();

describe('text', () => {
  const source = { tokenizer: undefined };

  it('is written in chat and prompt-completion form, as JSON lines and as Parquet', async () => {
    const system = 'Be brief.';
    const out = join(used.folder, 'text');
    const config = used.configOf(verses(0, 30), { system, dataset: 'text' });
    const write = (format: string, form: string) =>
      label(labelConfig.parse({ ...config, export: { format, form, folder: out } }));
    const { exported, counts, sides } = await write('jsonl', 'chat');
    const contents = linesOf(exported[0]).map(({ messages }: { messages: Message[] }) =>
      messages.map(({ content }) => content),
    );
    expect(exported).toEqual([join(out, 'train.jsonl'), join(out, 'validation.jsonl')]);
    const chats = exported.flatMap(linesOf);
    expect(chats).toHaveLength(counts.kept);
    for (const { messages } of chats as { messages: Message[] }[]) {
      const roles = messages.map(({ role }) => role);
      expect(roles).toEqual(['system', 'user', 'assistant']);
    }
    const pairs = (await write('jsonl', 'prompt-completion')).exported.flatMap(linesOf);
    expect(pairs.map(({ prompt, completion }) => [...prompt, ...completion])).toEqual(
      chats.map(({ messages }) => messages),
    );
    await write('parquet', 'chat');
    const parquet = await openParquetRows(join(out, 'train.parquet'));
    const rows = [];
    for await (const row of parquet.rows(['messages.role', 'messages.content', 'index'])) {
      rows.push(row);
    }
    await parquet.close();
    expect(rows).toHaveLength(sides.train);
    expect(rows.map((row) => row['messages.content'])).toEqual(contents);
    // what was written is read as prompts, once the response is cut off
    const texts = labelConfig.parse({ ...config, prompts: [join(out, 'train.parquet')] });
    await expect(label(texts)).rejects.toMatchObject({ code: 'source-mismatch', got: 'assistant' });
  });

  it('is written without token ids, of which snapshots have need', async () => {
    const noIds = await used.another({
      answer: (body, path) => {
        const reply = vllmLabels(body, path) as { choices: [object] };
        const choices = [{ ...reply.choices[0], token_ids: null }];
        return { ...reply, choices, prompt_token_ids: null };
      },
    });
    const out = join(used.folder, 'no-ids');
    const config = used.configOf(verses(0, 20), {
      top_k: 0,
      source: { ...source, url: noIds.url, vocabulary: 8192 },
      export: { folder: out },
    });
    await expect(label(config)).rejects.toMatchObject({ code: 'teacher-unsuitable' });
    expect(linesOf(join(out, 'train.jsonl')).length).toBeGreaterThan(5);
    const { snapshots, exported } = await label({ ...config, snapshot: false });
    expect({ snapshots, files: exported.length }).toEqual({ snapshots: [], files: 2 });
    const noVocabulary = { ...config, source: { ...config.source, vocabulary: undefined } };
    await expect(label(noVocabulary)).rejects.toMatchObject({ code: 'config-invalid' });
  });
});

describe('prompts', () => {
  const message = (role: string, content: unknown) => ({ role, content });

  it.each([
    [{ messages: [message('user', 'Hi')] }, {}, ['user: Hi']],
    [
      { messages: [message('system', 'S'), message('user', 'Hi')] },
      { system: 'other' },
      ['system: S', 'user: Hi'],
    ],
    [{ prompt: 'Hi', system: 'S' }, { system: 'other' }, ['system: S', 'user: Hi']],
    [{ text: 'Hi' }, { template: '{text} {{}}', system: 'S' }, ['system: S', 'user: Hi {}']],
    [{ question: 7 }, { template: 'Solve {question}' }, ['user: Solve 7']],
  ])('are asked as they are given: %j', async (record, more, expected) => {
    const asked = used.teacher.asked.length;
    await label(used.configOf([record], { validation: 0, top_k: 0, ...more }));
    const [{ messages }] = used.teacher.asked.slice(asked) as unknown as { messages: Message[] }[];
    expect(messages.map(({ role, content }) => `${role}: ${content}`)).toEqual(expected);
  });

  it('of base models are texts, a document of a file each', async () => {
    const name = join(used.folder, 'plain.txt');
    writeFileSync(name, 'In the\nbeginning\n\nAnd God said\n');
    const asked = used.teacher.asked.length;
    const config = { ...used.configOf([]), prompts: [name], mode: 'text' as const, validation: 0 };
    await label(config);
    const prompts = used.teacher.asked.slice(asked).map(({ prompt }) => prompt);
    expect(prompts).toEqual(['In the\nbeginning', 'And God said']);
  });

  it.each([
    ['an unknown field', [{ text: 'a' }], { template: '{txt}' }, 'source-mismatch'],
    ['no prompt', [{ other: 'a' }], {}, 'source-mismatch'],
    ['a response at the end', [{ messages: [message('assistant', 'a')] }], {}, 'source-mismatch'],
    ['content that is no text', [{ messages: [message('user', 1)] }], {}, 'source-mismatch'],
    ['messages in mode text', [{ messages: [] }], { mode: 'text' }, 'source-mismatch'],
    [
      'a system message in mode text',
      [{ text: 'a' }],
      { mode: 'text', system: 'S' },
      'config-invalid',
    ],
    [
      'one answer many times',
      verses(0, 1),
      { responses: 2, sampling: { temperature: 0 } },
      'config-invalid',
    ],
    ['a pattern that is none', verses(0, 1), { filter: { keep: ['['] } }, 'config-invalid'],
    ['nothing that is kept', verses(0, 2), { filter: { keep: ['never'] } }, 'source-mismatch'],
    ['another tokenizer', verses(0, 1), { source: { vocabulary: 100 } }, 'source-mismatch'],
  ])('are refused with a code: %s', async (_, records, more, code) => {
    await expect(label(used.configOf(records, more))).rejects.toMatchObject({ code });
  });

  it('are needed', async () => {
    await expect(label({ ...used.configOf([]), prompts: [] })).rejects.toMatchObject({
      code: 'config-invalid',
    });
    await expect(label({ ...used.configOf([]), prompts: ['nowhere'] })).rejects.toMatchObject({
      code: 'source-unreadable',
    });
  });
});
