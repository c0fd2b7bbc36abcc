import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { LogitcaskError } from '../../src/errors.ts';
import { createRequestIds, faultOf, logRequest } from '../../src/serve/log.ts';

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

describe('the line of a request', () => {
  const lineOf = (route: string | undefined, { status = 200, isWhole = true } = {}) => {
    const lines: [string, Record<string, unknown>][] = [];
    const at = (level: string) => (line: Record<string, unknown>) => lines.push([level, line]);
    const log = { debug: at('debug'), info: at('info'), error: at('error') };
    const socket = { bytesWritten: 100 };
    const raw = Object.assign(new EventEmitter(), { statusCode: 0, writableFinished: isWhole });
    const routeOptions = { url: route };
    const request = { id: 'a', method: 'GET', raw: { socket }, routeOptions, log };
    logRequest(request as never, { raw } as never);
    expect(lines).toEqual([]);
    Object.assign(raw, { statusCode: status });
    socket.bytesWritten += 42;
    raw.emit('close');
    expect(lines.length).toBe(1);
    return lines[0];
  };

  it('is written once the answer is gone', () => {
    const [level, { ms, ...line }] = lineOf('/v1/datasets');
    expect([level, typeof ms]).toEqual(['info', 'number']);
    const request = { request_id: 'a', method: 'GET', route: '/v1/datasets' };
    expect(line).toEqual({ ...request, status: 200, bytes: 42 });
  });

  it('says where the answer broke off, and has the level of what happened', () => {
    expect(lineOf('/v1/datasets', { isWhole: false })[1]).toMatchObject({ aborted: true });
    expect(lineOf('/metrics')[0]).toBe('debug');
    expect(lineOf('/metrics', { status: 503 })[0]).toBe('error');
    expect(lineOf(undefined, { status: 404 })).toMatchObject(['info', { route: null }]);
  });
});
