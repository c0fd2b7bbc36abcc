/** Named bytes somewhere, written whole or not at all. One backend a file. */
import type { Log } from './log.ts';

/** A file under construction; invisible until `commit`. */
export interface StoreWriter {
  readonly bytesWritten: number;
  append(bytes: Uint8Array): Promise<void>;
  /** Makes the file durable and visible under its name; a failed commit leaves nothing visible. */
  commit(): Promise<void>;
  /** Discards it. Safe to call after a failed append or commit. */
  abort(): Promise<void>;
}

/**
 * Names are relative paths of segments `[A-Za-z0-9][A-Za-z0-9._-]*` joined by `/`; anything else is
 * refused with `name-invalid`. Errors: `store-not-found`, `store-exists`, `store-full`,
 * `store-failed`.
 */
export interface Store {
  readonly url: string;
  /**
   * Bytes [offset, offset + length) of a file; a range beyond its end fails, it is never cut short.
   */
  read(name: string, offset: number, length: number): Promise<Buffer>;
  /** The same into memory at hand, which it fills. */
  readInto(name: string, offset: number, bytes: Buffer): Promise<void>;
  /** A whole file; fails above `bytesMax`. */
  readAll(name: string, bytesMax?: number): Promise<Buffer>;
  /** Size in bytes, or undefined where there is no such file. */
  size(name: string): Promise<number | undefined>;
  /** Names directly below a folder, sorted; [] where there is no such folder. */
  list(folder: string): Promise<string[]>;
  /** Writes a whole file durably and atomically. `replace: false` fails with `store-exists`. */
  write(name: string, bytes: Uint8Array, options?: { replace?: boolean }): Promise<void>;
  create(name: string): Promise<StoreWriter>;
  /**
   * Gives a whole file a second name, in place of what bears it; they last each on its own. False
   * where the store cannot.
   */
  link(name: string, second: string): Promise<boolean>;
  /**
   * Opens a log, or begins one. `visit` is called with each whole record that it holds, in order;
   * the record is valid during the call only. One writer at a time: hold a lock.
   */
  openLog(name: string, visit: (record: Buffer, offset: number) => void): Promise<Log>;
  remove(name: string): Promise<void>;
  /** Removes a folder and what is in it, where there is one. */
  removeFolder(folder: string): Promise<void>;
  /** Removes what crashed writers left behind; returns how many files. */
  sweep(): Promise<number>;
  close(): Promise<void>;
}
