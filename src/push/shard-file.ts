/**
 * A pushed shard as a file of the store, written once: version, samples and positions (uint32,
 * little-endian), four bytes of nothing, SHA-256 of the body, sample ids (16 bytes each), the body.
 */
import { createHash } from 'node:crypto';
import type { UploadShard } from '../../schemas/upload.ts';
import { LogitcaskError } from '../errors.ts';
import { sampleIdBytes } from '../shard/sample-id.ts';
import type { Store } from '../store/store.ts';

const version = 1;
const headBytes = 48;

/** What the head says, and where the body begins. */
export interface StoredShard extends UploadShard {
  readonly path: string;
  readonly bodyAt: number;
}

export const sha256Of = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

export function encodeShard(
  body: Buffer,
  { digest, ids, positions }: { digest: Buffer; ids: Buffer; positions: number },
): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(version, 0);
  head.writeUInt32LE(ids.length / sampleIdBytes, 4);
  head.writeUInt32LE(positions, 8);
  digest.copy(head, 16);
  return Buffer.concat([head, ids, body]);
}

/** Undefined where there is no such file. */
export async function readHead(
  store: Store,
  path: string,
  shard: number,
): Promise<StoredShard | undefined> {
  const size = await store.size(path);
  if (size === undefined) return undefined;
  const head = size < headBytes ? Buffer.alloc(headBytes) : await store.read(path, 0, headBytes);
  const samples = head.readUInt32LE(4);
  const bodyAt = headBytes + samples * sampleIdBytes;
  if (head.readUInt32LE(0) !== version || bodyAt > size) throw damaged(path);
  return {
    shard,
    sha256: head.toString('hex', 16, headBytes),
    bytes: size - bodyAt,
    samples,
    positions: head.readUInt32LE(8),
    path,
    bodyAt,
  };
}

export function readIds(store: Store, { path, samples }: StoredShard): Promise<Buffer> {
  return store.read(path, headBytes, samples * sampleIdBytes);
}

/** The body, proved again. Throws `shard-damaged`. */
export async function readBody(store: Store, shard: StoredShard): Promise<Buffer> {
  const body = await store.read(shard.path, shard.bodyAt, shard.bytes);
  if (sha256Of(body).toString('hex') !== shard.sha256) throw damaged(shard.path);
  return body;
}

function damaged(path: string): LogitcaskError {
  const message = `push: ${path} is damaged; abort the upload, and push it again`;
  return new LogitcaskError('shard-damaged', message, { got: path });
}
