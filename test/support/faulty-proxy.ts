/** A proxy that spoils replies in the ways that networks and other proxies do. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { ask } from '../fixtures.ts';

export type Fault =
  | { readonly type: 'none' }
  /** The connection breaks before an answer. */
  | { readonly type: 'reset' }
  /** No answer at all. */
  | { readonly type: 'stall' }
  /** The length that was declared never comes: the connection breaks after `bytes` of the body. */
  | { readonly type: 'cut'; readonly bytes: number }
  /** The connection breaks within the headers. */
  | { readonly type: 'cut-header' }
  /** A proxy that dropped the length ends the body cleanly after `bytes`. */
  | { readonly type: 'clean-end'; readonly bytes: number }
  | { readonly type: 'flip'; readonly byte: number }
  | { readonly type: 'gzip' }
  | { readonly type: 'buffer' }
  | { readonly type: 'status'; readonly status: number };

export interface FaultyProxy {
  readonly url: string;
  /** Requests seen. */
  readonly requests: number;
  close(): Promise<void>;
}

/** `fault` decides by the number of the request, from 1. */
export async function startProxy(
  target: string,
  fault: (request: number) => Fault,
): Promise<FaultyProxy> {
  let requests = 0;
  const server = createServer(async (incoming, outgoing) => {
    const chosen = fault(++requests);
    if (chosen.type === 'stall') return;
    if (chosen.type === 'reset') return void outgoing.destroy();
    if (chosen.type === 'status') return void outgoing.writeHead(chosen.status).end('busy');
    if (chosen.type === 'cut-header') {
      outgoing.socket?.end('HTTP/1.1 200 OK\r\nContent-Le');
      return;
    }
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece);
    const { url = '/', method, headers } = incoming;
    const body = Buffer.concat(pieces).toString();
    const reply = await ask(target, url, { method, headers: headers as never, body });
    spoil(outgoing, chosen, reply);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function spoil(outgoing: ServerResponse, fault: Fault, { status, headers, body }: Reply): void {
  const { 'content-length': _, ...lengthless } = headers;
  switch (fault.type) {
    case 'cut':
      outgoing.writeHead(status, headers);
      outgoing.write(body.subarray(0, fault.bytes), () => outgoing.destroy());
      break;
    case 'clean-end':
      outgoing.writeHead(status, lengthless).end(body.subarray(0, fault.bytes));
      break;
    case 'flip': {
      const flipped = Buffer.from(body);
      flipped[fault.byte % body.length] ^= 4;
      outgoing.writeHead(status, headers).end(flipped);
      break;
    }
    case 'gzip':
      outgoing.writeHead(status, { ...lengthless, 'content-encoding': 'gzip' });
      outgoing.end(gzipSync(body));
      break;
    case 'buffer':
      outgoing.writeHead(status, lengthless).end(body);
      break;
    default:
      outgoing.writeHead(status, headers).end(body);
  }
}
