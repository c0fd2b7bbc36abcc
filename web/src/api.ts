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

export async function getBlob(path: string, signal?: AbortSignal): Promise<Blob> {
  const { reply, body } = await reach(path, { signal, headers: withToken() }, 'blob');
  if (reply.ok) return body;
  throw refusal(reply, await body.text());
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
  const headers = withToken(init.headers);
  headers.set('accept', 'application/json');
  const { reply, body: text } = await reach(path, { ...init, headers }, 'text');
  if (reply.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
  throw refusal(reply, text);
}

function withToken(given?: HeadersInit): Headers {
  const headers = new Headers(given);
  const token = sessionStorage.getItem(tokenKey);
  if (token !== null) headers.set('authorization', `Bearer ${token}`);
  return headers;
}

interface Bodies {
  readonly text: string;
  readonly blob: Blob;
}

async function reach<As extends keyof Bodies>(path: string, init: RequestInit, as: As) {
  try {
    const reply = await fetch(path, init);
    return { reply, body: (await reply[as]()) as Bodies[As] };
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
