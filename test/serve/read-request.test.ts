import { describe, expect, it } from 'vitest';
import { serveConfig } from '../../schemas/serve-config.ts';
import { createRequestReader } from '../../src/serve/facade/read-request.ts';

const teacherOf = (name: string) => ({
  name,
  k: 16,
  served: { model: name, tokenizer: { encode: (text: string) => Int32Array.of(text.length) } },
});
const config = serveConfig.parse({ cache: { approximate_temperatures: true } });
const context = { teachers: ['a', 'b'].map(teacherOf), config } as never;
const scoring = { model: 'a', prompt: [[1, 2, 3]], prompt_logprobs: 4, temperature: 1 };
const bytesOf = (body: unknown) => Buffer.from(JSON.stringify(body));
const ids = (length: number, first: number) => Array.from({ length }, (_, i) => (i ? 7 : first));

describe('a body for scores', () => {
  it('is read once', () => {
    const read = createRequestReader(context);
    const first = read(bytesOf(scoring));
    expect(first).toMatchObject({ teacher: { name: 'a' }, k: 4, temperature: 1 });
    expect(read(bytesOf(scoring))).toBe(first);
    expect(createRequestReader(context)(bytesOf(scoring))).not.toBe(first);
  });

  it.each([
    ['another id', { prompt: [[1, 2, 4]] }, (tokens: Int32Array) => tokens[2] === 4],
    ['another length', { prompt: [[1, 2]] }, (tokens: Int32Array) => tokens.length === 2],
    ['text', { prompt: 'abcd' }, (tokens: Int32Array) => tokens[0] === 4],
  ])('is not taken for one with %s', (_, other, isIts) => {
    const read = createRequestReader(context);
    read(bytesOf(scoring));
    const found = read(bytesOf({ ...scoring, ...other }));
    expect('prompts' in found && isIts(found.prompts[0].tokens)).toBe(true);
  });

  it.each([
    ['k', { prompt_logprobs: 5 }, { k: 5 }],
    ['temperature', { temperature: 2 }, { temperature: 2 }],
    ['model', { model: 'b' }, { teacher: { name: 'b' } }],
    ['echo', { echo: true }, { echo: true }],
    ['return_token_ids', { return_token_ids: true }, { withIds: true }],
  ])('is not taken for one with another %s', (name, other, expected) => {
    const read = createRequestReader(context);
    const [one] = [bytesOf(scoring), bytesOf({ ...scoring, ...other })].map((bytes) => read(bytes));
    const found = read(bytesOf({ ...scoring, ...other }));
    expect(found).toMatchObject(expected);
    const keyOf = (asked: typeof found) => 'prompts' in asked && asked.prompts[0].key;
    const isOfReply = name === 'echo' || name === 'return_token_ids';
    expect(keyOf(found) === keyOf(one)).toBe(isOfReply);
  });

  it('is refused as often as it comes', () => {
    const read = createRequestReader(context);
    for (const wrong of [{ prompt: [] }, { prompt_logprobs: 17 }, { model: 'c' }]) {
      const refused = () => read(bytesOf({ ...scoring, ...wrong }));
      for (let i = 0; i < 2; i++) expect(refused).toThrow(/^request: /);
    }
    for (let i = 0; i < 2; i++) expect(() => read(Buffer.of())).toThrow(/no JSON/);
  });

  it('is forgotten once others take the memory', () => {
    const read = createRequestReader(context);
    // 400 KB of ids, of 8 MiB
    const bodyOf = (first: number) => bytesOf({ ...scoring, prompt: ids(100_000, first) });
    const first = read(bodyOf(0));
    for (let i = 1; i <= 19; i++) read(bodyOf(i));
    expect(read(bodyOf(0))).toBe(first);
    const last = read(bodyOf(100));
    for (let i = 20; i <= 40; i++) read(bodyOf(i));
    expect(read(bodyOf(0))).not.toBe(first);
    expect(read(bodyOf(100))).not.toBe(last);
  });
});

it('a body for generation is not kept', () => {
  const read = createRequestReader(context);
  const body = { model: 'b', prompt: [1], max_tokens: 5 };
  const first = read(bytesOf(body));
  expect(first).toMatchObject({ teacher: { name: 'b' }, body });
  expect(read(bytesOf(body))).not.toBe(first);
});
