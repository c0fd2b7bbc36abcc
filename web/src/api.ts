/** Requests to this server, and to no other; refusals become errors with the problem document. */
import type { Problem } from './types.ts';

const tokenKey = 'logitcask-token';

/** What the server answered instead: kept as an error so that it can be thrown. */
export interface Refused extends Error {
  readonly problem: Problem;
}

export function isRefused(error: unknown): error is Refused {
  return error instanceof Error && 'problem' in error;
}

/** Kept for this tab only. */
export function keepToken(token: string): void {
  sessionStorage.setItem(tokenKey, token);
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return send<T>(path, { signal });
}

export function post<T>(path: string, body?: unknown): Promise<T> {
  const headers = body === undefined ? undefined : { 'content-type': 'application/json' };
  return send<T>(path, {
    method: 'POST',
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

async function send<T>(path: string, init: RequestInit): Promise<T> {
  const headers = new Headers(init.headers);
  headers.set('accept', 'application/json');
  const token = sessionStorage.getItem(tokenKey);
  if (token !== null) headers.set('authorization', `Bearer ${token}`);
  const { reply, text } = await reach(path, { ...init, headers });
  if (reply.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
  throw refusal(reply, text);
}

async function reach(path: string, init: RequestInit) {
  try {
    const reply = await fetch(path, init);
    return { reply, text: await reply.text() };
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new Error('request: the server cannot be reached', { cause });
  }
}

function refusal(reply: Response, text: string): Refused {
  const isProblem = reply.headers.get('content-type')?.startsWith('application/problem+json');
  const problem: Problem = isProblem
    ? JSON.parse(text)
    : {
        type: 'about:blank',
        title: reply.statusText,
        status: reply.status,
        detail: `request: ${new URL(reply.url).pathname} was answered with ${reply.status}`,
        code: `http-${reply.status}`,
        expected: null,
        got: null,
        retryable: reply.status >= 500,
        instance: '',
      };
  return Object.assign(new Error(problem.detail), { problem });
}

/** `/v1/datasets/a/snapshots/b` */
export function snapshotPath(dataset: string, snapshot: string): string {
  return `/v1/datasets/${encodeURIComponent(dataset)}/snapshots/${encodeURIComponent(snapshot)}`;
}
