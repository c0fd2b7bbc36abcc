/** Uploads from teacher workers: files of a store until one commit makes a snapshot of them. */
import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import {
  type CommitReply,
  type UploadReply,
  type UploadRequest,
  uploadRequest,
} from '../../schemas/upload.ts';
import { checkAlignment } from '../capture/alignment.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import type { Precondition, UploadName, Uploads } from '../serve/uploads.ts';
import { headSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { commitUpload, refuseOther } from './commit.ts';
import { type Pushed, type PushedSample, pushedChunks, pushedOf } from './kinds.ts';
import { Leases } from './leases.ts';
import { Place } from './place.ts';
import { encodeShard, readHead, type StoredShard, sha256Of } from './shard-file.ts';

const openMax = 256;
const shardsMax = 65_536;
/** A shard with so many positions must be aligned by itself. */
const alignmentPositions = 256;
/** Positions that are looked at before others have their turn. */
const positionsAtOnce = 4096;

export interface UploadsOptions {
  readonly store: Store;
  readonly leaseMs: number;
}

export interface OpenUploads extends Uploads {
  /** Removes uploads whose lease has ended, now. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

export function openUploads(options: UploadsOptions): OpenUploads {
  return new StoredUploads(options);
}

class StoredUploads implements OpenUploads {
  readonly #store: Store;
  readonly #leases: Leases;
  readonly #commits = new Map<string, Promise<CommitReply>>();

  constructor({ store, leaseMs }: UploadsOptions) {
    this.#store = store;
    this.#leases = new Leases(store, {
      leaseMs,
      isBusy: (place) => this.#commits.has(place.folder),
    });
  }

  async open(
    dataset: string,
    request: UploadRequest,
  ): Promise<{ created: boolean; reply: UploadReply }> {
    const { tag } = request;
    const upload = request.upload ?? randomUUID();
    const place = new Place(this.#store, { dataset, upload });
    const known = await place.request();
    if (known !== undefined) {
      const [expected, got] = [known, { ...request, upload }];
      if (canonicalJson(expected) !== canonicalJson(got)) {
        const message = `push: upload ${upload} is of other things; choose another name`;
        throw new LogitcaskError('conflict', message, { expected, got });
      }
      return { created: false, reply: await this.#reply(place, known) };
    }
    refuseOther(await headSnapshot(this.#store, { dataset, tag }), request);
    const open = await this.#store.list(`${dataset}/uploads`);
    if (open.length >= openMax) {
      const message = `push: ${open.length} uploads are open; commit or abort some`;
      const details = { expected: `below ${openMax}`, got: open.length };
      throw new LogitcaskError('too-many-requests', message, details);
    }
    try {
      await place.begin({ ...request, upload });
    } catch (error) {
      if (!(error instanceof LogitcaskError && error.code === 'store-exists')) throw error;
      return this.open(dataset, request); // another worker was faster
    }
    this.#leases.renew(place);
    return { created: true, reply: await this.#reply(place, { ...request, upload }) };
  }

  async state(name: UploadName): Promise<UploadReply> {
    const { place, request } = await this.#find(name);
    return this.#reply(place, request);
  }

  async put(
    name: UploadName,
    { number, digest, body }: { number: number; digest: Buffer; body: Buffer },
  ) {
    const { place, request } = await this.#find(name);
    const actual = sha256Of(body);
    if (!actual.equals(digest)) {
      const message = 'push: the body was damaged on the way; put it again';
      const details = { expected: digest.toString('base64'), got: actual.toString('base64') };
      throw new LogitcaskError('digest-mismatch', message, details);
    }
    this.#leases.renew(place);
    const there = await readHead(this.#store, place.shard(number), number);
    if (there !== undefined) return replyOf(same(there, digest));
    if (this.#commits.has(place.folder) || (await place.commit()) !== undefined) {
      const message = `push: upload ${name.upload} is committed; open another one`;
      throw new LogitcaskError('conflict', message);
    }
    if ((await place.numbers()).length >= shardsMax) {
      const message = `push: the upload has ${shardsMax} shards; commit it, and open another one`;
      throw new LogitcaskError('conflict', message, { expected: `at most ${shardsMax} shards` });
    }
    const { ids, positions } = await examine(body, request);
    const stored = await this.#write(place, number, encodeShard(body, { digest, ids, positions }));
    return replyOf(same(stored, digest));
  }

  /** Another worker, or server, may have been faster, or the upload swept meanwhile. */
  async #write(place: Place, number: number, file: Buffer): Promise<StoredShard> {
    const path = place.shard(number);
    try {
      await this.#store.write(path, file, { replace: false });
    } catch (error) {
      if (!(error instanceof LogitcaskError && error.code === 'store-exists')) throw error;
    }
    const stored = await readHead(this.#store, path, number);
    if (stored !== undefined && (await place.request()) !== undefined) return stored;
    await this.#store.remove(path);
    throw notFound(place.name);
  }

  async commit(
    name: UploadName,
    { precondition, shards }: { precondition: Precondition; shards?: number },
  ): Promise<CommitReply> {
    const { place, request } = await this.#find(name);
    const begun = this.#commits.get(place.folder);
    if (begun !== undefined) return begun;
    const run = async () => {
      const done = await place.commit();
      if (done !== undefined) return done;
      const stored = await place.shards();
      if (shards !== undefined && shards !== stored.length) {
        const message = `push: the upload has ${stored.length} shards; put the others first`;
        const details = { expected: shards, got: stored.length };
        throw new LogitcaskError('conflict', message, details);
      }
      const reply = await commitUpload({
        store: this.#store,
        name,
        request,
        shards: stored,
        precondition,
        intentPath: place.intentPath,
      });
      await place.end(reply);
      this.#leases.renew(place);
      return reply;
    };
    const commit = run().finally(() => this.#commits.delete(place.folder));
    this.#commits.set(place.folder, commit);
    return commit;
  }

  async abort(name: UploadName): Promise<void> {
    const { place } = await this.#find(name);
    if (this.#commits.has(place.folder)) {
      const message = `push: upload ${name.upload} is being committed; wait for it`;
      throw new LogitcaskError('conflict', message);
    }
    await place.remove();
  }

  sweep(): Promise<void> {
    return this.#leases.sweep();
  }

  async close(): Promise<void> {
    this.#leases.stop();
    await Promise.allSettled(this.#commits.values());
  }

  async #find(name: UploadName): Promise<{ place: Place; request: UploadRequest }> {
    const place = new Place(this.#store, name);
    const request = await place.request();
    if (request === undefined) throw notFound(name);
    return { place, request };
  }

  async #reply(place: Place, request: UploadRequest): Promise<UploadReply> {
    const commit = (await place.commit()) ?? null;
    const shards = (await place.shards()).map(replyOf);
    const lease_ms = this.#leases.leaseMs;
    return { ...place.name, lease_ms, request: uploadRequest.parse(request), shards, commit };
  }
}

function replyOf({ path, bodyAt, ...shard }: StoredShard) {
  return shard;
}

function same(stored: StoredShard, digest: Buffer): StoredShard {
  if (stored.sha256 === digest.toString('hex')) return stored;
  const message = `push: shard ${stored.shard} is there with other bytes; choose another number`;
  const details = { expected: stored.sha256, got: digest.toString('hex') };
  throw new LogitcaskError('conflict', message, details);
}

function notFound({ dataset, upload }: UploadName): LogitcaskError {
  const message = `push: data set \`${dataset}\` has no upload ${upload}; open one, and push again`;
  return new LogitcaskError('upload-not-found', message, { got: upload });
}

/** Looks at every value; the server answers others meanwhile. */
async function examine(
  body: Buffer,
  request: UploadRequest,
): Promise<{ ids: Buffer; positions: number }> {
  const pushed = pushedOf(request);
  const ids: Buffer[] = [];
  let positions = 0;
  let learned = 0;
  let turn = 0;
  const samples: PushedSample[] = [];
  for (const sample of pushed.samplesOf(body)) {
    ids.push(pushed.idOf(sample));
    positions += sample.mask.length;
    if (pushed.vision === undefined && learned < alignmentPositions) samples.push(sample);
    learned += sample.mask.reduce((sum, flag) => sum + flag, 0);
    if (positions - turn < positionsAtOnce) continue;
    turn = positions;
    await setImmediate();
  }
  const isProved = pushed.vision === undefined && learned >= alignmentPositions;
  if (isProved) await proveShard(samples, request, pushed);
  return { ids: Buffer.concat(ids), positions };
}

/** Throws `source-misaligned`: one worker of many may be wrong. */
async function proveShard(
  samples: readonly PushedSample[],
  { teacher, licence }: UploadRequest,
  { identity }: Pushed,
): Promise<void> {
  await checkAlignment({
    identity: { ...teacher, source: 'push', ...identity, reports: 'top-list' },
    inputs: { origin: 'a shard', licence, digest: '' },
    async *chunks() {
      for (const [ordinal, sample] of samples.entries()) yield* pushedChunks(sample, ordinal);
    },
    async close() {},
  });
}
