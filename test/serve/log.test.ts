import { describe, expect, it } from 'vitest';
import { LogitcaskError } from '../../src/errors.ts';
import { createRequestIds, faultOf } from '../../src/serve/log.ts';

const idOf = createRequestIds();
const asked = (id?: string) => idOf({ headers: { 'x-request-id': id } } as never);

describe('the id of a request', () => {
  it.each(['a', 'A-1_2.3:4', 'x'.repeat(64)])('is the client’s own: %s', (id) => {
    expect(asked(id)).toBe(id);
  });

  it.each([undefined, '', 'x'.repeat(65), 'a b', 'a"b', 'ä', 'a\u0000', 'a,b', '<b>'])(
    'is made where the client’s is %j',
    (id) => {
      const made = [asked(id), asked(id)];
      expect(made[0]).toMatch(/^[0-9a-f]{12}-[0-9a-z]+$/);
      expect(made[1]).not.toBe(made[0]);
    },
  );
});

describe('what the log says of an error', () => {
  const prompt = 'a secret prompt';

  it('is the code of ours, whose message may repeat what was asked', () => {
    const error = new LogitcaskError('teacher-refused', `teacher: ${prompt}`, { got: prompt });
    expect(faultOf(error)).toEqual({ code: 'teacher-refused' });
  });

  it('is not what JSON.parse quotes, but where', () => {
    let thrown: unknown;
    try {
      JSON.parse(prompt);
    } catch (error) {
      thrown = error;
    }
    const fault = faultOf(new LogitcaskError('internal', `${thrown}`, { cause: thrown }));
    expect(fault).toMatchObject({ type: 'SyntaxError', code: 'internal' });
    expect(JSON.stringify(fault)).not.toContain('secret');
    expect((fault.stack as string[]).some((line) => line.includes('log.test.ts'))).toBe(true);
  });

  it('is the message of a defect, and where', () => {
    const fault = faultOf(new TypeError('x is not a function'));
    expect(fault).toMatchObject({ type: 'TypeError', message: 'x is not a function' });
    expect((fault.stack as string[])[0]).toMatch(/^at /);
    expect(faultOf('thrown text')).toEqual({ type: 'string' });
  });
});
