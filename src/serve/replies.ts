/** Bodies on their way to clients, under a byte limit; who takes nothing for long is cut off. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ServeConfig } from '../../schemas/serve-config.ts';
import type { QueueLoad } from './queue-load.ts';

type Pieces = readonly Uint8Array[];

export interface Body {
  readonly pieces: Pieces;
  readonly bytes: number;
}

/** A share of the memory for bodies. */
export interface Share {
  /** Counts the body from now on. */
  hold(bytes: number): void;
  /** The second time and later it does nothing. */
  release(): void;
}

export interface Replies {
  /** Waits, first come, first served, while bodies on their way take all that they may. */
  enter(): Promise<Share>;
  readonly writeTimeoutMs: number;
  readonly load: QueueLoad;
  /** Of bodies on their way. */
  readonly heldBytes: number;
}

type Limits = Pick<ServeConfig['limits'], 'reply_bytes_max' | 'write_timeout_ms'>;

export function createReplies({ reply_bytes_max, write_timeout_ms }: Limits): Replies {
  const waiting: (() => void)[] = [];
  let held = 0;
  let entered = 0; // not yet held: they count as one body each has let through
  const next = () => {
    while (waiting.length > 0 && held < reply_bytes_max && entered < entriesMax) {
      entered++;
      waiting.shift()?.();
    }
  };
  let turns = 0;
  let waitedMs = 0;
  return {
    writeTimeoutMs: write_timeout_ms,
    get load() {
      return { waiting: waiting.length, entered: turns, waitedMs };
    },
    get heldBytes() {
      return held;
    },
    async enter() {
      const since = performance.now();
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        next();
      });
      turns++;
      waitedMs += performance.now() - since;
      let own = 0;
      let state: 'entered' | 'holding' | 'released' = 'entered';
      return {
        hold(bytes) {
          if (state === 'entered') entered--;
          if (state !== 'released') {
            held += bytes - own;
            own = bytes;
            state = 'holding';
          }
          next();
        },
        release() {
          if (state === 'released') return;
          if (state === 'entered') entered--;
          held -= own;
          state = 'released';
          next();
        },
      };
    },
  };
}

/** Batches that are being built, their length not known yet. */
const entriesMax = 8;

/** Pieces that are smaller are joined: a system call takes a limited number of them. */
const smallBytesMax = 16 * 1024;

/** Fewer pieces with the same bytes. */
export function joinSmall(pieces: Pieces): Uint8Array[] {
  const joined: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  const flush = () => {
    if (small.length > 0) joined.push(small.length === 1 ? small[0] : Buffer.concat(small));
    small = [];
  };
  for (const piece of pieces) {
    if (piece.byteLength < smallBytesMax) {
      small.push(piece);
    } else {
      flush();
      joined.push(piece);
    }
  }
  flush();
  return joined;
}

/** Takes the answer out of the framework's hands: it would join the pieces, or stream them. */
export function startReply(
  { raw: request }: FastifyRequest,
  reply: FastifyReply,
  { writeTimeoutMs }: Replies,
): FastifyReply['raw'] {
  const headers = reply.getHeaders();
  reply.hijack();
  const { raw } = reply;
  raw.setTimeout(writeTimeoutMs, () => request.socket.destroy());
  raw.writeHead(200, headers as Record<string, string | number | string[]>);
  return raw;
}

/** Sends a whole body and gives its share back once it is gone, or the client is. */
export function sendBody(
  request: FastifyRequest,
  reply: FastifyReply,
  options: { body: Body; share: Share; replies: Replies },
): FastifyReply {
  const { body, share, replies } = options;
  if (reply.sent) {
    share.release(); // the limit of time has answered
    return reply;
  }
  reply.header('content-length', body.bytes);
  if (/(^|,)\s*sha-256\s*=\s*([1-9]|10)\s*(,|$)/i.test(wantedDigest(request))) {
    const hash = createHash('sha256');
    for (const piece of body.pieces) hash.update(piece);
    reply.header('repr-digest', `sha-256=:${hash.digest('base64')}:`);
  }
  share.hold(body.bytes);
  const raw = startReply(request, reply, replies);
  raw.once('close', share.release);
  if (raw.destroyed) share.release();
  if (request.method !== 'HEAD') {
    raw.cork();
    for (const piece of joinSmall(body.pieces)) raw.write(piece);
    raw.end();
    raw.uncork();
  } else raw.end();
  return reply;
}

function wantedDigest({ headers }: FastifyRequest): string {
  const { 'want-repr-digest': wanted } = headers;
  return typeof wanted === 'string' ? wanted : '';
}
