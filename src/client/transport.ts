/**
 * Requests that end whole or fail: kept-alive connections, lengths checked, retries with jitter.
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { type ErrorCode, errors, LogitcaskError } from '../errors.ts';

export interface TransportOptions {
  /** `http://host:port`, without a path. */
  readonly url: string;
  readonly token?: string;
  readonly timeoutMs?: number;
  /** Attempts at one request, 5 by default. */
  readonly attemptsMax?: number;
}

export interface Transport {
  send(request: TransportRequest): Promise<TransportReply>;
  /** The body as it comes, asked for once; throws `reply-truncated` where it breaks off. */
  receive(request: TransportRequest): AsyncIterable<Buffer>;
  close(): void;
}

export interface TransportRequest {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly accept: string;
  /** JSON, or an Arrow stream where it is a Buffer. */
  readonly body?: unknown;
}

export interface TransportReply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

const bodyBytesMax = 2 ** 31 - 1;

export const arrowType = 'application/vnd.apache.arrow.stream';

/** Every request may be sent twice: reads, plans, named by their content, and scores, kept once. */
export function openTransport(options: TransportOptions): Transport {
  const { url, token, timeoutMs = 60_000, attemptsMax = 5 } = options;
  const base = new URL(url);
  const secure = base.protocol === 'https:';
  const agent = new Agent({ keepAlive: true });
  const ask = async (request: TransportRequest): Promise<IncomingMessage> => {
    const { body, type } = encodedBody(request.body);
    const headers = {
      accept: request.accept,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(type === undefined ? {} : { 'content-type': type }),
    };
    const { method = 'GET', path } = request;
    const send = secure ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const outgoing = send(
        new URL(path, base),
        { method, headers, timeout: timeoutMs, agent: secure ? undefined : agent },
        resolve,
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)));
      outgoing.on('error', (cause) => reject(unreachable(url, cause)));
      outgoing.end(body);
    });
  };
  return {
    async send(request) {
      for (let attempt = 1; ; attempt++) {
        try {
          const reply = await readBody(await ask(request));
          if (reply.status < 400) return reply;
          throw problemOf(reply);
        } catch (error) {
          if (!(error instanceof LogitcaskError)) throw error;
          if (!error.retryable || attempt === attemptsMax) throw error;
          await wait(100 * 2 ** attempt * (0.5 + Math.random()));
        }
      }
    },
    async *receive(request) {
      const incoming = await ask(request);
      if (incoming.statusCode !== 200) throw problemOf(await readBody(incoming));
      yield* piecesOf(incoming);
    },
    close: () => agent.destroy(),
  };
}

function encodedBody(body: unknown): { body?: string | Buffer; type?: string } {
  if (body === undefined) return {};
  if (Buffer.isBuffer(body)) return { body, type: arrowType };
  return { body: JSON.stringify(body), type: 'application/json' };
}

function unreachable(url: string, cause: Error): LogitcaskError {
  const message = `client: ${url} does not answer (${cause.message}); is the server running?`;
  return new LogitcaskError('server-unreachable', message, { got: cause.message, cause });
}

/** The whole body; a reply that ends before its Content-Length is an error, never a short body. */
async function readBody(incoming: IncomingMessage): Promise<TransportReply> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of piecesOf(incoming)) {
    length += piece.length;
    if (length > bodyBytesMax) throw truncated(bodyBytesMax, length);
    pieces.push(piece);
  }
  const { statusCode: status = 0, headers } = incoming;
  return { status, headers, body: Buffer.concat(pieces) };
}

async function* piecesOf(incoming: IncomingMessage): AsyncGenerator<Buffer> {
  const declared = Number(incoming.headers['content-length'] ?? Number.NaN);
  let length = 0;
  try {
    for await (const piece of incoming) {
      length += piece.length;
      yield piece;
    }
  } catch (cause) {
    throw truncated(declared, length, cause);
  }
  if (!incoming.complete || (declared >= 0 && declared !== length)) {
    throw truncated(declared, length);
  }
}

function truncated(expected: number, got: number, cause?: unknown): LogitcaskError {
  const message = 'client: the reply ended before its length';
  return new LogitcaskError('reply-truncated', message, { expected, got, cause });
}

function problemOf({ status, headers, body }: TransportReply): LogitcaskError {
  const isProblem = headers['content-type']?.startsWith('application/problem+json');
  if (isProblem) {
    const { code, detail, expected, got } = JSON.parse(body.toString());
    if (code in errors) {
      return new LogitcaskError(code as ErrorCode, detail, { expected, got });
    }
  }
  const retryable = [408, 425, 429, 500, 502, 503, 504].includes(status);
  const message = `client: the server answered ${status} without a problem document`;
  return new LogitcaskError(retryable ? 'server-unreachable' : 'reply-invalid', message, {
    got: body.toString('utf8', 0, 200),
  });
}
