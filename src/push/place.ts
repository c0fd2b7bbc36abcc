/** Where an upload lies in a store: its request, its shards, and in the end its commit. */
import type { CommitReply, UploadRequest } from '../../schemas/upload.ts';
import { canonicalJson } from '../formats/canonical.ts';
import type { UploadName } from '../serve/uploads.ts';
import type { Store } from '../store/store.ts';
import { readHead, type StoredShard } from './shard-file.ts';

const requestName = 'upload.json';
const ending = '.shard';

export class Place {
  readonly name: UploadName;
  readonly folder: string;
  readonly #store: Store;

  constructor(store: Store, { dataset, upload }: UploadName) {
    this.#store = store;
    this.name = { dataset, upload };
    this.folder = `${dataset}/uploads/${upload}`;
  }

  get intentPath(): string {
    return `${this.folder}/intent.json`;
  }

  shard(number: number): string {
    return `${this.folder}/${String(number).padStart(16, '0')}${ending}`;
  }

  /** Throws `store-exists`. */
  async begin(request: UploadRequest): Promise<void> {
    const bytes = Buffer.from(canonicalJson(request));
    await this.#store.write(`${this.folder}/${requestName}`, bytes, { replace: false });
  }

  /** Undefined where there is no such upload. */
  request(): Promise<UploadRequest | undefined> {
    return this.#read(requestName);
  }

  commit(): Promise<CommitReply | undefined> {
    return this.#read('commit.json');
  }

  async #read<T>(name: string): Promise<T | undefined> {
    const path = `${this.folder}/${name}`;
    if ((await this.#store.size(path)) === undefined) return undefined;
    return JSON.parse((await this.#store.readAll(path)).toString());
  }

  /** Numbers of the shards, ascending. */
  async numbers(): Promise<number[]> {
    const names = await this.#store.list(this.folder);
    return names.filter((name) => name.endsWith(ending)).map((name) => Number.parseInt(name, 10));
  }

  async shards(): Promise<StoredShard[]> {
    const found: StoredShard[] = [];
    for (const number of await this.numbers()) {
      const shard = await readHead(this.#store, this.shard(number), number);
      if (shard !== undefined) found.push(shard);
    }
    return found;
  }

  /** Keeps the answer, and nothing else, until the lease ends. */
  async end(reply: CommitReply): Promise<void> {
    await this.#store.write(`${this.folder}/commit.json`, Buffer.from(canonicalJson(reply)));
    for (const number of await this.numbers()) await this.#store.remove(this.shard(number));
  }

  /** The request first: without it there is no upload. */
  async remove(): Promise<void> {
    await this.#store.remove(`${this.folder}/${requestName}`);
    await this.#store.removeFolder(this.folder);
  }
}
