/** Rows that lie in a file: they are read where they are reduced, by threads that share it. */
import { readSync } from 'node:fs';
import { type DenseRows, valueBytes, valuesIn } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';

/** Whole rows of an open file, plain data. They hold until their source is closed. */
export interface FileRows extends Omit<DenseRows, 'form' | 'values'> {
  readonly form: 'file';
  /** For messages. */
  readonly file: string;
  readonly descriptor: number;
  /** Where the first row begins. */
  readonly offset: number;
}

export function fileRowsBytes({ count, width, type }: Omit<FileRows, 'form'>): number {
  return count * width * valueBytes[type];
}

/**
 * Reads rows to the start of memory, where they lie until the next ones do. Throws
 * `source-unreadable` where the file ends before.
 */
export function readRows(rows: FileRows, memory: ArrayBufferLike): DenseRows {
  const { file, descriptor, offset, count, width, type } = rows;
  const bytes = new Uint8Array(memory, 0, fileRowsBytes(rows));
  for (let at = 0; at < bytes.length; ) {
    const read = readSync(descriptor, bytes, at, bytes.length - at, offset + at);
    if (read === 0) {
      const message = `capture: ${file} ends at byte ${offset + at}; it was cut while it was read`;
      const details = { expected: offset + bytes.length, got: offset + at };
      throw new LogitcaskError('source-unreadable', message, details);
    }
    at += read;
  }
  return { form: 'dense', count, width, type, values: valuesIn(memory, type, count * width) };
}
