/** Scores of one head, read forwards: [N, V] or [N, parts, V] of an `.npy` or `.npz`. */
import type { DenseRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { floatOfHalf } from '../formats/float16.ts';
import { type NpyHeader, openNpy } from '../formats/npy.ts';
import { openNpz } from '../formats/npz.ts';
import type { Lend } from './source.ts';

export interface Scores {
  /** N */
  readonly count: number;
  /** V */
  readonly width: number;
  readonly parts: number;
  /** Bytes of a position, of all parts together. */
  readonly rowBytes: number;
  /** A cursor that starts at position `from`. */
  rows(from: number): Promise<ScoreCursor>;
  close(): Promise<void>;
}

export interface ScoreCursor {
  /**
   * The next positions; a part's rows are made when they are asked for, in memory lent for them.
   * Throws `row-invalid`, `source-unreadable`.
   */
  take(count: number): Promise<((lend: Lend) => DenseRows)[]>;
  close(): Promise<void>;
}

export interface ScoresOptions {
  readonly file: string;
  readonly parts: number | undefined;
  readonly normalisation: 'softmax' | 'sigmoid';
  readonly values: 'logits' | 'probabilities';
}

/** How far probabilities in float16 may be from adding up to 1. */
const sumTolerance = 1e-2;

interface Bytes {
  readonly header: NpyHeader;
  /** Reads forwards from byte `from` on. */
  open(from: number): Promise<{ take(bytes: number): Promise<Buffer>; close(): Promise<void> }>;
  close(): Promise<void>;
}

export async function openScores(options: ScoresOptions): Promise<Scores> {
  const { file, parts } = options;
  const [, archive, member] = /^(.*\.npz):(.+)$/.exec(file) ?? [];
  const bytes = archive === undefined ? await npyBytes(file) : await npzBytes(archive, member);
  try {
    const { shape, type, width: valueBytes } = bytes.header;
    const isFloat = type === 'f4' || type === 'f2';
    if (!isFloat || shape.length !== (parts === undefined ? 2 : 3) || shape.includes(0)) {
      throw unlike(file, parts, `${type} [${shape}]`);
    }
    const [count, ...inner] = shape;
    const width = inner[inner.length - 1];
    const found = parts === undefined ? 1 : inner[0];
    if (found !== (parts ?? 1)) throw unlike(file, parts, `${type} [${shape}]`);
    const rowBytes = found * width * valueBytes;
    return {
      count,
      width,
      parts: found,
      rowBytes,
      async rows(from) {
        const cursor = await bytes.open(from * rowBytes);
        return {
          async take(n) {
            const floats = floatsOf(await cursor.take(n * rowBytes), type);
            if (options.values === 'probabilities') toLogits(floats, width, options);
            return Array.from({ length: found }, (_, part) => (lend: Lend): DenseRows => {
              const values = new Float32Array(lend(4 * n * width), 0, n * width);
              for (let t = 0; t < n; t++) {
                const at = (t * found + part) * width;
                values.set(floats.subarray(at, at + width), t * width);
              }
              return { form: 'dense', count: n, width, type: 'f32', values };
            });
          },
          close: () => cursor.close(),
        };
      },
      close: () => bytes.close(),
    };
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

function unlike(file: string, parts: number | undefined, got: string): LogitcaskError {
  const expected = `float32 or float16 ${parts === undefined ? '[N, V]' : `[N, ${parts}, V]`}`;
  const message = `capture: ${file} holds ${got}, expected ${expected}; export it again`;
  return new LogitcaskError('source-unreadable', message, { expected, got });
}

async function npyBytes(file: string): Promise<Bytes> {
  const npy = await openNpy(file);
  return {
    header: npy.header,
    async open(from) {
      let at = from;
      return {
        async take(bytes) {
          const found = await npy.read(at, bytes);
          at += bytes;
          return found;
        },
        async close() {},
      };
    },
    close: () => npy.close(),
  };
}

async function npzBytes(archive: string, member: string): Promise<Bytes> {
  const npz = await openNpz(archive);
  const first = await npz.open(member).catch((error) => {
    npz.close();
    throw error;
  });
  first.close();
  return {
    header: first.header,
    async open(from) {
      const { take, skip, close } = await npz.open(member);
      await skip(from);
      return { take, close: async () => close() };
    },
    close: async () => npz.close(),
  };
}

function floatsOf(bytes: Buffer, type: string): Float32Array {
  const { buffer } = new Uint8Array(bytes);
  if (type === 'f4') return new Float32Array(buffer);
  return Float32Array.from(new Uint16Array(buffer), (half) => floatOfHalf[half]);
}

/** Log-probs are logits of a softmax; of a sigmoid ln p − ln (1 − p) is. In place. */
export function toLogits(
  values: Float32Array,
  width: number,
  { file, normalisation }: Pick<ScoresOptions, 'file' | 'normalisation'>,
): void {
  for (let at = 0; at < values.length; at += width) {
    let sum = 0;
    for (let i = at; i < at + width; i++) {
      const p = values[i];
      if (!(p >= 0 && p <= 1)) throw noProbability(file, 'values from 0 to 1', p);
      sum += p;
      values[i] = normalisation === 'softmax' ? Math.log(p) : Math.log(p) - Math.log1p(-p);
    }
    if (normalisation === 'softmax' && Math.abs(sum - 1) > sumTolerance) {
      throw noProbability(file, 'rows that add up to 1', sum);
    }
  }
}

function noProbability(file: string, expected: string, got: number): LogitcaskError {
  const message = `capture: ${file} does not hold probabilities (${got}); name its values logits`;
  return new LogitcaskError('row-invalid', message, { expected, got: String(got) });
}
