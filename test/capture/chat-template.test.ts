import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openChatTemplate } from '../../src/capture/chat-template.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-templates-'));
afterAll(() => rmSync(folder, { recursive: true }));
function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const template =
  "{{ bos_token }}{% for m in messages %}\n  {% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}" +
  "<|{{ m['role'] }}|>{{ m['content'] | trim }}{% endfor %}" +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}';
const messages = [
  { role: 'system', content: ' Be brief. ' },
  { role: 'user', content: 'Say {{ this }}' },
];
const expected = '<s><|system|>Be brief.<|user|>Say {{ this }}<|assistant|>';

describe('a chat template', () => {
  it.each([
    ['a text', template],
    [
      'a list of named ones',
      [
        { name: 'tool_use', template: '' },
        { name: 'default', template },
      ],
    ],
  ])('is rendered from tokenizer_config.json, where it is %s', async (_, chat_template) => {
    const config = JSON.stringify({ chat_template, bos_token: { content: '<s>' } });
    expect((await openChatTemplate(file('a.json', config))).render(messages)).toBe(expected);
  });

  it('is rendered from chat_template.jinja with the special tokens beside it', async () => {
    const alone = file('chat_template.jinja', template);
    await expect(openChatTemplate(alone)).rejects.toMatchObject({
      code: 'source-unreadable',
      message: expect.stringContaining('bos_token'),
    });
    file('tokenizer_config.json', '{"bos_token": "<s>"}');
    const opened = await openChatTemplate(alone);
    expect(opened.render(messages)).toBe(expected);
    expect(() => opened.render([{ role: 'tool', content: '' }])).toThrow(/no tools/);
  });

  it.each([
    ['no file', join(folder, 'none.jinja'), 'cannot read'],
    ['JSON without one', file('b.json', '{}'), 'holds no chat_template'],
    ['no JSON', file('c.json', 'x'), 'is no tokenizer_config.json'],
    [
      'a template that does not end',
      file('d.jinja', '{% for m in messages %}'),
      'no chat template',
    ],
  ])('is refused where there is %s', async (_, path, text) => {
    await expect(openChatTemplate(path)).rejects.toMatchObject({
      code: 'source-unreadable',
      message: expect.stringContaining(text),
    });
  });
});
