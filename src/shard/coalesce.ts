/** Reads that are asked for together become few: one for each run of near neighbours. */

interface Wanted {
  readonly offset: number;
  readonly length: number;
  resolve(bytes: Buffer): void;
  reject(error: unknown): void;
}

export type ReadBytes = (offset: number, length: number) => Promise<Buffer>;

/** Bytes that are rather read in vain than asked for apart. */
const gapBytesMax = 16 * 1024;

/** Gathers what is asked for until the event loop turns, then reads it in order of offset. */
export function coalesced(read: ReadBytes): ReadBytes {
  let wanted: Wanted[] = [];
  const flush = () => {
    const sorted = wanted.sort((a, b) => a.offset - b.offset);
    wanted = [];
    for (let from = 0, to = 0; from < sorted.length; from = to) {
      let end = sorted[from].offset + sorted[from].length;
      for (to = from + 1; to < sorted.length && sorted[to].offset - end <= gapBytesMax; to++) {
        end = Math.max(end, sorted[to].offset + sorted[to].length);
      }
      void readRun(read, sorted.slice(from, to), end);
    }
  };
  return (offset, length) =>
    new Promise((resolve, reject) => {
      if (wanted.length === 0) setImmediate(flush);
      wanted.push({ offset, length, resolve, reject });
    });
}

async function readRun(read: ReadBytes, run: readonly Wanted[], end: number): Promise<void> {
  const [{ offset: first }] = run;
  try {
    const bytes = await read(first, end - first);
    for (const { offset, length, resolve } of run) {
      resolve(bytes.subarray(offset - first, offset - first + length));
    }
  } catch (error) {
    for (const { reject } of run) reject(error);
  }
}
