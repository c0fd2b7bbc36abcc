/** Store `file:`: a folder. Whole files only, by temporary file, fsync, rename and folder fsync. */
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LogitcaskError } from '../errors.ts';
import { guard, storeError } from './file-errors.ts';
import { syncFolder } from './folders.ts';
import { type Log, openFileLog } from './log.ts';
import { createLru } from './lru.ts';
import { checkName } from './names.ts';
import type { Store, StoreWriter } from './store.ts';
import { sweepFolder, temporaryBeside } from './temporary.ts';

const openFilesMax = 64;
const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW;
const pieceBytesMax = 1024 * 1024 * 1024; // a longer read ends the process
const wholeFileBytesMax = 256 * 1024 * 1024;
/** What file systems say that have no hard links, or no more of a file. */
const withoutLinks = new Set<unknown>(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** Opens a folder as a store; it is made with the first write, and empty until then. */
export async function openFileStore(folder: string): Promise<Store> {
  return new FileStore(resolve(folder));
}

class FileStore implements Store {
  readonly url: string;
  readonly #root: string;
  readonly #handles = createLru<SharedHandle>(openFilesMax, (shared) => {
    shared.evicted = true;
    closeUnused(shared);
  });

  constructor(root: string) {
    this.#root = root;
    this.url = pathToFileURL(root).href;
  }

  #path(name: string): string {
    return join(this.#root, checkName(name));
  }

  read(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#read(name, { offset, length });
  }

  async readInto(name: string, offset: number, bytes: Buffer): Promise<void> {
    await this.#read(name, { offset, length: bytes.length, bytes });
  }

  async #read(
    name: string,
    { offset, length, bytes }: { offset: number; length: number; bytes?: Buffer },
  ): Promise<Buffer> {
    const path = this.#path(name);
    return guard(`read ${name}`, async () => {
      const shared = this.#shared(name, path);
      shared.users++;
      try {
        const { handle, size } = await shared.opened;
        // before anything is allocated: the range may come from damaged bytes
        if (!(offset >= 0 && offset + length <= size)) throw truncated(name, offset + length, size);
        const buffer = bytes ?? Buffer.allocUnsafe(length);
        for (let at = 0; at < length; ) {
          const piece = Math.min(length - at, pieceBytesMax);
          const { bytesRead } = await handle.read(buffer, at, piece, offset + at);
          if (bytesRead === 0) throw truncated(name, offset + length, offset + at);
          at += bytesRead;
        }
        return buffer;
      } finally {
        shared.users--;
        closeUnused(shared);
      }
    });
  }

  #shared(name: string, path: string): SharedHandle {
    const known = this.#handles.get(name);
    if (known !== undefined) return known;
    const shared = { opened: openToRead(path), users: 0, evicted: false };
    this.#handles.set(name, shared, 1);
    shared.opened.catch(() => this.#handles.delete(name));
    return shared;
  }

  async readAll(name: string, bytesMax = wholeFileBytesMax): Promise<Buffer> {
    const path = this.#path(name);
    return guard(`read ${name}`, async () => {
      const handle = await open(path, readOnly);
      try {
        const { size } = await handle.stat();
        if (size > bytesMax) {
          throw new LogitcaskError('store-failed', `store: ${name} is over ${bytesMax} bytes`, {
            expected: `at most ${bytesMax} bytes`,
            got: `${size} bytes`,
          });
        }
        return await handle.readFile();
      } finally {
        await handle.close();
      }
    });
  }

  async size(name: string): Promise<number | undefined> {
    const path = this.#path(name);
    try {
      const found = await lstat(path);
      if (found.isSymbolicLink()) throw Object.assign(new Error('a link'), { code: 'ELOOP' });
      return found.isFile() ? found.size : undefined;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw storeError(`read ${name}`, cause);
    }
  }

  async list(folder: string): Promise<string[]> {
    const path = folder === '' ? this.#root : this.#path(folder);
    try {
      const names = await readdir(path);
      return names.filter((name) => !name.startsWith('.')).sort();
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return [];
      throw storeError(`list ${folder}`, cause);
    }
  }

  async write(name: string, bytes: Uint8Array, { replace = true } = {}): Promise<void> {
    const writer = await this.#create(name, replace);
    try {
      await writer.append(bytes);
      await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  create(name: string): Promise<StoreWriter> {
    return this.#create(name, true);
  }

  async #create(name: string, replace: boolean): Promise<StoreWriter> {
    const path = this.#path(name);
    return guard(`write ${name}`, async () => {
      const temporary = await temporaryBeside(path);
      const handle = await open(temporary, 'wx');
      const onCommit = () => this.#handles.delete(name); // it reads the bytes before
      return new FileWriter({ handle, temporary, path, name, replace, onCommit });
    });
  }

  async link(name: string, second: string): Promise<boolean> {
    const path = this.#path(second);
    return guard(`link ${name} as ${second}`, async () => {
      const temporary = await temporaryBeside(path);
      try {
        await link(this.#path(name), temporary);
      } catch (cause) {
        if (withoutLinks.has((cause as NodeJS.ErrnoException).code)) return false;
        throw cause;
      }
      try {
        await rename(temporary, path);
      } finally {
        await rm(temporary, { force: true }); // it stays where the file had both names before
      }
      this.#handles.delete(second);
      await syncFolder(dirname(path));
      return true;
    });
  }

  async remove(name: string): Promise<void> {
    const path = this.#path(name);
    await guard(`remove ${name}`, async () => {
      await rm(path, { force: true });
    });
    this.#handles.delete(name);
  }

  async removeFolder(folder: string): Promise<void> {
    const path = this.#path(folder);
    const names = await this.list(folder);
    await guard(`remove ${folder}`, () => rm(path, { force: true, recursive: true }));
    for (const name of names) this.#handles.delete(`${folder}/${name}`);
  }

  openLog(name: string, visit: (record: Buffer, offset: number) => void): Promise<Log> {
    return openFileLog(this.#path(name), name, visit);
  }

  sweep(): Promise<number> {
    return guard('sweep', () => sweepFolder(this.#root));
  }

  async close(): Promise<void> {
    this.#handles.clear();
  }
}

async function openToRead(path: string): Promise<OpenFile> {
  const handle = await open(path, readOnly);
  try {
    const { size } = await handle.stat();
    return { handle, size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly size: number;
}

/** An open file; closed when it is evicted and nobody reads from it any more. */
interface SharedHandle {
  readonly opened: Promise<OpenFile>;
  users: number;
  evicted: boolean;
}

function closeUnused({ opened, users, evicted }: SharedHandle): void {
  if (evicted && users === 0) opened.then(({ handle }) => handle.close()).catch(() => {});
}

function truncated(name: string, expected: number, got: number): LogitcaskError {
  return new LogitcaskError('store-truncated', `store: ${name} ends at byte ${got}`, {
    expected: `${expected} bytes`,
    got: `${got} bytes`,
  });
}

interface FileTarget {
  readonly handle: FileHandle;
  readonly temporary: string;
  readonly path: string;
  readonly name: string;
  readonly replace: boolean;
  /** The name now stands for other bytes. */
  readonly onCommit: () => void;
}

class FileWriter implements StoreWriter {
  bytesWritten = 0;
  #open = true;
  readonly #target: FileTarget;

  constructor(target: FileTarget) {
    this.#target = target;
  }

  async append(bytes: Uint8Array): Promise<void> {
    const { handle, name } = this.#target;
    await guard(`write ${name}`, async () => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, at, bytes.length - at);
        at += bytesWritten;
      }
      this.bytesWritten += bytes.length;
    });
  }

  /**
   * A failed sync is final: the pages may be dropped, so the file is never tried again as clean.
   */
  async commit(): Promise<void> {
    const { handle, temporary, path, name, replace, onCommit } = this.#target;
    await guard(`write ${name}`, async () => {
      await handle.sync();
      this.#open = false;
      await handle.close();
      if (replace) await rename(temporary, path);
      else {
        await link(temporary, path); // fails where the name exists, unlike rename
        await rm(temporary);
      }
      onCommit();
      await syncFolder(dirname(path));
    });
  }

  async abort(): Promise<void> {
    if (this.#open) await this.#target.handle.close().catch(() => {});
    this.#open = false;
    await rm(this.#target.temporary, { force: true });
  }
}
