/** Requests to a teacher's server: retries with backoff, and its own words in errors. */
import { setTimeout as wait } from 'node:timers/promises';
import { LogitcaskError } from '../errors.ts';
import { createWindow, type Window } from './in-order.ts';

interface TeacherHttpOptions {
  readonly url: string;
  /** Bearer token. */
  readonly token?: string;
  readonly timeoutMs: number;
  /** Called before each retry, with whether the server said that it is too much. */
  readonly onRetry: (busy: boolean) => void;
}

export interface TeacherHttp {
  get(path: string): Promise<unknown>;
  /** The whole body of a reply. */
  post(path: string, body: unknown): Promise<Uint8Array>;
  /** A request as it is, once, and the answer whatever its status. */
  pass(path: string, body: Uint8Array): Promise<Passed>;
}

/** What a server answered to a request that is not ours. */
export interface Passed {
  readonly status: number;
  readonly type: string;
  readonly bytes: Uint8Array;
}

const retried = new Set([408, 425, 429, 500, 502, 503, 504]);
const busy = new Set([408, 425, 429, 503]);
const attemptsMax = 8;
const delayFirstMs = 250;
const delayMaxMs = 15_000;
const textMax = 2000;

/**
 * Errors: `teacher-unreachable` (after the last attempt), `teacher-refused` with what the server
 * said. Scoring is a question: asking twice stores nothing twice.
 */
function openTeacherHttp(options: TeacherHttpOptions): TeacherHttp {
  const { url, token, timeoutMs, onRetry } = options;
  const once = async (
    method: 'GET' | 'POST',
    path: string,
    body?: string | Uint8Array<ArrayBuffer>,
  ) => {
    const headers: Record<string, string> = {};
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const signal = AbortSignal.timeout(timeoutMs);
    const reply = await fetch(`${url}${path}`, { method, headers, body, signal });
    const bytes = new Uint8Array(await reply.arrayBuffer());
    const type = reply.headers.get('content-type') ?? 'application/octet-stream';
    return { status: reply.status, type, bytes, after: reply.headers.get('retry-after') };
  };
  const send = async (method: 'GET' | 'POST', path: string, body?: string) => {
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= attemptsMax;
      let pause = delayFirstMs * 2 ** (attempt - 1);
      try {
        const { status, bytes, after } = await once(method, path, body);
        if (status < 400) return bytes;
        const error = refused(`${url}${path}`, status, bytes);
        if (!retried.has(status) || last) throw error;
        onRetry(busy.has(status));
        if (after !== null && Number(after) > 0) pause = Math.max(pause, 1000 * Number(after));
      } catch (error) {
        if (error instanceof LogitcaskError) throw error;
        if (last) throw unreachable(url, error as Error);
        onRetry(true);
      }
      await wait(Math.min(delayMaxMs, pause) * (0.5 + Math.random()));
    }
  };
  return {
    async get(path) {
      const bytes = await send('GET', path);
      try {
        return JSON.parse(Buffer.from(bytes).toString());
      } catch {
        throw unsuitableReply(`${url}${path}`, bytes);
      }
    },
    post: (path, body) => send('POST', path, JSON.stringify(body)),
    async pass(path, body) {
      try {
        const { status, type, bytes } = await once('POST', path, Uint8Array.from(body));
        return { status, type, bytes };
      } catch (error) {
        throw unreachable(url, error as Error);
      }
    },
  };
}

export interface TeacherAddress {
  readonly url: string;
  readonly api_key?: string;
  readonly timeout_ms: number;
  readonly concurrency: number;
}

/** A server as configured, and how much it is asked at a time: less after it had too much. */
export function openTeacher({ url, api_key: token, timeout_ms, concurrency }: TeacherAddress): {
  http: TeacherHttp;
  window: Window;
} {
  const window = createWindow(concurrency);
  const onRetry = (isBusy: boolean) => {
    if (isBusy) window.shrink();
  };
  const http = openTeacherHttp({ url, token, timeoutMs: timeout_ms, onRetry });
  return { http, window };
}

/** Statuses of a server that looked at a request; 500 is also what some answer to a bad one. */
const looked = new Set([400, 413, 422, 500]);

/** Whether what a request asks for may be why it failed. */
export function concernsRequest(error: unknown): boolean {
  if (!(error instanceof LogitcaskError) || error.code === 'teacher-unreachable') return false;
  return error.code !== 'teacher-refused' || looked.has(error.got as number);
}

/** Whether the server gave up on a request, for a reason that it does not tell. */
export function isServerFault(error: unknown): boolean {
  return error instanceof LogitcaskError && error.got === 500 && error.code === 'teacher-refused';
}

function refused(where: string, status: number, bytes: Uint8Array): LogitcaskError {
  const text = Buffer.from(bytes).toString('utf8', 0, Math.min(bytes.length, textMax));
  const message = `capture: ${where} answered ${status}: ${wordsOf(text)}`;
  return new LogitcaskError('teacher-refused', message, { expected: 'status 200', got: status });
}

/** `error.message` of OpenAI-like servers, `detail` or `message` of others, or the whole text. */
function wordsOf(text: string): string {
  try {
    const { error, message, detail } = JSON.parse(text);
    const words = error?.message ?? message ?? detail ?? error;
    return typeof words === 'string' ? words : text;
  } catch {
    return text.trim() || 'nothing';
  }
}

function unreachable(url: string, cause: Error): LogitcaskError {
  const { cause: inner } = cause as { cause?: { code?: string; message?: string } };
  const reason = inner?.code ?? inner?.message ?? cause.message;
  const message = `capture: the teacher at ${url} does not answer (${reason}); is it running?`;
  return new LogitcaskError('teacher-unreachable', message, { got: reason, cause });
}

function unsuitableReply(where: string, bytes: Uint8Array): LogitcaskError {
  const got = Buffer.from(bytes).toString('utf8', 0, 80);
  const message = `capture: ${where} does not answer with JSON; is this the server that you meant?`;
  return new LogitcaskError('teacher-unsuitable', message, { expected: 'JSON', got });
}
